import { DuckDBBlobValue } from '@duckdb/node-api';
import { DailiesError } from '../../error.ts';
import { isDeletionVector, readDeletionVector } from '../files/deletion-vector.ts';
import { connectDuckdb } from '../files/duckdb-engine.ts';
import { countBits, type PositionSet } from '../files/position-set.ts';
import { pathList, reversedBits } from '../files/read-parquet.ts';
import { ByteCache } from '../manifests/byte-cache.ts';
import { holdLocal } from '../storage.ts';
import { aboutFile, deleteLocations, namedDeletes } from './delete-masks.ts';
import type { LiveFile } from './live-files.ts';

/** Which rows of a data file are deleted by position. */
export interface DeleteMask {
  /** Row `n` is deleted where byte `n >> 3` has the bit `1 << (n & 7)`. Rows that the file does not have are not. */
  bits: Uint8Array;
  /** How many rows are deleted. */
  deleted: number;
}

/** Masks that are read already, by the location of their data file. */
export type FileMasks = ReadonlyMap<string, DeleteMask>;

const cache = new ByteCache<DeleteMask>(64 << 20);

/** Files with more rows have masks of their own, made when a scan is planned. */
export const smallFileRows = 50_000;

/** Small files whose masks one statement makes: as many as DuckDB joins by name at ease. */
const filesAtOnce = 1000;

/**
 * Reads the masks of files that have a deletion vector, or that are large and have position deletes; with `isAll` those of
 * small files too. Throws `table_corrupt`.
 */
export async function readMasks(files: readonly LiveFile[], isAll = false): Promise<FileMasks> {
  const masks = new Map<string, DeleteMask>();
  const keep = (file: LiveFile, mask: DeleteMask) => {
    const key = cacheKey(file);
    cache.set(key, mask, mask.bits.length + 2 * key.length + 200);
    masks.set(file.data.file.location, mask);
  };
  const small: LiveFile[] = [];
  for (const file of files) {
    const { location, recordCount } = file.data.file;
    const vector = file.deletes.find((entry) => isDeletionVector(entry.file));
    const isSmall = recordCount <= smallFileRows;
    if (!vector && (file.deletes.length === 0 || (isSmall && !isAll))) continue;
    const cached = cache.get(cacheKey(file));
    if (cached) masks.set(location, cached);
    else if (vector) keep(file, maskOf(await readDeletionVector(vector.file), recordCount));
    else if (isSmall) small.push(file);
    else keep(file, await largeMask(file));
  }
  for (let start = 0; start < small.length; start += filesAtOnce) {
    const some = small.slice(start, start + filesAtOnce);
    for (const [index, mask] of (await smallMasks(some)).entries()) keep(some[index] as LiveFile, mask);
  }
  return masks;
}

function cacheKey({ data, deletes }: LiveFile): string {
  const names = deletes.map((entry) => `${entry.file.location} ${entry.file.contentOffset}`).sort();
  return [data.file.location, ...names].join('\n');
}

function maskOf(positions: PositionSet, rowCount: number): DeleteMask {
  const { words, size } = positions.below(rowCount);
  const bits = new Uint8Array(Math.max(1, Math.ceil(rowCount / 8)));
  const view = new DataView(new ArrayBuffer(words.length * 4));
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word, true);
  bits.set(new Uint8Array(view.buffer).subarray(0, bits.length));
  return { bits, deleted: size };
}

/** The mask of a large file, made by DuckDB of its position delete files. */
async function largeMask(file: LiveFile): Promise<DeleteMask> {
  const { recordCount } = file.data.file;
  const [bits] = await bitsOf(
    [file],
    (paths) =>
      `SELECT 0, bitstring_agg(pos, 0, ${wholeBytes(recordCount) * 8 - 1})::BLOB FROM read_parquet(${paths}) WHERE pos < ${recordCount}${aboutFile(file)}`,
  );
  return maskOfBits(bits, recordCount);
}

async function smallMasks(files: readonly LiveFile[]): Promise<DeleteMask[]> {
  const most = Math.max(...files.map(({ data }) => data.file.recordCount));
  const named = files.map((file, index) => ({ file, index }));
  const bits = await bitsOf(
    files,
    (paths) =>
      `SELECT named.i, bitstring_agg(deleted.pos, 0, ${wholeBytes(most) * 8 - 1})::BLOB FROM ${namedDeletes(paths, named)} WHERE deleted.pos < named.rows GROUP BY named.i`,
  );
  return files.map(({ data }, index) => maskOfBits(bits[index], data.file.recordCount));
}

/** The bits by number that a statement over the files' deletes gives, row 0 the highest bit of the first byte. */
async function bitsOf(files: readonly LiveFile[], select: (paths: string) => string): Promise<Uint8Array[]> {
  const locations = deleteLocations(files);
  using held = await holdLocal(locations);
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(select(pathList(held.paths)));
    const all: Uint8Array[] = [];
    for (const [index, bits] of reader.getRows()) {
      // Of no rows it is NULL.
      if (bits instanceof DuckDBBlobValue) all[Number(index)] = bits.bytes;
    }
    return all;
  } catch (cause) {
    throw new DailiesError('table_corrupt', `The position deletes in ${locations.join(', ')} cannot be read.`, {
      cause,
      details: { locations },
    });
  } finally {
    connection.closeSync();
  }
}

/** DuckDB's BIT pads in front where its bits do not fill their bytes: all are made to. */
function wholeBytes(rowCount: number): number {
  return Math.max(1, Math.ceil(rowCount / 8));
}

function maskOfBits(highestFirst: Uint8Array | undefined, rowCount: number): DeleteMask {
  const bits = new Uint8Array(wholeBytes(rowCount));
  if (highestFirst) bits.set(reversedBits(highestFirst.subarray(0, bits.length)));
  let deleted = 0;
  for (const byte of bits) deleted += countBits(byte);
  return { bits, deleted };
}
