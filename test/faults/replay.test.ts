import { randomInt, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { holdLocal } from '#catalog/iceberg/storage.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import { type ReplayRecord, readReplay } from '#catalog/services/pipeline/replay-record.ts';
import { Random } from '#test/engines/matrix/random.ts';
import { allEqual } from './deaths.ts';
import { Load, studioPipelines, studioTables } from './load.ts';
import { WorkerSetup } from './worker-setup.ts';

vi.setConfig({ testTimeout: 1_200_000 });

/* Replays beside a stream that goes on, by workers that are killed at any moment; what must hold is told row by row. */
const rounds = 12;
const seed = Number(process.env.SEED ?? randomInt(2 ** 31));
const waiting = { timeout: 240_000, interval: 50 };
const history = {
  from: ['production.public.movie'],
  steps: [],
  to: [{ kind: 'iceberg', table: 'replayed.{table}', mode: 'changes' }],
};
const pipelines = {
  ...studioPipelines,
  history,
  kept: { ...history, to: [{ ...history.to[0], table: 'kept.{table}' }] },
};

let setup: WorkerSetup;
let load: Load;
let duckdb: DuckDBInstance;
beforeEach(async () => {
  setup = await WorkerSetup.open();
  duckdb = await DuckDBInstance.create(':memory:');
  await setup.source.query(studioTables);
  await setup.source.query(`INSERT INTO movie VALUES (0, 'counts', NULL, 0, 0)`);
  load = await Load.open(setup.source.url);
});
afterEach(async () => {
  await load.close();
  await setup[Symbol.asyncDispose]();
});

async function ask(name: string, input: { from?: string; key?: string } = {}): Promise<string> {
  const id = randomUUID();
  const record: ReplayRecord = {
    id,
    from: input.from ?? null,
    key: input.key ?? null,
    state: 'waiting',
    askedAt: new Date().toISOString(),
    endedAt: null,
    events: 0,
    error: null,
  };
  await setup.test.state.pipeline.update({ where: { name }, data: { replay: record as object } });
  await setup.test.state.$executeRaw`SELECT pg_notify('dailies_changed', '')`;
  return id;
}

async function ended(name: string): Promise<ReplayRecord> {
  return await vi.waitFor(async () => {
    const row = await setup.test.state.pipeline.findUniqueOrThrow({ where: { name } });
    const replay = readReplay(row.replay);
    expect(replay, setup.lines.slice(-10).join('')).toMatchObject({ state: 'done' });
    return replay as ReplayRecord;
  }, waiting);
}

async function read(table: string, select: string): Promise<string[]> {
  const entry = await new IcebergCatalog(setup.test.state, tmpdir()).load(table);
  if (!entry) return [];
  const scan = await planScan(entry.metadataLocation);
  using _held = await holdLocal(scan.locations);
  const connection = await duckdb.connect();
  try {
    const reader = await connection.runAndReadAll(select.replace('$table', `(${scan.sql})`));
    return reader.getRows().map((row) => row.map(String).join('|'));
  } finally {
    connection.closeSync();
  }
}

/** Counts up at the source and watches the table: what it shows never goes back. */
async function countUp(signal: AbortSignal): Promise<number> {
  let last = -1;
  let looks = 0;
  while (!signal.aborted) {
    await setup.source.query('UPDATE movie SET visits = visits + 1 WHERE id = 0');
    const [shown] = await read('production.movie', 'SELECT visits FROM $table WHERE id = 0');
    if (shown === undefined) continue;
    expect(Number(shown), `went back from ${last}`).toBeGreaterThanOrEqual(last);
    last = Number(shown);
    looks += 1;
  }
  return looks;
}

test(`replays of every kind, killed anywhere, leave tables equal to their source and never show an older row (seed ${seed})`, async () => {
  const random = new Random(seed);
  setup.start();
  await setup.define(['public.*'], pipelines);
  await allEqual(setup);
  const watching = new AbortController();
  const watched = countUp(watching.signal);
  const times: string[] = [];
  for (let round = 0; round < rounds; round++) {
    load.start();
    await load.transactions(5 + random.below(40));
    times.push(new Date().toISOString());
    for (const name of Object.keys(pipelines).filter((each) => each !== 'kept')) {
      const kind = random.below(4);
      if (kind === 0) await ask(name);
      else if (kind === 1) await ask(name, { from: times[random.below(times.length)] ?? '' });
      else if (kind === 2) await ask(name, { key: String(1 + random.below(3000)) });
    }
    await load.transactions(random.below(30));
    if (random.below(3) === 0) await load.pause();
    await setup.end('SIGKILL');
    setup.start();
    if (random.below(2) === 0) await setup.hasStarted();
  }
  await ask('all');
  await ask('released');
  await ask('history');
  await load.pause();
  watching.abort();
  expect(await watched).toBeGreaterThan(5);
  const { events } = await ended('all');
  expect(events).toBeGreaterThan(3000);
  await ended('released');
  await ended('history');
  await allEqual(setup);
  const columns = `SELECT op, id, title, visits, source_position, count(*) FROM $table GROUP BY ALL ORDER BY ALL`;
  await vi.waitFor(async () => {
    const [replayed, kept] = await Promise.all([read('replayed.movie', columns), read('kept.movie', columns)]);
    expect(replayed.length).toBeGreaterThan(3000);
    expect(replayed).toEqual(kept);
  }, waiting);
  expect(await setup.end('SIGTERM')).toBe('0');
});

test('rows that somebody broke in the table come right: all of them from the snapshot on, or one key', async () => {
  setup.start();
  await setup.define(['public.*'], { all: studioPipelines.all });
  await moviesAreEqual();
  load.start();
  await load.transactions(30);
  await load.pause();
  await moviesAreEqual();
  expect(await setup.end('SIGTERM')).toBe('0');
  await breakRows();
  setup.start();
  await ask('all', { key: '5' });
  await ended('all');
  expect(await read('production.movie', 'SELECT title FROM $table WHERE id = 5')).not.toEqual(['broken']);
  expect(await read('production.movie', 'SELECT count(*) FROM $table WHERE id IN (5, 6, 900000)')).toEqual(['3']);
  await ask('all');
  await ended('all');
  await moviesAreEqual();
});

async function moviesAreEqual(): Promise<void> {
  await setup.becomesEqual(
    'production.movie',
    `SELECT concat_ws('|', id, title, coalesce(length(synopsis), -1), visits) FROM movie`,
    `concat_ws('|', id, title, coalesce(length(synopsis), -1), visits)`,
  );
}

/** Another engine's commit: rows 5 and 6 say something else, 7 is gone, and one is there that the source never had. */
async function breakRows(): Promise<void> {
  const catalog = new IcebergCatalog(setup.test.state, tmpdir());
  const indexDir = await mkdtemp(join(tmpdir(), 'dailies-foreign-'));
  const writer = await TableWriter.open('production.movie', { catalog, indexDir, now: () => new Date() });
  const row = (id: number) =>
    writer.schema.fields.map(({ name }) =>
      name === 'id' ? id : name === 'title' ? 'broken' : name === 'visits' ? 1n : null,
    );
  for (const id of [5, 6]) await writer.upsert(row(id), false);
  await writer.remove(row(7));
  await writer.upsert(row(900_000), true);
  await commitTables(catalog, [writer], {}, async () => {});
  await writer.close();
  await rm(indexDir, { recursive: true });
}
