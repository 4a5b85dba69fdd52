import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  expiryUpdates,
  historyTag,
  isHistoryTag,
  mainLine,
  planExpiry,
} from '#catalog/iceberg/maintenance/retention.ts';
import { applyUpdates } from '#catalog/iceberg/metadata/apply-updates.ts';
import {
  currentSnapshot,
  type Snapshot,
  snapshotById,
  type TableMetadata,
} from '#catalog/iceberg/metadata/table-metadata.ts';
import { maintenanceSettings } from '#catalog/iceberg/metadata/table-properties.ts';
import type { TableUpdate } from '#catalog/iceberg/metadata/table-updates.ts';

const second = 1_000;
const hour = 3_600 * second;
const day = 24 * hour;
const start = Date.parse('2026-03-01T00:00:00Z');
const standard = maintenanceSettings({}).settings;

/** A table's history with nothing ever forgotten, beside the table itself. */
class History {
  metadata: TableMetadata;
  nowMs = start;
  hasRolledBack = false;
  /** Every snapshot there ever was. */
  readonly all = new Map<bigint, Snapshot>();
  #nextId = 1n;

  constructor() {
    const created: TableUpdate[] = [
      { action: 'assign-uuid', uuid: '6b4ff1d5-9a04-4b43-9a6f-0f9f6e1c9c11' },
      { action: 'upgrade-format-version', 'format-version': 2 },
      { action: 'set-location', location: 'file:///warehouse/t' },
      { action: 'add-schema', schema: { type: 'struct', 'schema-id': 0, fields: [] } },
      { action: 'set-current-schema', 'schema-id': -1 },
      { action: 'add-spec', spec: { 'spec-id': 0, fields: [] } },
      { action: 'set-default-spec', 'spec-id': -1 },
      { action: 'add-sort-order', 'sort-order': { 'order-id': 0, fields: [] } },
      { action: 'set-default-sort-order', 'sort-order-id': -1 },
    ];
    this.metadata = applyUpdates(null, created, start);
  }

  apply(...updates: TableUpdate[]): void {
    this.metadata = applyUpdates(this.metadata, updates, this.nowMs);
  }

  commit(afterMs: number, ref = 'main'): bigint {
    this.nowMs += afterMs;
    const id = this.#nextId++;
    const parent =
      this.metadata.refs[ref]?.['snapshot-id'] ??
      (ref === 'main' ? null : currentSnapshot(this.metadata)?.['snapshot-id']);
    const snapshot: Snapshot = {
      'snapshot-id': id,
      ...(parent ? { 'parent-snapshot-id': parent } : {}),
      'sequence-number': this.metadata['last-sequence-number'] + 1n,
      'timestamp-ms': this.nowMs,
      'manifest-list': `file:///warehouse/t/metadata/snap-${id}.avro`,
      summary: { operation: 'append', ...(ref === 'main' ? { 'dailies.commit-id': `c${id}` } : {}) },
      'schema-id': 0,
    };
    this.all.set(id, snapshot);
    this.apply(
      { action: 'add-snapshot', snapshot },
      { action: 'set-snapshot-ref', 'ref-name': ref, type: 'branch', 'snapshot-id': id },
    );
    return id;
  }

  expire(settings = standard, pinned?: ReadonlySet<bigint>): void {
    const updates = expiryUpdates(this.metadata, planExpiry(this.metadata, settings, this.nowMs, pinned), 1_000_000);
    if (updates) this.apply(...updates);
  }

  /** The line of main as it truly is, newest first. */
  line(): Snapshot[] {
    const line: Snapshot[] = [];
    let at = currentSnapshot(this.metadata)?.['snapshot-id'];
    while (at !== undefined && at !== null) {
      const snapshot = this.all.get(at);
      if (!snapshot) break;
      line.push(snapshot);
      at = snapshot['parent-snapshot-id'] ?? undefined;
    }
    return line;
  }

  has(id: bigint | undefined): boolean {
    return id !== undefined && snapshotById(this.metadata, id) !== null;
  }

  ids(): bigint[] {
    return this.metadata.snapshots.map((snapshot) => snapshot['snapshot-id']);
  }
}

/** The state that was current at a time; undefined before the first. */
function currentAt(line: readonly Snapshot[], timeMs: number): bigint | undefined {
  return line.find((snapshot) => snapshot['timestamp-ms'] <= timeMs)?.['snapshot-id'];
}

test('an hour is kept whole, then the last state of each hour for two days, then of each day for thirty', () => {
  const history = new History();
  // A commit every five minutes for forty days, looked at every hour.
  for (let count = 0; count < 40 * 288; count++) {
    history.commit(5 * 60 * second);
    if (count % 12 === 0) history.expire();
  }
  history.expire();
  const line = history.line();
  for (let ageMs = 0; ageMs <= hour; ageMs += 60 * second) {
    expect(history.has(currentAt(line, history.nowMs - ageMs))).toBe(true);
  }
  const hours = Object.keys(history.metadata.refs).filter((name) => name.startsWith('dailies-hour-'));
  const days = Object.keys(history.metadata.refs).filter((name) => name.startsWith('dailies-day-'));
  expect(hours.length).toBeGreaterThanOrEqual(46);
  expect(hours.length).toBeLessThanOrEqual(48);
  expect(days.length).toBeGreaterThanOrEqual(29);
  expect(days.length).toBeLessThanOrEqual(30);
  expect(history.metadata.snapshots.length).toBeLessThan(100);
  for (let back = 2; back < 48; back++) {
    const endMs = Math.floor(history.nowMs / hour) * hour - (back - 1) * hour;
    const last = currentAt(line, endMs - 1);
    expect(history.has(last)).toBe(true);
    // The hour before this one is still kept whole, without a tag.
    if (back > 2) expect(history.metadata.refs[historyTag('hour', endMs - 1)]?.['snapshot-id']).toBe(last);
  }
  expect(historyTag('hour', Date.parse('2026-11-25T14:59:59.999Z'))).toBe('dailies-hour-2026-11-25T14');
  expect(isHistoryTag('dailies-hour-2026-11-25T14')).toBe(true);
  expect(isHistoryTag('dailies-release')).toBe(false);
});

test('a table at rest keeps its newest ten states, and an hour after each commit the state before it', () => {
  const history = new History();
  for (let count = 0; count < 30; count++) history.commit(90 * day);
  history.expire();
  expect(history.ids()).toEqual(
    history
      .line()
      .slice(0, 10)
      .map((snapshot) => snapshot['snapshot-id'])
      .reverse(),
  );
});

test('more states than the cap are thinned evenly, the newest half stays whole, and the line is still known', () => {
  const history = new History();
  const settings = { ...standard, maxSnapshots: 200, minSnapshots: 1 };
  let most = 0;
  for (let count = 0; count < 7_200; count++) {
    history.commit(second);
    if (count % 30 === 0) history.expire(settings);
    most = Math.max(most, history.metadata.snapshots.length);
  }
  history.expire(settings);
  expect(most).toBeLessThanOrEqual(200 + 30 + 4);
  const line = history.line();
  for (let age = 0; age < 100; age++) expect(history.has(line[age]?.['snapshot-id'])).toBe(true);
  // An hour in about a hundred spans of 37 s.
  const times = mainLine(history.metadata).map((snapshot) => snapshot['timestamp-ms']);
  for (const [index, time] of times.entries()) {
    const older = times[index + 1];
    if (older !== undefined && time > history.nowMs - hour + 60 * second)
      expect(time - older).toBeLessThan(80 * second);
  }
  expect(times).toHaveLength(history.metadata.snapshots.length);
});

test('what people keep stays until its own age', () => {
  const history = new History();
  const first = history.commit(second);
  history.apply({ action: 'set-snapshot-ref', 'ref-name': 'release', type: 'tag', 'snapshot-id': first });
  const second_ = history.commit(second);
  history.apply({
    action: 'set-snapshot-ref',
    'ref-name': 'for-a-day',
    type: 'tag',
    'snapshot-id': second_,
    'max-ref-age-ms': BigInt(day),
  });
  const branched = [0, 1, 2, 3].map(() => history.commit(second, 'trial'));
  history.apply({
    action: 'set-snapshot-ref',
    'ref-name': 'trial',
    type: 'branch',
    'snapshot-id': branched[3] ?? 0n,
    'min-snapshots-to-keep': 2,
    'max-snapshot-age-ms': BigInt(hour),
  });
  for (let count = 0; count < 300; count++) history.commit(hour / 2);
  history.expire({ ...standard, minSnapshots: 1 });
  expect(Object.keys(history.metadata.refs).filter((name) => !isHistoryTag(name))).toEqual([
    'main',
    'release',
    'trial',
  ]);
  expect(branched.map((id) => history.has(id))).toEqual([false, false, true, true]);
  expect(history.has(first)).toBe(true);
  history.expire({ ...standard, minSnapshots: 1, maxRefAgeMs: day });
  expect(Object.keys(history.metadata.refs).filter((name) => !isHistoryTag(name))).toEqual(['main']);
});

type Step =
  | { kind: 'commit'; afterMs: number; times: number }
  | { kind: 'expire' }
  | { kind: 'rollback'; nth: number }
  | { kind: 'tag'; nth: number; name: string }
  | { kind: 'branch'; name: string };

const name = fc.constantFrom('a', 'b', 'c');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      afterMs: fc.oneof(
        fc.integer({ min: 0, max: 5_000 }),
        fc.integer({ min: 0, max: 2 * hour }),
        fc.integer({ min: 0, max: 2 * day }),
      ),
      times: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 6, arbitrary: fc.constant({ kind: 'expire' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback' as const), nth: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('tag' as const), nth: fc.nat(20), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('branch' as const), name: fc.constantFrom('x', 'y') }) },
);

test('random histories with rollbacks, tags and branches: what must be kept is, and the line is never taken for another', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`retention seed ${seed}`);
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.constantFrom(standard, { ...standard, minSnapshots: 1 }, { ...standard, minSnapshots: 2, maxSnapshots: 20 }),
      (steps, settings) => {
        const history = new History();
        const tagged = new Map<string, bigint>();
        const branches = new Map<string, bigint>();
        for (const one of steps) {
          const kept = history.metadata.snapshots;
          switch (one.kind) {
            case 'commit':
              for (let count = 0; count < one.times; count++) history.commit(one.afterMs);
              break;
            case 'rollback': {
              const to = mainLine(history.metadata)[one.nth];
              if (!to) break;
              history.hasRolledBack = true;
              // Maintenance looks at a table within a minute of what happens to it.
              history.apply({
                action: 'set-snapshot-ref',
                'ref-name': 'main',
                type: 'branch',
                'snapshot-id': to['snapshot-id'],
              });
              history.commit(second);
              history.expire(settings);
              break;
            }
            case 'tag': {
              const at = kept.at(-1 - one.nth);
              if (!at) break;
              tagged.set(one.name, at['snapshot-id']);
              history.apply({
                action: 'set-snapshot-ref',
                'ref-name': one.name,
                type: 'tag',
                'snapshot-id': at['snapshot-id'],
              });
              break;
            }
            case 'branch':
              if (currentSnapshot(history.metadata)) branches.set(one.name, history.commit(second, one.name));
              break;
            case 'expire':
              history.expire(settings);
              break;
          }
          check(history, settings, one.kind === 'expire');
          for (const id of [...tagged.values(), ...branches.values()]) expect(history.has(id)).toBe(true);
        }
      },
    ),
    { seed, numRuns: 300 },
  );
});

function check(history: History, settings: typeof standard, isExpired: boolean): void {
  const line = history.line();
  const truth = new Set(line.map((snapshot) => snapshot['snapshot-id']));
  for (const snapshot of mainLine(history.metadata)) expect(truth.has(snapshot['snapshot-id'])).toBe(true);
  // A rollback makes states the newest whose elders are long gone.
  const newest = line.slice(0, history.hasRolledBack ? 1 : settings.minSnapshots);
  for (const snapshot of newest) expect(history.has(snapshot['snapshot-id'])).toBe(true);
  if (!isExpired || history.hasRolledBack) return;
  const inWindow = line.filter(
    (_, index) => (line[index - 1]?.['timestamp-ms'] ?? history.nowMs) >= history.nowMs - settings.maxSnapshotAgeMs,
  );
  if (settings.maxSnapshots === standard.maxSnapshots) {
    for (const snapshot of inWindow) expect(history.has(snapshot['snapshot-id'])).toBe(true);
  }
}
