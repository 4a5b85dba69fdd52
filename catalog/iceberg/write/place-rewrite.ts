import { hasZonedNanos } from '../files/parquet-schema.ts';
import { PositionSet } from '../files/position-set.ts';
import { compactionOf } from '../maintenance/compaction.ts';
import type { DataFile } from '../manifests/manifest.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import { maintenanceSettings } from '../metadata/table-properties.ts';
import { removeFiles } from '../storage.ts';
import { writeDeletes } from './delete-writer.ts';
import type { FileLayout } from './open-files.ts';
import type { Rewrite, RewritePlan, RewriteSource } from './rewrite-files.ts';
import type { WorkingFile, WorkingFiles } from './working-files.ts';

/** Chooses some of these committed files that are worth being rewritten as one; null for none. */
export async function planRewrite(
  files: WorkingFiles,
  candidates: readonly WorkingFile[],
  layout: FileLayout,
  metadata: TableMetadata,
  newLocation: () => string,
): Promise<RewritePlan | null> {
  // DuckDB would read them in microseconds, and the rewrite keep those.
  if (hasZonedNanos(layout.schema.fields)) return null;
  const { settings } = maintenanceSettings(metadata.properties);
  const chosen = compactionOf(candidates, settings);
  if (chosen.length === 0) return null;
  const sources: RewriteSource[] = [];
  for (const working of chosen) {
    if (!working.entry) continue;
    const deleted = working.deletes.length > 0 ? await files.positionsOf(working) : null;
    sources.push({ entry: working.entry, deleted: deleted?.clone() ?? null });
  }
  return { sources, layout, keepsLineage: metadata['format-version'] >= 3, location: newLocation() };
}

/**
 * Puts a rewrite in place of its files: rows deleted since it was planned are deleted in the new file, too. `moved` is told
 * the file that rows are in now. Gives the files that the commit adds; null where the table has gone on without the
 * rewritten ones, or has come to another format: then nothing is changed.
 */
export async function placeRewrite(
  files: WorkingFiles,
  metadata: TableMetadata,
  { plan, file, moves }: Rewrite,
  moved: (location: string) => void,
): Promise<DataFile[] | null> {
  if (metadata['format-version'] >= 3 !== plan.keepsLineage) return null;
  const deleted = new PositionSet(file?.recordCount ?? 0);
  const present: WorkingFile[] = [];
  for (const { from, map } of moves) {
    const working = files.get(from);
    // A file leaves the table only when all of its rows are gone.
    const positions = working ? await files.positionsOf(working) : null;
    if (working) present.push(working);
    for (let position = 0; position < map.rowCount; position++) {
      const place = positions === null || positions.has(position) ? map.get(position) : null;
      if (place !== null) deleted.add(place);
    }
  }
  if (present.length === 0) return null;
  for (const working of present) files.remove(working);
  if (!file) return [];
  if (deleted.size >= file.recordCount) {
    await removeFiles([file.location]);
    return [];
  }
  files.add(file, deleted);
  moved(file.location);
  return [file, ...(await writeDeletes(files, metadata))];
}
