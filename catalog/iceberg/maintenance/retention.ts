import { currentSnapshot, type Snapshot, type SnapshotRef, type TableMetadata } from '../metadata/table-metadata.ts';
import type { MaintenanceSettings } from '../metadata/table-properties.ts';
import type { TableUpdate } from '../metadata/table-updates.ts';

/*
 * Which snapshots a table keeps (iceberg.apache.org/spec, Snapshot Retention Policy). The table's line is the history of
 * its main branch:
 *
 *   now ── all that was current within an hour ── the last state of each hour ── the last state of each UTC day ── gone
 *            beyond the cap, thinned                two days, tags                 thirty days, tags
 *
 * Thinning leaves gaps: a snapshot's parent may be gone while older ones are still there. `mainLine` bridges them.
 */

type Settings = Pick<
  MaintenanceSettings,
  'maxSnapshotAgeMs' | 'minSnapshots' | 'maxRefAgeMs' | 'maxSnapshots' | 'hourlyTags' | 'dailyTags'
>;

/** What one look at a table's history comes to. */
export interface Expiry {
  /** Snapshots that go, oldest first. */
  expired: bigint[];
  /** Branches and tags that go. */
  removedRefs: string[];
  /** Tags of the history that are new, or move. */
  tags: { name: string; snapshotId: bigint; maxAgeMs: number }[];
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const prefix = 'dailies-';

/** True for the name of a tag by which maintenance keeps history; people's own are all others. */
export function isHistoryTag(name: string): boolean {
  return /^dailies-(hour-\d{4,}-\d\d-\d\dT\d\d|day-\d{4,}-\d\d-\d\d)$/.test(name);
}

/** The tag of the last state within the UTC hour or day that holds `timeMs`: `dailies-hour-2026-11-25T14`, `dailies-day-2026-11-25`. */
export function historyTag(unit: 'hour' | 'day', timeMs: number): string {
  return `${prefix}${unit}-${new Date(timeMs).toISOString().slice(0, unit === 'hour' ? 13 : 10)}`;
}

/**
 * The snapshots of the table's own line, newest first: those that main descends from, and, beyond a gap that thinning has
 * left, those that maintenance tagged or our writer made. A state that a rollback has left is not on the line.
 */
export function mainLine(metadata: TableMetadata): Snapshot[] {
  const byId = new Map(metadata.snapshots.map((snapshot) => [snapshot['snapshot-id'], snapshot]));
  const line = ancestorsOf(currentSnapshot(metadata), byId);
  const oldest = line.at(-1);
  if (!oldest || isFirst(oldest)) return line;
  const elsewhere = new Set<bigint>();
  for (const [name, ref] of Object.entries(metadata.refs)) {
    if (name === 'main' || isHistoryTag(name)) continue;
    // Beyond a gap it cannot be told whether what people keep is of this line.
    for (const { 'snapshot-id': id } of ancestorsOf(byId.get(ref['snapshot-id']), byId)) {
      elsewhere.add(id);
      if (ref.type === 'tag') break;
    }
  }
  const tagged = new Set(
    Object.entries(metadata.refs).flatMap(([name, ref]) => (isHistoryTag(name) ? [ref['snapshot-id']] : [])),
  );
  const beyond = metadata.snapshots.filter((snapshot) => {
    if (!isBefore(snapshot, oldest)) return false;
    const id = snapshot['snapshot-id'];
    return tagged.has(id) || (!elsewhere.has(id) && isOurs(snapshot));
  });
  const below = beyond.sort((a, b) => (isBefore(a, b) ? 1 : -1));
  return [...line, ...withoutRolledBack(below, byId)];
}

// Between a snapshot and its parent nothing is on the line.
function withoutRolledBack(newestFirst: readonly Snapshot[], byId: ReadonlyMap<bigint, Snapshot>): Snapshot[] {
  const kept: Snapshot[] = [];
  let parent: Snapshot | null = null;
  for (const snapshot of newestFirst) {
    if (parent && isBefore(parent, snapshot)) continue;
    kept.push(snapshot);
    parent = parentOf(snapshot, byId);
  }
  return kept;
}

/** What goes and what is tagged now. `pinned` snapshots are being read: they stay. */
export function planExpiry(
  metadata: TableMetadata,
  settings: Settings,
  nowMs: number,
  pinned: ReadonlySet<bigint> = new Set(),
): Expiry {
  const byId = new Map(metadata.snapshots.map((snapshot) => [snapshot['snapshot-id'], snapshot]));
  const main = refOf(metadata, 'main');
  const line = mainLine(metadata);
  const window = keptOf(line, main, settings, nowMs);
  const kept = new Set([...thinned(window, settings, nowMs), ...aroundRolledBack(metadata, line)].map(idOf));
  for (const id of pinned) kept.add(id);
  const removedRefs: string[] = [];
  const history = historyOf(line, new Set(window.map(idOf)), settings, nowMs);
  for (const [name, ref] of Object.entries(metadata.refs)) {
    if (name === 'main') continue;
    const head = byId.get(ref['snapshot-id']);
    if (isHistoryTag(name) ? !history.has(name) : !head || isTooOld(ref, head, settings, nowMs)) {
      removedRefs.push(name);
      continue;
    }
    if (isHistoryTag(name) || !head) continue;
    if (ref.type === 'tag') kept.add(ref['snapshot-id']);
    else for (const snapshot of keptOf(ancestorsOf(head, byId), ref, settings, nowMs)) kept.add(idOf(snapshot));
  }
  const tags: Expiry['tags'] = [];
  for (const [name, { snapshotId, maxAgeMs }] of history) {
    kept.add(snapshotId);
    const known = metadata.refs[name];
    if (known?.['snapshot-id'] !== snapshotId) tags.push({ name, snapshotId, maxAgeMs });
  }
  const onLine = new Set(line.map(idOf));
  const isStaged = (snapshot: Snapshot) =>
    // What no branch has yet (or any more) stays as long as any other state.
    !onLine.has(idOf(snapshot)) && snapshot['timestamp-ms'] >= nowMs - settings.maxSnapshotAgeMs;
  const expired = metadata.snapshots.filter((snapshot) => !kept.has(idOf(snapshot)) && !isStaged(snapshot));
  return { expired: expired.map(idOf), removedRefs, tags };
}

/** The commit that makes it so; null where nothing changes. A batch at a time: `atMost` snapshots go. */
export function expiryUpdates(metadata: TableMetadata, expiry: Expiry, atMost = 1_000): TableUpdate[] | null {
  const updates: TableUpdate[] = expiry.tags.map(({ name, snapshotId, maxAgeMs }) => ({
    action: 'set-snapshot-ref',
    'ref-name': name,
    type: 'tag',
    'snapshot-id': snapshotId,
    'max-ref-age-ms': BigInt(maxAgeMs),
  }));
  for (const name of expiry.removedRefs) updates.push({ action: 'remove-snapshot-ref', 'ref-name': name });
  const ids = expiry.expired.slice(0, atMost);
  const gone = new Set(ids);
  for (const { 'snapshot-id': id } of metadata.statistics ?? []) {
    if (gone.has(id)) updates.push({ action: 'remove-statistics', 'snapshot-id': id });
  }
  for (const { 'snapshot-id': id } of metadata['partition-statistics'] ?? []) {
    if (gone.has(id)) updates.push({ action: 'remove-partition-statistics', 'snapshot-id': id });
  }
  if (ids.length > 0) updates.push({ action: 'remove-snapshots', 'snapshot-ids': ids });
  return updates.length === 0 ? null : updates;
}

/** Those that a branch keeps: the newest, and whatever was current within the age. */
function keptOf(
  newestFirst: readonly Snapshot[],
  branch: SnapshotRef | null,
  settings: Settings,
  nowMs: number,
): Snapshot[] {
  const min = Math.max(1, branch?.['min-snapshots-to-keep'] ?? settings.minSnapshots);
  const sinceMs = nowMs - Number(branch?.['max-snapshot-age-ms'] ?? settings.maxSnapshotAgeMs);
  // A snapshot was current until the next one came.
  const end = newestFirst.findIndex((_, index) => {
    const next = newestFirst[index - 1];
    return index >= min && next !== undefined && next['timestamp-ms'] < sinceMs;
  });
  return end < 0 ? [...newestFirst] : newestFirst.slice(0, end);
}

/** Of more snapshots than the cap: the newest half whole, of the others the last in each of evenly long spans. */
function thinned(newestFirst: readonly Snapshot[], settings: Settings, nowMs: number): Snapshot[] {
  const { maxSnapshots, maxSnapshotAgeMs, minSnapshots } = settings;
  if (newestFirst.length <= maxSnapshots) return [...newestFirst];
  const whole = Math.max(Math.ceil(maxSnapshots / 2), Math.min(minSnapshots, maxSnapshots));
  const spanMs = Math.max(1, Math.ceil(maxSnapshotAgeMs / Math.max(1, maxSnapshots - whole - 2)));
  const rest = newestFirst.slice(whole);
  const seen = new Set<number>();
  const last = rest.filter((snapshot) => {
    // All that is older than the window is one span: it holds the state at the window's begin.
    const timeMs = Math.max(snapshot['timestamp-ms'], nowMs - maxSnapshotAgeMs - 1);
    const span = Math.floor(timeMs / spanMs);
    return !seen.has(span) && seen.add(span);
  });
  return [...newestFirst.slice(0, whole), ...last];
}

/**
 * The two ends of each step of the line that leaves out snapshots, for these were rolled back: as long as they are there,
 * the step tells that they are not on the line.
 */
function aroundRolledBack(metadata: TableMetadata, line: readonly Snapshot[]): Snapshot[] {
  const onLine = new Set(line.map(idOf));
  const others = metadata.snapshots.filter((snapshot) => !onLine.has(idOf(snapshot)) && isOurs(snapshot));
  if (others.length === 0) return [];
  return line.flatMap((snapshot, index) => {
    const before = line[index + 1];
    const isStep = before && before['snapshot-id'] === snapshot['parent-snapshot-id'];
    const leavesOut = isStep && others.some((other) => isBefore(before, other) && isBefore(other, snapshot));
    return leavesOut ? [snapshot, before] : [];
  });
}

/** The tags that are due: of each hour and day the last state, unless it is still kept without. */
function historyOf(
  line: readonly Snapshot[],
  window: ReadonlySet<bigint>,
  settings: Settings,
  nowMs: number,
): Map<string, { snapshotId: bigint; maxAgeMs: number }> {
  const history = new Map<string, { snapshotId: bigint; maxAgeMs: number }>();
  const units = [
    { unit: 'hour', unitMs: hourMs, keptMs: settings.hourlyTags * hourMs },
    { unit: 'day', unitMs: dayMs, keptMs: settings.dailyTags * dayMs },
  ] as const;
  for (const { unit, unitMs, keptMs } of units) {
    const seen = new Set<number>();
    for (const snapshot of line) {
      const bucket = Math.floor(snapshot['timestamp-ms'] / unitMs);
      if (seen.has(bucket)) continue;
      seen.add(bucket);
      if (window.has(idOf(snapshot)) || (bucket + 1) * unitMs <= nowMs - keptMs) continue;
      // Others that expire by age count from the snapshot's time, which is up to one unit before the bucket's end.
      const tag = { snapshotId: idOf(snapshot), maxAgeMs: keptMs + unitMs };
      history.set(historyTag(unit, snapshot['timestamp-ms']), tag);
    }
  }
  return history;
}

function isTooOld(ref: SnapshotRef, head: Snapshot, settings: Settings, nowMs: number): boolean {
  return nowMs - head['timestamp-ms'] > Number(ref['max-ref-age-ms'] ?? settings.maxRefAgeMs);
}

function refOf(metadata: TableMetadata, name: string): SnapshotRef | null {
  return metadata.refs[name] ?? null;
}

function ancestorsOf(head: Snapshot | null | undefined, byId: ReadonlyMap<bigint, Snapshot>): Snapshot[] {
  const line: Snapshot[] = [];
  for (let at = head ?? null; at; at = parentOf(at, byId)) line.push(at);
  return line;
}

function parentOf(snapshot: Snapshot, byId: ReadonlyMap<bigint, Snapshot>): Snapshot | null {
  const id = snapshot['parent-snapshot-id'];
  return (id === null || id === undefined ? null : byId.get(id)) ?? null;
}

function isFirst(snapshot: Snapshot): boolean {
  const id = snapshot['parent-snapshot-id'];
  return id === null || id === undefined;
}

function isBefore(a: Snapshot, b: Snapshot): boolean {
  const difference = a['sequence-number'] - b['sequence-number'];
  return difference === 0n ? a['timestamp-ms'] < b['timestamp-ms'] : difference < 0n;
}

function isOurs({ summary }: Snapshot): boolean {
  return summary['dailies.commit-id'] !== undefined || summary['dailies.position'] !== undefined;
}

function idOf(snapshot: Snapshot): bigint {
  return snapshot['snapshot-id'];
}
