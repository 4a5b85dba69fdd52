import { crc32, gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gzipOf, packPiece } from '#catalog/iceberg/metadata/gzip-pieces.ts';
import {
  encodeMetadataFile,
  parseTableMetadata,
  printTableMetadata,
  type Snapshot,
} from '#catalog/iceberg/metadata/table-metadata.ts';

test('pieces are together one gzip member of their texts', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`gzip pieces seed ${seed}`);
  const piece = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.nat(300_000).map((length) => 'snapshot '.repeat(length / 9)),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (texts) => {
      const bytes = gzipOf(texts.map(packPiece));
      const whole = Buffer.from(texts.join(''));
      // A reader that stops at the end of the first member sees all of it.
      expect(gunzipSync(bytes).equals(whole)).toBe(true);
      expect(bytes.readUInt32LE(bytes.length - 8)).toBe(crc32(whole));
      expect(bytes.readUInt32LE(bytes.length - 4)).toBe(whole.length);
    }),
    { seed },
  );
});

test('a metadata file of many snapshots holds them all, whichever came and went since the last one', () => {
  const snapshot = (id: number): Snapshot => ({
    'snapshot-id': BigInt(id) * 1_000_003n,
    'sequence-number': BigInt(id),
    'timestamp-ms': 1_700_000_000_000 + id * 1_000 + (id % 13),
    'manifest-list': `file:///t/metadata/snap-${id}.avro`,
    summary: { operation: 'append', 'total-records': String(id) },
    'schema-id': 0,
  });
  const empty = parseTableMetadata(
    '{"format-version":2,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"file:///t","last-sequence-number":0,"last-updated-ms":0,"last-column-id":0,"schemas":[{"type":"struct","schema-id":0,"fields":[]}],"current-schema-id":0,"partition-specs":[{"spec-id":0,"fields":[]}],"default-spec-id":0,"last-partition-id":999,"properties":{},"snapshots":[],"snapshot-log":[],"metadata-log":[],"sort-orders":[],"default-sort-order-id":0,"refs":{}}',
    'empty',
  );
  let snapshots: Snapshot[] = [];
  for (let commit = 1; commit <= 600; commit++) {
    snapshots = [...snapshots, snapshot(commit)];
    if (commit % 7 === 0) snapshots = snapshots.filter((_, index) => index % 11 !== 3);
    if (snapshots.length > 300) snapshots = snapshots.slice(40);
    const log = snapshots.map((each) => ({ 'timestamp-ms': each['timestamp-ms'], 'snapshot-id': each['snapshot-id'] }));
    const metadata = { ...empty, snapshots, 'snapshot-log': log };
    const { bytes, suffix, textLength } = encodeMetadataFile(metadata);
    const text = suffix === '.gz.metadata.json' ? gunzipSync(bytes).toString() : bytes.toString();
    expect(text).toBe(printTableMetadata(metadata));
    expect(textLength).toBe(text.length);
    if (snapshots.length > 200) expect(suffix).toBe('.gz.metadata.json');
  }
});
