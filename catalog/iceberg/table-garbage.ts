import { filesOfExpired } from './garbage.ts';
import type { KeyIndex } from './key-index.ts';
import { removeFiles } from './storage.ts';
import type { Snapshot, TableMetadata } from './table-metadata.ts';
import type { TableUpdate } from './table-updates.ts';

const retention = { minSnapshots: 100, maxSnapshots: 500, maxAgeMs: 15 * 60_000 };
/** Files stay on disk this long after the last snapshot that needs them, for queries that still run. */
const graceMs = 10 * 60_000;

/** Forgets the snapshots that are older than is kept, once `snapshot` is the newest. What people named stays. */
export function expiryUpdates(metadata: TableMetadata, snapshot: Snapshot): TableUpdate[] {
  const isLine = Object.entries(metadata.refs).every(([name, ref]) => name === 'main' && ref.type === 'branch');
  if (!isLine) return [];
  const snapshots = [...metadata.snapshots, snapshot];
  const excess = snapshots.length - retention.minSnapshots;
  const tooMany = snapshots.length - retention.maxSnapshots;
  const oldestMs = snapshot['timestamp-ms'] - retention.maxAgeMs;
  const ids = snapshots
    .filter((candidate, index) => index < tooMany || (index < excess && candidate['timestamp-ms'] < oldestMs))
    .map((candidate) => candidate['snapshot-id']);
  return ids.length === 0 ? [] : [{ action: 'remove-snapshots', 'snapshot-ids': ids }];
}

/** Removes the files that a commit has left to nobody, those of expired snapshots some time later. */
export async function collectGarbage(
  store: KeyIndex,
  before: TableMetadata | null,
  after: TableMetadata,
  nowMs: number,
): Promise<void> {
  if (!before) return;
  const logged = new Set(after['metadata-log'].map((entry) => entry['metadata-file']));
  const old = before['metadata-log'].map((entry) => entry['metadata-file']).filter((file) => !logged.has(file));
  await removeFiles(old);
  const kept = new Set(after.snapshots.map((snapshot) => snapshot['snapshot-id']));
  const line = [...before.snapshots, ...after.snapshots.slice(-1)];
  const locations: string[] = [];
  for (const [index, snapshot] of line.entries()) {
    const next = line[index + 1];
    if (next && !kept.has(snapshot['snapshot-id'])) locations.push(...(await filesOfExpired(snapshot, next)));
  }
  if (locations.length > 0) await store.addGarbage(locations, nowMs + graceMs);
  const due = store.dueGarbage(nowMs);
  if (due.length === 0) return;
  await removeFiles(due);
  await store.removeGarbage(due);
}
