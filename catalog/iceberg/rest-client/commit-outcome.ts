import type { TableMetadata } from '../metadata/table-metadata.ts';
import type { TableUpdate } from '../metadata/table-updates.ts';
import type { TableCommit } from '../tables/table-catalog.ts';

/**
 * Whether a table shows that a commit was applied to it. A commit with snapshots has been if they are there: their ids are
 * nobody else's. Others are judged by what they were to bring about, which somebody else may have brought about too: that
 * is as good. `unclear` where the updates leave no mark that can be told.
 */
export function outcomeOf(commit: TableCommit, metadata: TableMetadata | null): 'applied' | 'absent' | 'unclear' {
  if (!metadata) return 'absent';
  const marks = commit.updates.map((update) => markOf(update, metadata));
  const ofSnapshots = marks.filter((_, index) => commit.updates[index]?.action === 'add-snapshot');
  const decisive = ofSnapshots.length > 0 ? ofSnapshots : marks.filter((mark) => mark !== null);
  if (decisive.length === 0) return 'unclear';
  return decisive.every((mark) => mark === true) ? 'applied' : 'absent';
}

/** True if the table's current snapshot is the one that the commit made current, or if it made none current. */
export function isCurrent(commit: TableCommit, metadata: TableMetadata): boolean {
  const main = commit.updates.findLast(
    (update) => update.action === 'set-snapshot-ref' && update['ref-name'] === 'main',
  );
  return main?.action !== 'set-snapshot-ref' || metadata['current-snapshot-id'] === main['snapshot-id'];
}

function markOf(update: TableUpdate, metadata: TableMetadata): boolean | null {
  const hasSnapshot = (id: bigint) => metadata.snapshots.some((snapshot) => snapshot['snapshot-id'] === id);
  switch (update.action) {
    case 'add-snapshot':
      return hasSnapshot(update.snapshot['snapshot-id']);
    case 'assign-uuid':
      return metadata['table-uuid'] === update.uuid;
    case 'remove-snapshots':
      return !update['snapshot-ids'].some(hasSnapshot);
    case 'set-snapshot-ref':
      return metadata.refs[update['ref-name']]?.['snapshot-id'] === update['snapshot-id'];
    case 'remove-snapshot-ref':
      return !(update['ref-name'] in metadata.refs);
    case 'set-properties':
      return Object.entries(update.updates).every(([key, value]) => metadata.properties[key] === value);
    case 'remove-properties':
      return !update.removals.some((key) => key in metadata.properties);
    default:
      return null;
  }
}
