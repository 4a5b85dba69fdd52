import fs from 'node:fs/promises';
import { DailiesError } from '../error.ts';
import { localPath } from '../iceberg/storage.ts';

/** The files that a statement reads of one table. */
export interface TableFiles {
  /** namespace.table */
  name: string;
  locations: readonly string[];
}

/**
 * Looks at the files of a statement that failed: one that is gone or not a whole Parquet file is why. Null if all are there.
 */
export async function damagedFile(tables: readonly TableFiles[]): Promise<DailiesError | null> {
  for (const { name, locations } of tables) {
    for (const location of locations) {
      const damage = await damageOf(localPath(location));
      if (damage === null) continue;
      return new DailiesError(
        'table_corrupt',
        `${name} cannot be read: its file ${location} ${damage}. Read it as of an earlier time, or restore the file.`,
        { details: { table: name, location } },
      );
    }
  }
  return null;
}

// A Parquet file begins and ends with its magic bytes; before the last ones stands the length of the footer.
async function damageOf(path: string): Promise<string | null> {
  const file = await fs.open(path).catch((thrown: unknown) => {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return null;
    throw thrown;
  });
  if (file === null) return 'is gone';
  try {
    const { size } = await file.stat();
    const tail = Buffer.alloc(8);
    await file.read(tail, 0, 8, Math.max(0, size - 8));
    const isWhole = size >= 12 && tail.subarray(4).toString('latin1') === 'PAR1' && tail.readUInt32LE() + 12 <= size;
    return isWhole ? null : 'is torn';
  } finally {
    await file.close();
  }
}
