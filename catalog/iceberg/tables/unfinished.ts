import type { TableMetadata } from '../metadata/table-metadata.ts';

/** The table property of a table whose first snapshot is under way; the commit that completes it takes it out. */
export const unfinishedProperty = 'dailies.unfinished';

/** True where the table's first snapshot is under way, so that only its writer and maintenance may see it. */
export function isUnfinished(metadata: TableMetadata | null): boolean {
  return metadata?.properties[unfinishedProperty] === 'true';
}
