import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChunkedSnapshots, chunkLimits } from '#ingest/sources/chunks/chunked-snapshots.ts';
import { seedFor } from '../../../catalog/iceberg/format/typed-values.ts';
import { type Commit, ScriptedStore } from './scripted-store.ts';
import { TableModel } from './table-model.ts';

const tables = ['s.a', 's.b', 's.c'];

/** Small numbers that say what happens next, the same for the same seed. */
function dice(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state % below;
  };
}

function randomCommit(roll: (below: number) => number): Commit {
  return Array.from({ length: 1 + roll(3) }, () => {
    const table = tables[roll(tables.length)] as string;
    const key = `k${String(roll(60)).padStart(2, '0')}`;
    const what = roll(60);
    if (what === 0) return { kind: 'truncate', table };
    if (what < 20) return { kind: 'remove', table, key };
    return { kind: 'put', table, key, value: roll(1000) };
  });
}

/** One run: a random history beside the snapshots of three tables, with restarts; then the sink holds what the store holds. */
async function run(seed: number, limits: Partial<typeof chunkLimits>): Promise<{ beside: number; reads: number }> {
  const roll = dice(seed);
  const pause = async () => {
    for (let turns = roll(6); turns >= 0; turns--) await setImmediate();
  };
  const store = new ScriptedStore(3 + roll(12), pause);
  for (let index = 0; index < 60; index++) store.commits.push(randomCommit(roll));
  store.visible = store.commits.length;
  // The stream begins somewhere behind.
  store.told = roll(store.commits.length);
  const sink = new TableModel();
  for (const table of tables) sink.tableOf(table).set('ghost', ['ghost', 1n]);
  const open = () => {
    const snapshots = new ChunkedSnapshots(store, { ...chunkLimits, ...limits });
    for (const [weight, table] of tables.entries()) {
      if (sink.ended.has(table)) continue;
      snapshots.add({ table, generation: 1, cursor: sink.cursors.get(table) ?? null, weight });
    }
    return snapshots;
  };
  let snapshots = open();
  for (let step = 0; sink.ended.size < tables.length || store.told < store.commits.length; step++) {
    if (step < 150 && roll(3) === 0) {
      store.commits.push(randomCommit(roll));
      if (roll(80) === 0) {
        const table = tables[roll(tables.length)] as string;
        store.commits.push([{ kind: 'add-column', table, hasDefault: roll(2) === 0 }]);
        store.commits.push([{ kind: 'put', table, key: 'k00', value: step }]);
      }
    }
    if (roll(2) === 0) store.visible = Math.min(store.commits.length, store.visible + 1 + roll(4));
    const batch = store.tell(roll(4));
    snapshots.observe(batch);
    await sink.apply(batch);
    let hasCrashed = false;
    for await (const chunk of snapshots.place(batch)) {
      if (roll(12) === 0) {
        // Not durable.
        hasCrashed = true;
        break;
      }
      await sink.apply(chunk);
    }
    if (hasCrashed) {
      sink.crash();
      await snapshots.close();
      snapshots = open();
    }
    // Files are written by other threads.
    if (roll(3) === 0 || store.told === store.commits.length) await delay(1);
    else await pause();
  }
  await snapshots.close();
  for (const table of tables) {
    const wanted = [...store.rowsOf(table)].map(([key, row]) => [key, row.slice(0, 2)]).sort();
    const held = [...sink.tableOf(table)].map(([key, row]) => [key, row.slice(0, 2)]).sort();
    expect(held, `${table}, seed ${seed}`).toEqual(wanted);
  }
  return { beside: sink.beside, reads: store.reads };
}

test('beside any history, with restarts at any place, the tables end as the source holds them, without ghosts', async () => {
  let beside = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 }), async (seed) => {
      beside += (await run(seed, {})).beside;
    }),
    { seed: seedFor('chunks'), numRuns: 60, endOnFailure: true },
  );
  expect(beside).toBeGreaterThan(100);
});

test('what is thrown away for too many touched keys is read again', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 }), async (seed) => {
      await run(seed, { touchedBytes: 1_000 });
    }),
    { seed: seedFor('touched keys'), numRuns: 15, endOnFailure: true },
  );
});

test('no more chunks are read than may be in hand, and a failure of a reader ends in place', async () => {
  const store = new ScriptedStore(3, async () => setImmediate());
  let isBroken = false;
  const openReader = store.openReader.bind(store);
  store.openReader = async () => {
    const { read, close } = await openReader();
    const readUnlessBroken: typeof read = async (...chunk) => {
      if (isBroken) throw new Error('the table is broken');
      return read(...chunk);
    };
    return { read: readUnlessBroken, close };
  };
  store.commits.push(
    Array.from({ length: 40 }, (_, value) => ({ kind: 'put', table: 's.a', key: `k${value}`, value })),
  );
  store.visible = 1;
  const snapshots = new ChunkedSnapshots(store, { ...chunkLimits, chunks: 2 });
  snapshots.add({ table: 's.a', generation: 1, cursor: null, weight: 1 });
  const kinds: string[] = [];
  const settle = async () => {
    for (let turn = 0; turn < 200; turn++) await setImmediate();
  };
  const place = async () => {
    const batch = store.tell(1);
    snapshots.observe(batch);
    for await (const chunk of snapshots.place(batch)) kinds.push(...chunk.items.map(({ kind }) => kind));
    await settle();
  };
  await place();
  await place();
  expect(kinds).toEqual(['snapshot-begin']);
  while (store.reads < 2) await settle();
  await settle();
  expect(store.reads).toBe(2);
  isBroken = true;
  // The next chunk is read once one that was read is handed out, however long that takes.
  await expect(async () => {
    for (;;) await place();
  }).rejects.toThrow('the table is broken');
  await snapshots.close();
});
