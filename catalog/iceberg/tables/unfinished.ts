import type { Snapshot, TableMetadata } from '../metadata/table-metadata.ts';

/**
 * The table property of a table whose first snapshot is under way; the commit that completes it takes it out. Its snapshots
 * till then have it in their summaries.
 */
export const unfinishedProperty = 'dailies.unfinished';

/** True where the table's first snapshot is under way, so that only its writer and maintenance may see it. */
export function isUnfinished(metadata: TableMetadata | null): boolean {
  return metadata?.properties[unfinishedProperty] === 'true';
}

/** True for a state of the table from before its first snapshot had ended. */
export function isOfUnfinished(snapshot: Snapshot): boolean {
  return snapshot.summary[unfinishedProperty] === 'true';
}
