import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodeBitColumn } from '../files/bit-columns.ts';
import { literal } from '../files/duckdb-values.ts';
import { diskError } from '../storage/location.ts';
import type { ScannedFile } from './live-files.ts';
import { type FileMasks, smallFileRows } from './read-masks.ts';

/*
 * Masks of large files as Parquet files beside the scan, for statements that read all rows:
 *
 *   data POSITIONAL JOIN bits WHERE bit
 *
 * costs some 3 ns a row, a mask in the SQL 20, since DuckDB looks for bits one call at a time. But both files are read side by
 * side from their first row to their last: no condition on the data can skip any, and one thread alone does it. So it is for
 * statements that aggregate whole tables, and large files are read in several parts. A mask has as many bits as the manifest says
 * that its file has rows, which is what counts are taken from, too: one that was shorter would need a dearer condition.
 */

/** Where masks may be written, by whom they are needed. */
export interface MaskFolder {
  /** Absolute path; made where it is not there. Whoever asked removes it when the scan has run. */
  path: string;
  /** Threads that will run the scan. */
  threads: number;
  /** Files of fewer rows are read by one thread: finding where parts begin costs more than it saves. */
  leastPartRows?: number;
}

/** A part of a data file, and how its deleted rows are left out. */
export interface MaskedPart {
  /** Row numbers, the first one and the one after the last, null for the file's end; null for the whole file. */
  range: RowRange | null;
  /** What joins `data` with the mask, and what then holds for rows that are left: both null where no row is deleted. */
  join: string | null;
  where: string | null;
  /** True if those name the row's number, `data.r`. */
  usesPlace: boolean;
}

interface RowRange {
  from: number;
  to: number | null;
}

export interface MaskFiles {
  /** How a data file is read, by its location; those of other files are as they are without a folder. */
  parts: ReadonlyMap<string, readonly MaskedPart[]>;
  /** Absolute paths of what was written. */
  paths: readonly string[];
}

export const noMaskFiles: MaskFiles = { parts: new Map(), paths: [] };

/** Parts of a file begin at multiples of it, so at whole bytes of its mask; about the rows of a row group. */
const rangeStep = 1 << 17;

/** Writes the masks of large files, those aside that other deletes join, for a scan of all rows. Throws `disk_full`. */
export async function writeMasks(
  folder: MaskFolder,
  files: readonly ScannedFile[],
  masks: FileMasks,
): Promise<MaskFiles> {
  const parts = new Map<string, readonly MaskedPart[]>();
  const paths: string[] = [];
  const write = async (bits: Uint8Array, count: number) => {
    const file = path.join(folder.path, `${randomUUID()}.parquet`);
    await writeNew(file, encodeBitColumn(bits, count));
    paths.push(file);
    return `read_parquet(${literal(file)})`;
  };
  const allRows = files.reduce((sum, { data }) => sum + data.file.recordCount, 0);
  const { threads, leastPartRows = 4_000_000 } = folder;
  const partRows = Math.ceil(Math.max(allRows / threads, leastPartRows) / rangeStep) * rangeStep;
  for (const file of files) {
    const { location, recordCount } = file.data.file;
    const mask = masks.get(location);
    if (!mask || recordCount <= smallFileRows || file.equalityDeletes.length > 0) continue;
    const own: MaskedPart[] = [];
    for (const range of rangesOf(recordCount, partRows)) {
      const { from, to } = range ?? { from: 0, to: null };
      const bits = mask.bits.subarray(from / 8, to === null ? undefined : to / 8);
      const isClean = bits.every((byte) => byte === 0);
      // Bits of rows that are left.
      const live = isClean
        ? null
        : await write(
            bits.map((byte) => ~byte),
            (to ?? recordCount) - from,
          );
      const join = live === null ? null : `POSITIONAL JOIN ${live} AS mask`;
      own.push({ range, join, where: live === null ? null : 'mask.bit', usesPlace: false });
    }
    parts.set(location, own);
  }
  return { parts, paths };
}

/** Parts of about equal size, none much above `partRows`. */
function rangesOf(rows: number, partRows: number): (RowRange | null)[] {
  const count = Math.max(1, Math.round(rows / partRows));
  if (count === 1) return [null];
  const size = Math.ceil(rows / count / rangeStep) * rangeStep;
  const ranges: RowRange[] = [];
  for (let from = 0; from < rows; from += size) ranges.push({ from, to: from + size < rows ? from + size : null });
  return ranges;
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes, { flag: 'wx' });
  } catch (thrown) {
    throw diskError(thrown, file);
  }
}
