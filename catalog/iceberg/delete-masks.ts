import { DailiesError } from '../error.ts';
import { ByteCache } from './byte-cache.ts';
import { isDeletionVector, readDeletionVector } from './deletion-vector.ts';
import { literal } from './duckdb-values.ts';
import type { LiveFile } from './live-files.ts';
import type { DataFile } from './manifest.ts';
import type { PositionSet } from './position-set.ts';
import { bitsLiteral, pathList } from './read-parquet.ts';
import { localPath } from './storage.ts';

/*
 * Which rows of a data file are deleted by position, as SQL over its row numbers: a mask, one bit a row, made by DuckDB from
 * position delete files, or given as a constant from a deletion vector.
 */

/** Bytes with one bit a row of the file, row 0 the highest bit of the first byte, as DuckDB's BIT has them. */
type VectorBits = Uint8Array;

/** The deletion vectors of these files, read; by the location of their data file. */
export type DeletionVectors = ReadonlyMap<string, VectorBits>;

const cache = new ByteCache<VectorBits>(64 << 20);

/** Reads the deletion vectors of files that have one. Throws `table_corrupt`. */
export async function readDeletionVectors(files: readonly LiveFile[]): Promise<DeletionVectors> {
  const read = await Promise.all(
    files.flatMap(({ data, deletes }) => {
      const vector = deletes.find((entry) => isDeletionVector(entry.file));
      return vector ? [vectorBits(data.file, vector.file)] : [];
    }),
  );
  return new Map(read);
}

async function vectorBits(data: DataFile, vector: DataFile): Promise<[string, VectorBits]> {
  const key = `${vector.location} ${vector.contentOffset}`;
  const cached = cache.get(key);
  if (cached) return [data.location, cached];
  const bits = bitsOf(await readDeletionVector(vector), data.recordCount);
  cache.set(key, bits, bits.length + 200);
  return [data.location, bits];
}

function bitsOf(positions: PositionSet, rowCount: number): VectorBits {
  const bits = new Uint8Array(Math.max(1, Math.ceil(rowCount / 8)));
  for (const position of positions.toArray()) {
    const row = Number(position);
    if (row < rowCount) bits[row >>> 3] = (bits[row >>> 3] ?? 0) | (0x80 >>> (row & 7));
  }
  return bits;
}

/** A condition that holds for deleted rows of one file; null if it has no position deletes. `row` is the row's number there. */
export function isDeleted(file: LiveFile, vectors: DeletionVectors, row: string): string | null {
  if (file.deletes.length === 0) return null;
  const bits = vectors.get(file.data.file.location);
  if (bits) return `get_bit(${bitsLiteral(bits)}, ${row}::INTEGER) = 1`;
  const last = Math.max(0, file.data.file.recordCount - 1);
  const source = `read_parquet(${pathList(deletePaths([file]))})`;
  return `coalesce(get_bit((SELECT bitstring_agg(pos, 0, ${last}) FROM ${source} WHERE pos <= ${last}${aboutFile(file)}), ${row}::INTEGER), 0) = 1`;
}

/** A mask of this many rows is copied for every vector that DuckDB looks at: one of a whole large file would be dear. */
const segmentBits = 17;
const segmentRows = 2 ** segmentBits;

/** A join that gives each row of one large file the mask of its segment as `mask.bits`, NULL where nothing is deleted there. */
export function segmentsJoin(file: LiveFile, vectors: DeletionVectors, row: string): string {
  const bits = vectors.get(file.data.file.location);
  const masks = bits ? vectorSegments(bits) : positionSegments(file);
  return `LEFT JOIN (${masks}) AS mask(k, bits) ON mask.k = (${row} >> ${segmentBits})`;
}

/** The condition that goes with `segmentsJoin`. */
export function isUnmaskedSegment(row: string): string {
  return isUnmasked(`(${row} & ${segmentRows - 1})`);
}

function vectorSegments(bits: VectorBits): string {
  const segmentBytes = segmentRows / 8;
  const segments: string[] = [];
  for (let k = 0; k * segmentBytes < bits.length; k++) {
    const segment = bits.subarray(k * segmentBytes, (k + 1) * segmentBytes);
    if (segment.some((byte) => byte !== 0)) segments.push(`(${k}::BIGINT, ${bitsLiteral(segment)})`);
  }
  if (segments.length === 0) return 'SELECT NULL::BIGINT, NULL::BIT WHERE false';
  return `SELECT * FROM (VALUES ${segments.join(', ')}) AS segments(k, bits)`;
}

function positionSegments(file: LiveFile): string {
  const source = `read_parquet(${pathList(deletePaths([file]))})`;
  return `SELECT pos >> ${segmentBits}, bitstring_agg(pos & ${segmentRows - 1}, 0, ${segmentRows - 1}) FROM ${source} WHERE true${aboutFile(file)} GROUP BY 1`;
}

/** What narrows position deletes to those of one file; nothing where they are its own. */
function aboutFile(file: LiveFile): string {
  const { location } = file.data.file;
  if (file.deletes.every((entry) => entry.file.referencedDataFile === location)) return '';
  return ` AND ${comparablePath('file_path')} = ${literal(comparable(location))}`;
}

/** A join that gives each row of `data` its file's mask as `mask.bits`, NULL where the file has none. */
export function masksJoin(files: readonly LiveFile[], vectors: DeletionVectors, fileIndex: string): string | null {
  const constant: string[] = [];
  const joined: { index: number; file: LiveFile }[] = [];
  for (const [index, file] of files.entries()) {
    const bits = vectors.get(file.data.file.location);
    if (bits) constant.push(`(${index}, ${bitsLiteral(bits)})`);
    else if (file.deletes.length > 0) joined.push({ index, file });
  }
  const parts: string[] = [];
  if (constant.length > 0) parts.push(`SELECT * FROM (VALUES ${constant.join(', ')}) AS vectors(i, bits)`);
  if (joined.length > 0) parts.push(positionMasks(joined));
  if (parts.length === 0) return null;
  return `LEFT JOIN (${parts.join(' UNION ALL ')}) AS mask(i, bits) ON mask.i = ${fileIndex}`;
}

/** The condition that goes with `masksJoin`. */
export function isUnmasked(row: string): string {
  return `(mask.bits IS NULL OR get_bit(mask.bits, ${row}::INTEGER) = 0)`;
}

function positionMasks(files: readonly { index: number; file: LiveFile }[]): string {
  const last = Math.max(0, ...files.map(({ file }) => file.data.file.recordCount - 1));
  const named = files.map(({ index, file }) => `(${index}, ${literal(comparable(file.data.file.location))})`);
  const deletes = `read_parquet(${pathList(deletePaths(files.map(({ file }) => file)))})`;
  return `SELECT named.i, bitstring_agg(deleted.pos, 0, ${last}) FROM ${deletes} AS deleted JOIN (VALUES ${named.join(', ')}) AS named(i, path) ON ${comparablePath('deleted.file_path')} = named.path WHERE deleted.pos <= ${last} GROUP BY named.i`;
}

function deletePaths(files: readonly LiveFile[]): string[] {
  const locations = new Set(files.flatMap((file) => file.deletes.map((entry) => parquetLocation(entry.file))));
  return [...locations].map(localPath);
}

/** Other engines may write deletes as Avro or ORC. Throws `unsupported` naming the file. */
export function parquetLocation(file: DataFile): string {
  if (file.format === 'parquet') return file.location;
  throw new DailiesError(
    'unsupported',
    `The file ${file.location} is in the format ${file.format}; only Parquet can be read. Rewrite the table's files as Parquet where they were written.`,
    { details: { location: file.location, format: file.format } },
  );
}

// `file:///a`, `file:/a` and `/a` name the same file; so do the schemes of S3.
export function comparable(location: string): string {
  return location.replace(/^file:(\/\/)?\//, '/').replace(/^s3[an]:/, 's3:');
}

export function comparablePath(expression: string): string {
  return `regexp_replace(regexp_replace(${expression}, '^file:(//)?/', '/'), '^s3[an]:', 's3:')`;
}
