import fs from 'node:fs/promises';
import path from 'node:path';

/** One complete Parquet file of a result: rows `first` … `first + rows - 1`. */
interface SpoolPart {
  path: string;
  first: number;
  rows: number;
}

/** A part's file name says which rows it holds, so that the folder alone tells what there is, to any process. */
export function partName(ordinal: number, first: number, rows: number): string {
  return `part-${String(ordinal).padStart(6, '0')}-${first}-${rows}.parquet`;
}

/** The complete parts of a result in order of their rows; none if the folder is not there. */
export async function listParts(dir: string): Promise<SpoolPart[]> {
  let names: string[];
  try {
    names = await fs.readdir(dir);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  }
  const parts = names.flatMap((name) => {
    const match = /^part-\d+-(\d+)-(\d+)\.parquet$/.exec(name);
    return match ? [{ path: path.join(dir, name), first: Number(match[1]), rows: Number(match[2]) }] : [];
  });
  return parts.sort((a, b) => a.first - b.first);
}

/** The parts that hold any of the rows, and how many rows of the first of them come before. */
export function partsOf(
  parts: readonly SpoolPart[],
  offset: number,
  limit: number,
): { parts: SpoolPart[]; skip: number } {
  const chosen = parts.filter((part) => part.first < offset + limit && part.first + part.rows > offset);
  return { parts: chosen, skip: Math.max(0, offset - (chosen[0]?.first ?? 0)) };
}
