import { DuckDBBlobValue } from '@duckdb/node-api';
import { DailiesError } from '../../error.ts';
import { isDeletionVector, readDeletionVector } from '../files/deletion-vector.ts';
import { connectDuckdb } from '../files/duckdb-engine.ts';
import { literal } from '../files/duckdb-values.ts';
import type { PositionSet } from '../files/position-set.ts';
import { bitsLiteral, pathList } from '../files/read-parquet.ts';
import { ByteCache } from '../manifests/byte-cache.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { holdLocal, localPath } from '../storage.ts';
import type { LiveFile } from './live-files.ts';

/*
 * Which rows of a data file are deleted by position, as SQL over its row numbers: a mask, one bit a row, made by DuckDB of
 * the position delete files of small files, a constant for large ones and for deletion vectors.
 */

/** Bytes with one bit a row of the file, row 0 the highest bit of the first byte, as DuckDB's BIT has them. */
type MaskBits = Uint8Array;

/** Masks that are read already, by the location of their data file. */
export type FileMasks = ReadonlyMap<string, MaskBits>;

const cache = new ByteCache<MaskBits>(64 << 20);

/** Files with more rows have masks of their own, made when a scan is planned: as constants they are the cheapest a row. */
export const smallFileRows = 50_000;

/** Reads the masks of files that have a deletion vector, or that are large and have position deletes. Throws `table_corrupt`. */
export async function readMasks(files: readonly LiveFile[]): Promise<FileMasks> {
  const masks = new Map<string, MaskBits>();
  for (const file of files) {
    const { data, deletes } = file;
    const vector = deletes.find((entry) => isDeletionVector(entry.file));
    if (!vector && (deletes.length === 0 || data.file.recordCount <= smallFileRows)) continue;
    const names = deletes.map((entry) => `${entry.file.location} ${entry.file.contentOffset}`).sort();
    const key = [data.file.location, ...names].join('\n');
    const cached = cache.get(key);
    const bits =
      cached ??
      (vector ? bitsOf(await readDeletionVector(vector.file), data.file.recordCount) : await positionBits(file));
    if (!cached) cache.set(key, bits, bits.length + 2 * key.length + 200);
    masks.set(data.file.location, bits);
  }
  return masks;
}

/** The mask of a large file, made by DuckDB of its position delete files. */
async function positionBits(file: LiveFile): Promise<MaskBits> {
  const { recordCount } = file.data.file;
  // Of a number of bits that fills its bytes: others DuckDB pads in front.
  const bitCount = Math.ceil(recordCount / 8) * 8;
  const locations = file.deletes.map((entry) => parquetLocation(entry.file));
  using held = await holdLocal(locations);
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(
      `SELECT bitstring_agg(pos, 0, ${bitCount - 1})::BLOB FROM read_parquet(${pathList(held.paths)}) WHERE pos < ${recordCount}${aboutFile(file)}`,
    );
    const bits = reader.getRows()[0]?.[0];
    // Of no rows it is NULL. Copied: the memory is DuckDB's.
    return bits instanceof DuckDBBlobValue ? Uint8Array.from(bits.bytes) : new Uint8Array(bitCount / 8);
  } catch (cause) {
    throw new DailiesError('table_corrupt', `The position deletes in ${locations.join(', ')} cannot be read.`, {
      cause,
      details: { locations },
    });
  } finally {
    connection.closeSync();
  }
}

function bitsOf(positions: PositionSet, rowCount: number): MaskBits {
  const bits = new Uint8Array(Math.max(1, Math.ceil(rowCount / 8)));
  for (const position of positions.toArray()) {
    const row = Number(position);
    if (row < rowCount) bits[row >>> 3] = (bits[row >>> 3] ?? 0) | (0x80 >>> (row & 7));
  }
  return bits;
}

/** A condition that holds for deleted rows of one file; null if it has no position deletes. `row` is the row's number there. */
export function isDeleted(file: LiveFile, vectors: FileMasks, row: string): string | null {
  if (file.deletes.length === 0) return null;
  const bits = vectors.get(file.data.file.location);
  if (bits) return `get_bit(${bitsLiteral(bits)}, ${row}::INTEGER) = 1`;
  const last = Math.max(0, file.data.file.recordCount - 1);
  const source = `read_parquet(${pathList(deletePaths([file]))})`;
  return `coalesce(get_bit((SELECT bitstring_agg(pos, 0, ${last}) FROM ${source} WHERE pos <= ${last}${aboutFile(file)}), ${row}::INTEGER), 0) = 1`;
}

/** What narrows position deletes to those of one file; nothing where they are its own. */
function aboutFile(file: LiveFile): string {
  const { location } = file.data.file;
  if (file.deletes.every((entry) => entry.file.referencedDataFile === location)) return '';
  return ` AND ${comparablePath('file_path')} = ${literal(comparable(location))}`;
}

/** A join that gives each row of `data` its file's mask as `mask.bits`, NULL where the file has none. */
export function masksJoin(files: readonly LiveFile[], vectors: FileMasks, fileIndex: string): string | null {
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
