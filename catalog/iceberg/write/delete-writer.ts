import { randomUUID } from 'node:crypto';
import { writeDeletionVector } from '../files/deletion-vector.ts';
import { writePositionDeletes } from '../files/position-deletes.ts';
import type { DataFile } from '../manifests/manifest.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import { removeFiles } from '../storage.ts';
import type { WorkingFiles } from './working-files.ts';

const parallelWrites = 8;

/**
 * Writes the deletes of all data files that the commit in hand touches: one file for each, with all of its deleted
 * positions, in place of its older ones. A data file of which every row is deleted leaves the table. Deletion vectors in
 * format 3, position delete files before it.
 */
export async function writeDeletes(files: WorkingFiles, metadata: TableMetadata): Promise<DataFile[]> {
  const isThird = metadata['format-version'] >= 3;
  const writes: (() => Promise<DataFile>)[] = [];
  for (const file of files.touched()) {
    const positions = await files.positionsOf(file);
    if (positions.size >= file.file.recordCount) {
      files.remove(file);
      if (!file.entry) await removeFiles([file.file.location]);
      continue;
    }
    const base = `${metadata.location}/data/${randomUUID()}-deletes`;
    writes.push(() =>
      isThird
        ? writeDeletionVector(file.file, positions, `${base}.puffin`)
        : writePositionDeletes(file.file, positions, `${base}.parquet`),
    );
    files.removeDeletes(file);
  }
  const written: DataFile[] = [];
  // A few at a time: they wait for the disk more than they compute.
  for (let start = 0; start < writes.length; start += parallelWrites) {
    const some = writes.slice(start, start + parallelWrites);
    written.push(...(await Promise.all(some.map((write) => write()))));
  }
  return written;
}
