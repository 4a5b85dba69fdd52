import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { DailiesError } from '#catalog/error.ts';
import type { Batch } from '#ingest/event.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { PostgresSource } from '#ingest/sources/postgres/postgres-source.ts';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { Follower, follow, openSource, requestFor, sourceName } from './follower.ts';

async function tableOf(database: TestDatabase, table: string) {
  const { rows } = await database.query(`SELECT * FROM ${table} ORDER BY id::text COLLATE "C"`);
  return rows;
}

async function work(database: TestDatabase, isDone: () => boolean): Promise<void> {
  for (let turn = 0; !isDone(); turn++) {
    await database.query('BEGIN');
    await database.query(`INSERT INTO a (n) VALUES (${turn})`);
    await database.query(`UPDATE b SET n = n + 1 WHERE id = ${1 + (turn % 50)}`);
    await database.query(`DELETE FROM a WHERE id = ${turn - 20}`);
    await database.query(turn % 7 === 3 ? 'ROLLBACK' : 'COMMIT');
  }
}

const walsender = (name: string) =>
  `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'dailies_${name}' AND active_pid IS NOT NULL`;

test('connections that are cut again and again under load leave no gap and no overlap', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE a (id serial PRIMARY KEY, n int);
    CREATE TABLE b (id int PRIMARY KEY, n int);
    INSERT INTO b SELECT i, 0 FROM generate_series(1, 50) i;`);
  const name = sourceName();
  let follower = await follow(database.url, name);
  let isDone = false;
  const busy = work(database, () => isDone);
  await using killer = await createDatabase();
  for (let cut = 0; cut < 4; cut++) {
    const before = follower.seen.length;
    await follower.until(() => follower.seen.length > before + 60);
    await killer.query(walsender(name));
    expect(await follower.untilFailed()).toMatchObject({ code: 'source_unreachable' });
    await follower.source.close();
    // The server may take a moment to let go of the slot; a runtime tries again with back-off.
    for (;;) {
      const source = openSource(database.url, name);
      const next = new Follower(source, await requestFor(source, follower.position));
      while (next.failure === null && next.position === null) await delay(5);
      if (next.failure === null) {
        follower = next.goOnAfter(follower);
        break;
      }
      expect(next.failure).toMatchObject({ code: 'source_unreachable' });
      await source.close();
    }
  }
  isDone = true;
  await busy;
  await follower.caughtUp();
  for (const table of ['a', 'b']) expect(follower.rowsOf(table)).toEqual(await tableOf(database, table));
  for (const table of ['a', 'b']) {
    const changes = follower.eventsOf(table).filter(({ event }) => event.op !== 'r');
    const positions = changes.map(({ changes, event }) => changes.transactions[event.tx]?.position ?? '');
    for (const [index, position] of positions.entries()) {
      if (index > 0) expect(follower.source.distance(position, positions[index - 1] ?? '')).toBe(0);
    }
  }
  await follower.stop();
  await follower.source.close();
});

test('a crash within the snapshots: those that ended stand, the others go on behind their last chunk', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE a (id int PRIMARY KEY, n int, pad text);
    CREATE TABLE b (id int PRIMARY KEY, n int, pad text);
    INSERT INTO a SELECT i, 0, 'x' FROM generate_series(1, 1000) i;
    INSERT INTO b SELECT i, 0, repeat('x', 2000) FROM generate_series(1, 40000) i;
    ANALYZE;`);
  const name = sourceName();
  // Some thirty chunks of b, few of which are in hand at once: its snapshot is under way when it is cut.
  const deps = { name, memory: passingMemory(), now: () => new Date() };
  const source = new PostgresSource({ url: database.url, tables: ['*'] }, deps, { chunkBytes: 4 << 20 });
  const isIn = (batch: Batch, table: string) =>
    batch.items.some((item) => item.kind === 'changes' && item.changes.table.endsWith(table));
  let isCut = false;
  let chunkRows = 0;
  const first: Follower = new Follower(source, await requestFor(source, null), async (batch) => {
    if (!isIn(batch, '.b') || isCut || first.ended.length === 0) return;
    isCut = true;
    for (const item of batch.items) if (item.kind === 'changes') chunkRows += item.changes.events.length;
    // Readers among them, whether in the middle of a chunk or between two.
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND backend_type <> 'walsender' AND application_name = 'dailies'`,
    );
  });
  expect(await first.untilFailed()).toMatchObject({ code: 'source_unreachable' });
  await source.close();
  expect(first.ended.map((end) => end.table)).toEqual([`${name}.public.a`]);

  await database.query(
    `UPDATE a SET n = 1 WHERE id <= 10; UPDATE b SET n = 1 WHERE id <= 10; DELETE FROM b WHERE id = 11;`,
  );
  const again = openSource(database.url, name);
  const request = await requestFor(again, first.position, (table) => table === 'public.b', first.cursors);
  expect(request.tables.get('public.b')?.cursor).toEqual(expect.any(String));
  const second = new Follower(again, request).goOnAfter(first);
  await second.until(() => second.ended.length === 2);
  await database.query('UPDATE b SET n = 2 WHERE id <= 5; INSERT INTO a VALUES (0, 0, NULL)');
  await second.caughtUp();
  for (const table of ['a', 'b']) expect(second.rowsOf(table)).toEqual(await tableOf(database, table));
  const read = second.eventsOf('b').filter(({ event }) => event.op === 'r');
  expect(chunkRows).toBeGreaterThan(1000);
  expect(read.length).toBeLessThanOrEqual(40_000);
  expect(second.ended[1]?.rows).toBeGreaterThan(39_000);
  await second.stop();
  await again.close();
});

test('a table that joins later is snapshotted while the others stream on, under load', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE a (id serial PRIMARY KEY, n int);
    CREATE TABLE b (id int PRIMARY KEY, n int);
    INSERT INTO b SELECT i, 0 FROM generate_series(1, 50) i;`);
  const name = sourceName();
  const first = await follow(database.url, name, ['public.a']);
  let isDone = false;
  const busy = work(database, () => isDone);
  await first.until(() => first.seen.length > 50);
  await first.stop();
  await first.source.close();
  const source = openSource(database.url, name);
  const request = await requestFor(source, first.position, (table) => table === 'public.b');
  const second = new Follower(source, request).goOnAfter(first);
  await second.until(() => second.ended.length === 2);
  const before = second.seen.length;
  await second.until(() => second.seen.length > before + 100);
  isDone = true;
  await busy;
  await second.caughtUp();
  for (const table of ['a', 'b']) expect(second.rowsOf(table)).toEqual(await tableOf(database, table));
  await second.stop();
  await source.close();
});

test('a table altered between the snapshot and the reading of its rows waits for the next snapshot', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE a (id int PRIMARY KEY, n int);
    CREATE TABLE b (id int PRIMARY KEY, n int);
    INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1), (2, 2);`);
  const name = sourceName();
  const source = openSource(database.url, name);
  let isAltered = false;
  const follower = new Follower(source, await requestFor(source, null), async () => {
    if (isAltered) return;
    isAltered = true;
    // A rewrite: an older snapshot would see an empty table.
    await database.query('ALTER TABLE b ALTER n TYPE bigint, ADD added int DEFAULT 7; INSERT INTO b VALUES (3, 3, 3)');
  });
  await follower.until(() => follower.ended.length === 2);
  await database.query('INSERT INTO b VALUES (4, 4, 4)');
  await follower.caughtUp();
  expect(follower.rowsOf('b')).toEqual([
    { id: 1, n: 1n, added: 7 },
    { id: 2, n: 2n, added: 7 },
    { id: 3, n: 3n, added: 3 },
    { id: 4, n: 4n, added: 4 },
  ]);
  await follower.stop();
  await source.close();
});

test('a table that is dropped or renamed between the look for tables and the start is left out, and the others are followed', async () => {
  await using database = await createDatabase();
  await database.query(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
    CREATE TABLE c (id int); INSERT INTO a VALUES (1)`);
  const source = openSource(database.url, sourceName());
  const request = await requestFor(source, null);
  await database.query('DROP TABLE b; ALTER TABLE c RENAME TO d');
  const follower = new Follower(source, request);
  await follower.until(() => follower.ended.length === 1);
  await database.query('INSERT INTO a VALUES (2); INSERT INTO d VALUES (3)');
  await follower.caughtUp();
  expect(follower.rowsOf('a')).toEqual([{ id: 1 }, { id: 2 }]);
  expect(follower.eventsOf('d')).toEqual([]);
  await follower.stop();
  await source.close();
});

test('a lost, moved or re-made slot is told, and a start from nothing mends it', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE a (id int PRIMARY KEY, n int); INSERT INTO a VALUES (1, 1)');
  const name = sourceName();
  const first = await follow(database.url, name);
  await first.caughtUp();
  await first.stop();
  const { source } = first;
  const tryFrom = async (from: string | null) => {
    const follower = new Follower(source, await requestFor(source, from));
    const failure = await follower.untilFailed();
    expect(failure).toBeInstanceOf(DailiesError);
    return failure;
  };
  const dropSlot = async () => {
    for (;;) {
      const { rows } = await database.query(
        `SELECT active FROM pg_replication_slots WHERE slot_name = 'dailies_${name}'`,
      );
      if (rows[0]?.active === false) break;
      await delay(20);
    }
    await database.query(`SELECT pg_drop_replication_slot('dailies_${name}')`);
  };
  await dropSlot();
  expect(await tryFrom(first.position)).toMatchObject({
    code: 'source_slot_lost',
    message: expect.stringContaining('is gone'),
  });
  await database.query('UPDATE a SET n = 2');
  await database.query(`SELECT pg_create_logical_replication_slot('dailies_${name}', 'pgoutput')`);
  expect(await tryFrom(first.position)).toMatchObject({
    code: 'source_slot_lost',
    message: expect.stringContaining('made it anew'),
  });
  expect(await tryFrom('FFFFFF/0')).toMatchObject({ code: 'source_slot_lost' });

  const second = new Follower(source, await requestFor(source, null));
  await second.until(() => second.ended.length === 1);
  expect(second.rowsOf('a')).toEqual([{ id: 1, n: 2 }]);
  await second.stop();
  await source.drop(new AbortController().signal);
  await source.drop(new AbortController().signal);
  const { rows } = await database.query(
    `SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'dailies_${name}%' UNION ALL SELECT pubname FROM pg_publication`,
  );
  expect(rows).toEqual([]);
  await source.close();
});
