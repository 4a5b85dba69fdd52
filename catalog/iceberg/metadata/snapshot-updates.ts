import { DailiesError } from '../../error.ts';
import type { MetadataDraft } from './metadata-draft.ts';
import type { Snapshot, SnapshotRef } from './table-metadata.ts';
import type { TableUpdate } from './table-updates.ts';

/** Adds a snapshot that no branch shows yet. Throws `commit_conflict` for one prepared before another that came first. */
export function addSnapshot(draft: MetadataDraft, snapshot: Snapshot): void {
  const { metadata } = draft;
  const id = snapshot['snapshot-id'];
  if (metadata.snapshots.some((known) => known['snapshot-id'] === id)) {
    throw new DailiesError('invalid', `Snapshot already exists for id: ${id}`);
  }
  if (metadata['format-version'] > 1) {
    const last = metadata['last-sequence-number'];
    const number = snapshot['sequence-number'];
    if (number <= last && snapshot['parent-snapshot-id'] !== null && snapshot['parent-snapshot-id'] !== undefined) {
      throw stale(`Cannot add snapshot with sequence number ${number} older than last sequence number ${last}`);
    }
    metadata['last-sequence-number'] = number > last ? number : last;
  }
  if (metadata['format-version'] >= 3) giveRowIds(draft, snapshot);
  metadata.snapshots = [...metadata.snapshots, snapshot];
  metadata['last-updated-ms'] = Math.max(metadata['last-updated-ms'], snapshot['timestamp-ms']);
  draft.addedSnapshots.add(id);
}

// Row ids of one snapshot follow on those of the one before (spec, Row Lineage).
function giveRowIds({ metadata }: MetadataDraft, snapshot: Snapshot): void {
  const next = metadata['next-row-id'] ?? 0n;
  const first = snapshot['first-row-id'];
  const added = snapshot['added-rows'];
  if (first === null || first === undefined) {
    throw new DailiesError('invalid', 'Cannot add a snapshot: first-row-id is null, and format version 3 needs it.');
  }
  if (added === null || added === undefined || added < 0n) {
    throw new DailiesError('invalid', 'Cannot add a snapshot: added-rows is null, and format version 3 needs it.');
  }
  if (first < next) {
    throw stale(`Cannot add a snapshot, first-row-id is behind table next-row-id: ${first} < ${next}`);
  }
  metadata['next-row-id'] = (first > next ? first : next) + added;
}

/** Points a branch or tag to a snapshot that the table has; the branch `main` is what the table shows. */
export function setRef(draft: MetadataDraft, update: TableUpdate & { action: 'set-snapshot-ref' }): void {
  const { metadata } = draft;
  const name = update['ref-name'];
  const id = update['snapshot-id'];
  const snapshot = metadata.snapshots.find((known) => known['snapshot-id'] === id);
  if (!snapshot) throw new DailiesError('invalid', `Cannot set ${name} to unknown snapshot: ${id}`);
  if (name === 'main' && update.type !== 'branch') {
    throw new DailiesError('invalid', 'The ref "main" is a branch and cannot be made a tag.');
  }
  metadata.refs = { ...metadata.refs, [name]: refOf(update) };
  if (name !== 'main' || metadata['current-snapshot-id'] === id) return;
  const previous = metadata['current-snapshot-id'];
  if (previous !== null && previous !== undefined && draft.addedSnapshots.has(previous)) {
    draft.passedSnapshots.add(previous);
  }
  draft.passedSnapshots.delete(id);
  metadata['current-snapshot-id'] = id;
  const isNew = draft.addedSnapshots.has(id);
  metadata['snapshot-log'] = [
    ...metadata['snapshot-log'],
    { 'timestamp-ms': isNew ? snapshot['timestamp-ms'] : metadata['last-updated-ms'], 'snapshot-id': id },
  ];
}

function refOf(update: TableUpdate & { action: 'set-snapshot-ref' }): SnapshotRef {
  const { type } = update;
  const maxRefAgeMs = update['max-ref-age-ms'] ?? null;
  const maxSnapshotAgeMs = update['max-snapshot-age-ms'] ?? null;
  const minSnapshots = update['min-snapshots-to-keep'] ?? null;
  return {
    'snapshot-id': update['snapshot-id'],
    type,
    ...(maxRefAgeMs === null ? {} : { 'max-ref-age-ms': maxRefAgeMs }),
    ...(maxSnapshotAgeMs === null ? {} : { 'max-snapshot-age-ms': maxSnapshotAgeMs }),
    ...(minSnapshots === null ? {} : { 'min-snapshots-to-keep': minSnapshots }),
  };
}

/** Forgets snapshots, with their statistics and the refs that point to them; ids that are gone already are passed over. */
export function removeSnapshots(draft: MetadataDraft, ids: readonly bigint[]): void {
  const { metadata } = draft;
  const removed = new Set(ids);
  for (const [name, ref] of Object.entries(metadata.refs)) {
    if (removed.has(ref['snapshot-id'])) removeRef(draft, name);
  }
  const isKept = (item: { 'snapshot-id': bigint }) => !removed.has(item['snapshot-id']);
  metadata.snapshots = metadata.snapshots.filter(isKept);
  if (metadata.statistics) metadata.statistics = metadata.statistics.filter(isKept);
  if (metadata['partition-statistics']) {
    metadata['partition-statistics'] = metadata['partition-statistics'].filter(isKept);
  }
  // What was current before a snapshot that is gone cannot be told any more: the log begins after it.
  const last = metadata['snapshot-log'].findLastIndex((entry) => !isKept(entry));
  if (last >= 0) metadata['snapshot-log'] = metadata['snapshot-log'].slice(last + 1);
}

/** Removes a branch or tag; without `main` the table is empty, though its log still tells what it showed before. */
export function removeRef({ metadata }: MetadataDraft, name: string): void {
  const { [name]: _removed, ...refs } = metadata.refs;
  metadata.refs = refs;
  if (name === 'main') metadata['current-snapshot-id'] = null;
}

function stale(message: string): DailiesError {
  return new DailiesError('commit_conflict', message);
}
