import { statisticsLeaves } from '../manifests/column-statistics.ts';
import type { ScannedFile } from './live-files.ts';
import type { RowFilter } from './pruning.ts';
import { smallFileRows } from './read-masks.ts';
import type { ScanColumn } from './scan-columns.ts';

/*
 * Two ways to leave out deleted rows of large files, and which of them costs a statement less:
 *
 *   side by side with files of masks   3 ns for every row, and every column that is read is decoded whole, by few threads
 *   by its number in a constant        20 ns for each row that fulfils the filter, and DuckDB decodes little of the others
 *
 * So side by side are read few and simple columns, where much of each file fulfils the filter. What manifests tell of columns'
 * sizes answers both, for nothing; a wrong guess costs time alone.
 */

/** About what reading a row may cost for the first way: of more, 20 ns are less than half. */
const mostReadNs = 50;

/** Of a filter that fewer rows fulfil, DuckDB decodes other columns for so few that the other way is no slower. */
const leastShare = 1 / 8;

/** `columns` are those that are read, `filter` what all wanted rows fulfil, null for nothing. */
export function isBestSideBySide(
  files: readonly ScannedFile[],
  columns: readonly ScanColumn[],
  filter: RowFilter | null,
): boolean {
  const masked = files.filter(({ data, deletes }) => deletes.length > 0 && data.file.recordCount > smallFileRows);
  const readNs = columns.reduce((sum, column) => sum + readNsOf(masked, column), 0);
  return readNs < mostReadNs && (filter === null || shareOf(masked, filter) >= leastShare);
}

/** About what DuckDB takes to read a column's value. */
function readNsOf(files: readonly ScannedFile[], { field, iceberg }: ScanColumn): number {
  const leaves = [...statisticsLeaves([field], [iceberg])];
  // Lists and maps have none.
  if (leaves.length === 0) return mostReadNs;
  return leaves.reduce((sum, { id, type }) => {
    if (type.kind !== 'string' && type.kind !== 'binary') return sum + 10;
    // Of few different texts, each is made once.
    return sum + ((storedBytes(files, id) ?? Infinity) < 0.5 ? 5 : 35);
  }, 0);
}

function storedBytes(files: readonly ScannedFile[], id: number): number | null {
  let rows = 0;
  let bytes = 0;
  for (const { data } of files) {
    const size = data.file.columnSizes.get(id);
    if (size === undefined) continue;
    rows += data.file.recordCount;
    bytes += size;
  }
  return rows === 0 ? null : bytes / rows;
}

/** About which share of the files' rows fulfils a filter, all over each file; 0 where it may be few of them, or parts of files. */
function shareOf(files: readonly ScannedFile[], filter: RowFilter): number {
  switch (filter.op) {
    case 'and':
      return filter.of.reduce((share, part) => share * shareOf(files, part), 1);
    case 'or':
      return Math.min(1, Math.max(0, ...filter.of.map((part) => shareOf(files, part))));
    case 'compare':
      return filter.by === '=' ? equalShare(storedBytes(files, filter.field.id)) : 0;
    default:
      return 0;
  }
}

/**
 * Values that take B bits each, compressed, are about 2^B different ones. Below half a bit they stand in runs, and DuckDB passes
 * over row groups of others.
 */
function equalShare(bytes: number | null): number {
  const bits = (bytes ?? Infinity) * 8;
  return bits < 0.5 ? 0 : 2 ** -bits;
}
