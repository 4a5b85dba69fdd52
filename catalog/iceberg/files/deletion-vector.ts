import { crc32 } from 'node:zlib';
import { DailiesError } from '../../error.ts';
import { type DataFile, plainFile } from '../manifests/manifest.ts';
import { readTableFile, writeBytes } from '../storage.ts';
import type { PositionSet } from './position-set.ts';
import { encodePuffin } from './puffin.ts';
import { decodeRoaring, encodeRoaring } from './roaring.ts';

/*
 * Deletion vectors (iceberg.apache.org/puffin-spec, deletion-vector-v1): the deleted positions of one data file as a
 * blob of a Puffin file. Lengths and checksum are big-endian, the bitmap little-endian:
 *
 *   length of the next two: u32 | D1 D3 39 64 | 64-bit roaring bitmap | CRC-32 of the last two: u32
 */
const magic = Buffer.of(0xd1, 0xd3, 0x39, 0x64);
const blobType = 'deletion-vector-v1';
/** Reserved id of the row position (`_pos`). */
const positionFieldId = 2147483645;

/** True for a position delete that is a deletion vector of format 3. */
export function isDeletionVector(file: DataFile): boolean {
  return file.content === 'position-deletes' && file.format === 'puffin';
}

/** Tells an entry of a manifest from all others: other writers put the vectors of several data files into one file. */
export function entryKey(file: DataFile): string {
  return isDeletionVector(file) ? `${file.location}#${file.contentOffset}` : file.location;
}

/** Writes the deletion vector of one data file, in a Puffin file of its own; durable but for its folder's entry. */
export async function writeDeletionVector(data: DataFile, deleted: PositionSet, location: string): Promise<DataFile> {
  const { bytes, contentOffset, contentSizeBytes } = encodeDeletionVectorFile(data.location, deleted);
  await writeBytes(location, bytes);
  return {
    ...plainFile,
    content: 'position-deletes',
    format: 'puffin',
    location,
    specId: data.specId,
    partition: data.partition,
    recordCount: deleted.size,
    sizeBytes: bytes.length,
    columnSizes: new Map(),
    valueCounts: new Map(),
    nullCounts: new Map(),
    nanCounts: new Map(),
    lowerBounds: new Map(),
    upperBounds: new Map(),
    referencedDataFile: data.location,
    contentOffset,
    contentSizeBytes,
  };
}

/** The deleted positions that a manifest's deletion vector holds. Throws `table_corrupt` where it is gone or damaged. */
export async function readDeletionVector(file: DataFile): Promise<PositionSet> {
  const range = { offset: file.contentOffset ?? 0, length: file.contentSizeBytes ?? 0 };
  const blob = await readTableFile(file.location, 'The deletion vector in', range);
  return decodeDeletionVector(blob, file.location);
}

interface DeletionVectorFile {
  /** The whole Puffin file. */
  bytes: Buffer;
  /** Where the vector stands in it, in bytes: `content_offset` and `content_size_in_bytes` of its manifest entry. */
  contentOffset: number;
  contentSizeBytes: number;
}

/** A Puffin file that holds the deletion vector of one data file and nothing else. */
export function encodeDeletionVectorFile(dataLocation: string, deleted: PositionSet): DeletionVectorFile {
  const blob = encodeDeletionVector(deleted);
  const bytes = encodePuffin([
    {
      type: blobType,
      fields: [positionFieldId],
      // Both are inherited at commit: the specification asks for -1.
      snapshotId: -1n,
      sequenceNumber: -1n,
      bytes: blob,
      properties: { 'referenced-data-file': dataLocation, cardinality: String(deleted.size) },
    },
  ]);
  return { bytes, contentOffset: 4, contentSizeBytes: blob.length };
}

export function encodeDeletionVector(deleted: PositionSet): Buffer {
  const content = Buffer.concat([magic, encodeRoaring(deleted)]);
  const blob = Buffer.alloc(content.length + 8);
  blob.writeUInt32BE(content.length, 0);
  content.copy(blob, 4);
  blob.writeUInt32BE(crc32(content), content.length + 4);
  return blob;
}

/** The positions of a deletion vector's blob. Throws `table_corrupt` naming the location where it is damaged. */
export function decodeDeletionVector(blob: Buffer, location: string): PositionSet {
  try {
    const length = blob.readUInt32BE(0);
    if (length !== blob.length - 8) throw new RangeError('The length does not match.');
    const content = blob.subarray(4, 4 + length);
    if (!content.subarray(0, 4).equals(magic)) throw new RangeError('The magic bytes are wrong.');
    if (crc32(content) !== blob.readUInt32BE(4 + length)) throw new RangeError('The checksum is wrong.');
    return decodeRoaring(content.subarray(4));
  } catch (thrown) {
    throw new DailiesError('table_corrupt', `The deletion vector in ${location} is torn or not valid.`, {
      cause: thrown,
      details: { location },
    });
  }
}
