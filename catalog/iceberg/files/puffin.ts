import { printJson } from '../metadata/json.ts';

/*
 * Puffin files (iceberg.apache.org/puffin-spec): blobs between magic bytes, described by a JSON footer at the end.
 *
 *   "PFA1" | blob … | "PFA1" | footer JSON | its length: i32 LE | flags: 4 bytes | "PFA1"
 *
 * The lowest bit of the first flag byte says that the footer is compressed (LZ4); ours never is.
 */
const magic = Buffer.from('PFA1', 'latin1');

interface PuffinBlob {
  type: string;
  /** Field ids that the blob is of. */
  fields: readonly number[];
  /** -1 for a blob that is not of one snapshot, as deletion vectors. */
  snapshotId: bigint;
  sequenceNumber: bigint;
  properties: Readonly<Record<string, string>>;
  bytes: Buffer;
}

/** A whole Puffin file of these blobs, uncompressed, the first at offset 4. */
export function encodePuffin(blobs: readonly PuffinBlob[]): Buffer {
  let offset = magic.length;
  const described = blobs.map(({ bytes, type, fields, snapshotId, sequenceNumber, properties }) => {
    const at = offset;
    offset += bytes.length;
    return {
      type,
      fields,
      'snapshot-id': snapshotId,
      'sequence-number': sequenceNumber,
      offset: at,
      length: bytes.length,
      properties,
    };
  });
  const payload = Buffer.from(printJson({ blobs: described, properties: { 'created-by': 'Dailies' } }));
  const tail = Buffer.alloc(8);
  tail.writeInt32LE(payload.length, 0);
  return Buffer.concat([magic, ...blobs.map(({ bytes }) => bytes), magic, payload, tail, magic]);
}
