import { DailiesError } from '../../error.ts';
import { maintenanceSettings } from '../metadata/table-properties.ts';
import { removeFiles, removeUnfinished } from '../storage.ts';
import type { ExpiryDeps } from './expire-table.ts';
import { findOrphans } from './orphans.ts';

/** What one search for orphans did. */
export interface OrphansResult {
  removed: number;
  removedBytes: number;
  /** Files below the table's location that were looked at. */
  files: number;
}

/**
 * Removes files below the table's location that nothing refers to, older than the table's setting. `held` are files of
 * commits under way in this process. Throws as `findOrphans`.
 */
export async function removeOrphans(
  deps: ExpiryDeps,
  name: string,
  held: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<OrphansResult> {
  const { catalog, state, now } = deps;
  const entry = await catalog.load(name, 'all');
  if (!entry) throw new DailiesError('not_found', `There is no table ${name}.`, { details: { table: name } });
  const { settings } = maintenanceSettings(entry.metadata.properties);
  const others: string[] = [];
  for (const other of await catalog.list(undefined, 'all')) {
    const location = other === name ? null : await catalog.locate(other, 'all');
    if (location !== null) others.push(location);
  }
  const beforeMs = now().getTime() - settings.orphanAgeMs;
  const search = await findOrphans(entry, beforeMs, held, others, signal);
  // Metadata files of another server's tables are its own to keep or remove.
  const orphans = search.orphans.filter(
    ({ location }) => catalog.kind === 'own' || !location.endsWith('.metadata.json'),
  );
  const locations = orphans.map((file) => file.location);
  for (let start = 0; start < locations.length; start += 500) {
    signal.throwIfAborted();
    const some = locations.slice(start, start + 500);
    await removeFiles(some);
    await state.expiredFile.deleteMany({ where: { location: { in: some } } });
  }
  await removeUnfinished(entry.metadata.location, beforeMs);
  await removeUnfinished(entry.metadata.location, beforeMs);
  const removedBytes = orphans.reduce((sum, file) => sum + file.sizeBytes, 0);
  return { removed: locations.length, removedBytes, files: search.files };
}
