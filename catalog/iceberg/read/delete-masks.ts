import { DailiesError } from '../../error.ts';
import { literal } from '../files/duckdb-values.ts';
import { bitsLiteral, pathList } from '../files/read-parquet.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { localPath } from '../storage.ts';
import type { LiveFile } from './live-files.ts';
import type { FileMasks } from './read-masks.ts';

/*
 * Which rows of a data file are deleted by position, as SQL over its row numbers: a mask, one bit a row, made by DuckDB of
 * the position delete files of small files, constants for large ones and for deletion vectors.
 */

/**
 * A condition that holds for rows that are left of files with constant masks: `row` is the row's number in its file, `file` the
 * file's index, where those after the last have no deletes.
 */
export function isLive(files: readonly LiveFile[], masks: FileMasks, file: string, row: string): string {
  const live = files.map(({ data }) => {
    const bits = masks.get(data.file.location)?.bits;
    return bits ? bitIs(0, bits, row) : 'true';
  });
  return byHalves([...live, 'true'], (index) => `${file} < ${index}`);
}

/** DuckDB copies a constant for each 2,048 rows: parts of 64 KiB cost it less than finding the part, a whole mask more than all else. */
const constantRows = 1 << 19;

/** A condition that holds for rows whose bit, lowest first, is 0 or 1. */
export function bitIs(value: 0 | 1, bits: Uint8Array, row: string): string {
  const parts: string[] = [];
  for (let from = 0; from < bits.length; from += constantRows / 8) {
    const part = bits.subarray(from, from + constantRows / 8);
    const place = from === 0 ? row : `(${row} - ${from * 8})`;
    if (part.some((byte) => byte !== 0)) parts.push(`get_bit(${bitsLiteral(part)}, ${place}::INTEGER) = ${value}`);
    else parts.push(value === 0 ? 'true' : 'false');
  }
  return byHalves(parts, (index) => `${row} < ${index * constantRows}`);
}

/** The condition of the case that a row is in, found by halving them: `isBefore` tells that it is one before the index. */
function byHalves(cases: readonly string[], isBefore: (index: number) => string, first = 0): string {
  const half = Math.ceil(cases.length / 2);
  const sides = [cases.slice(0, half), cases.slice(half)] as const;
  if (sides[1].length === 0) return cases[0] ?? 'true';
  const before = byHalves(sides[0], isBefore, first);
  const after = byHalves(sides[1], isBefore, first + half);
  return before === after ? before : `CASE WHEN ${isBefore(first + half)} THEN ${before} ELSE ${after} END`;
}

/** What narrows position deletes to those of one file; nothing where they are its own. */
export function aboutFile(file: LiveFile): string {
  const { location } = file.data.file;
  if (file.deletes.every((entry) => entry.file.referencedDataFile === location)) return '';
  return ` AND ${comparablePath('file_path')} = ${literal(comparable(location))}`;
}

/** A join that gives each row of `data` its file's mask as `mask.bits`, NULL where the file has none. */
export function masksJoin(files: readonly LiveFile[], masks: FileMasks, fileIndex: string): string | null {
  const constant: string[] = [];
  const joined: { index: number; file: LiveFile }[] = [];
  for (const [index, file] of files.entries()) {
    const mask = masks.get(file.data.file.location);
    if (mask) constant.push(`(${index}, ${bitsLiteral(mask.bits)})`);
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

function positionMasks(files: readonly NumberedFile[]): string {
  const last = Math.max(0, ...files.map(({ file }) => file.data.file.recordCount - 1));
  const paths = pathList(deleteLocations(files.map(({ file }) => file)).map(localPath));
  return `SELECT named.i, bitstring_agg(deleted.pos, 0, ${last}) FROM ${namedDeletes(paths, files)} WHERE deleted.pos <= ${last} GROUP BY named.i`;
}

interface NumberedFile {
  index: number;
  file: LiveFile;
}

/** Position deletes as `deleted`, joined to the data file that they are of: `named.i` its number, `named.rows` its rows. */
export function namedDeletes(paths: string, files: readonly NumberedFile[]): string {
  const named = files.map(({ index, file: { data } }) => {
    return `(${index}, ${literal(comparable(data.file.location))}, ${data.file.recordCount})`;
  });
  return `read_parquet(${paths}) AS deleted JOIN (VALUES ${named.join(', ')}) AS named(i, path, rows) ON ${comparablePath('deleted.file_path')} = named.path`;
}

/** The position delete files of these data files, each once. Throws `unsupported` naming one that is not Parquet. */
export function deleteLocations(files: readonly LiveFile[]): string[] {
  return [...new Set(files.flatMap((file) => file.deletes.map((entry) => parquetLocation(entry.file))))];
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
