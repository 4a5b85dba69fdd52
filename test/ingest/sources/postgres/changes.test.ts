import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { Follower, follow, openSource, requestFor, sourceName } from './follower.ts';

test('a snapshot, then inserts, updates, deletes, key changes and truncation', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE movie (id int PRIMARY KEY, title text NOT NULL, released date);
    COMMENT ON TABLE movie IS 'Films'; COMMENT ON COLUMN movie.title IS 'As on the poster';
    CREATE TABLE empty (id bigint PRIMARY KEY);
    INSERT INTO movie VALUES (1, 'One', '2001-01-01'), (2, 'Two', NULL);`);
  const follower = await follow(database.url, sourceName());
  // Tables are read at the same time: either may end first.
  expect(follower.ended.map(({ table, rows }) => [table.slice(table.lastIndexOf('.') + 1), rows]).sort()).toEqual([
    ['empty', 0],
    ['movie', 2],
  ]);
  await database.query(`
    BEGIN;
    INSERT INTO movie VALUES (3, 'Three', '1969-12-31');
    UPDATE movie SET title = 'Uno' WHERE id = 1;
    COMMIT;
    UPDATE movie SET id = 20 WHERE id = 2;
    DELETE FROM movie WHERE id = 3;`);
  await follower.caughtUp();
  expect(follower.rowsOf('movie')).toEqual([
    { id: 1, title: 'Uno', released: 11323 },
    { id: 20, title: 'Two', released: null },
  ]);
  const events = follower.eventsOf('movie').filter(({ event }) => event.op !== 'r');
  expect(events.map(({ event }) => [event.op, event.before, event.after])).toEqual([
    ['c', null, [3, 'Three', -1]],
    ['u', null, [1, 'Uno', 11323]],
    ['d', [2, UNKNOWN, UNKNOWN], null],
    ['c', null, [20, 'Two', null]],
    ['d', [3, UNKNOWN, UNKNOWN], null],
  ]);
  const ids = events.map(({ event, changes }) => changes.transactions[event.tx]?.id);
  expect(ids[0]).toBe(ids[1]);
  expect(new Set(ids).size).toBe(2);

  for (const { changes } of follower.eventsOf('movie')) expect(changes.schema.fields[1]?.doc).toBe('As on the poster');
  const found = await follower.source.discover(new AbortController().signal);
  expect(found.map((table) => table.doc)).toEqual([undefined, 'Films']);

  await database.query('TRUNCATE movie, empty');
  await follower.caughtUp();
  expect(follower.rowsOf('movie')).toEqual([]);
  expect(follower.eventsOf('empty').map(({ event }) => event.op)).toEqual(['t']);
  await follower.stop();
  await follower.source.close();
});

const long = (letter: string) => letter.repeat(200_000);
/** Stored out of line, so that an update which leaves it alone does not send it. */
const external = 'ALTER COLUMN body SET STORAGE EXTERNAL';

test('an unchanged long value is UNKNOWN under a key, filled under replica identity full, read again after a key change', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE script (id int PRIMARY KEY, n int, body text NOT NULL);
    CREATE TABLE whole (LIKE script INCLUDING ALL);
    ALTER TABLE script ${external}; ALTER TABLE whole ${external}, REPLICA IDENTITY FULL;`);
  for (const table of ['script', 'whole']) {
    await database.query(`INSERT INTO ${table} VALUES (1, 1, $1), (2, 1, $1)`, [long('a')]);
  }
  const follower = await follow(database.url, sourceName());
  await database.query('UPDATE script SET n = 2 WHERE id = 1; UPDATE whole SET n = 2 WHERE id = 1');
  await database.query('UPDATE script SET id = 20 WHERE id = 2; UPDATE whole SET id = 20 WHERE id = 2');
  await database.query('UPDATE script SET body = $1 WHERE id = 1', ['short']);
  await follower.caughtUp();
  const changes = (table: string) =>
    follower
      .eventsOf(table)
      .filter(({ event }) => event.op !== 'r')
      .map(({ event }) => [event.op, event.before, event.after]);
  expect(changes('script')).toEqual([
    ['u', null, [1, 2, UNKNOWN]],
    ['d', [2, UNKNOWN, UNKNOWN], null],
    ['c', null, [20, 1, long('a')]],
    ['u', null, [1, 2, 'short']],
  ]);
  expect(changes('whole')).toEqual([
    ['u', [1, 1, long('a')], [1, 2, long('a')]],
    ['d', [2, 1, long('a')], null],
    ['c', null, [20, 1, long('a')]],
  ]);
  await follower.stop();
  await follower.source.close();
});

test('an application updates and deletes as before, whatever its tables have for a key', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE keyless (n int);
    CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
    CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);
    CREATE TABLE virtual (id int, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL); ALTER TABLE virtual REPLICA IDENTITY FULL;
    CREATE TABLE stored (id int, twice int GENERATED ALWAYS AS (id * 2) STORED); ALTER TABLE stored REPLICA IDENTITY FULL;
    CREATE TABLE by_generated (id int, twice int GENERATED ALWAYS AS (id * 2) STORED PRIMARY KEY);
    CREATE TABLE by_index (id int NOT NULL, n int PRIMARY KEY); CREATE UNIQUE INDEX own ON by_index (id);
    ALTER TABLE by_index REPLICA IDENTITY USING INDEX own;
    CREATE TABLE parted (id int, n int) PARTITION BY RANGE (id);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE keyed (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE keyed_low PARTITION OF keyed FOR VALUES FROM (0) TO (10);
    CREATE TABLE keyed_high PARTITION OF keyed FOR VALUES FROM (10) TO (20);
    CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
    CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (extra int) INHERITS (parent);
    INSERT INTO child VALUES (1, 1); INSERT INTO keyed VALUES (1, 1), (11, 1);`);
  const name = sourceName();
  const source = openSource(database.url, name);
  const found = new Map((await source.discover(new AbortController().signal)).map((table) => [table.name, table]));
  expect(found.get('public.unlogged')?.refusal).toContain('SET LOGGED');
  expect(found.get('public.keyless')?.notes).toEqual([expect.stringContaining('REPLICA IDENTITY FULL')]);
  expect(found.get('public.virtual')?.schema.fields.map((field) => field.name)).toEqual(['id']);
  expect(found.get('public.virtual')?.notes.join(' ')).toContain('twice');
  expect(found.get('public.stored')?.schema.fields.map((field) => field.name)).toEqual(['id', 'twice']);
  expect(found.get('public.by_index')?.schema.key).toEqual(['id']);
  expect([...found.keys()].filter((table) => /_low|_high/.test(table))).toEqual([]);
  const request = await requestFor(source, null);
  const tables = new Map([...request.tables].filter(([table]) => table !== 'public.unlogged'));
  const follower = new Follower(source, { ...request, tables });
  await follower.until(() => follower.ended.length === tables.size);
  for (const table of [
    'keyless',
    'nothing',
    'deferred',
    'virtual',
    'stored',
    'by_generated',
    'by_index',
    'parted',
    'keyed',
    'parent',
  ]) {
    const column = table === 'keyless' ? 'n' : 'id';
    const columns = table === 'by_index' || table === 'parted' || table === 'keyed' ? 'id, n' : column;
    await database.query(`INSERT INTO ${table} (${columns}) VALUES (5${columns === column ? '' : ', 5'})`);
    await database.query(`UPDATE ${table} SET ${column} = 6 WHERE ${column} = 5`);
    await database.query(`DELETE FROM ${table} WHERE ${column} = 6`);
  }
  // A new partition, and a row that moves between partitions.
  await database.query(
    'CREATE TABLE keyed_top PARTITION OF keyed FOR VALUES FROM (20) TO (30); UPDATE keyed SET id = 25 WHERE id = 1',
  );
  await database.query('UPDATE keyed SET n = 2');
  await follower.caughtUp();
  const ops = (table: string) =>
    follower
      .eventsOf(table)
      .map(({ event }) => event.op)
      .filter((op) => op !== 'r')
      .join('');
  for (const table of ['keyless', 'nothing', 'deferred', 'virtual', 'parted'])
    expect([table, ops(table)]).toEqual([table, 'c']);
  for (const table of ['by_index', 'by_generated', 'parent']) expect([table, ops(table)]).toEqual([table, 'cdcd']);
  expect(ops('stored')).toBe('cud');
  expect(follower.eventsOf('stored')[1]?.event).toMatchObject({ before: [5, 10], after: [6, 12] });
  expect(follower.rowsOf('keyed')).toEqual([
    { id: 11, n: 2 },
    { id: 25, n: 2 },
  ]);
  expect(follower.eventsOf('parent').some(({ event }) => event.op === 'r')).toBe(false);
  await follower.stop();
  await source.close();
});

test('a table that gets a key later is snapshotted unasked, and then followed whole', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE t (id int, n int); INSERT INTO t VALUES (1, 1), (2, 1)');
  const name = sourceName();
  const first = await follow(database.url, name);
  await database.query('UPDATE t SET n = 2 WHERE id = 1; ALTER TABLE t ADD PRIMARY KEY (id)');
  await first.caughtUp();
  await first.stop();
  const second = new Follower(first.source, await requestFor(first.source, first.position));
  await second.until(() => second.ended.length === 1);
  await database.query('UPDATE t SET n = 3 WHERE id = 2');
  await second.caughtUp();
  expect(second.rowsOf('t')).toEqual([
    { id: 1, n: 2 },
    { id: 2, n: 3 },
  ]);
  await second.stop();
  await second.source.close();
});

test('columns added, dropped, retyped and made nullable in the stream give new schemas, types by name across schemas', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE SCHEMA other; CREATE TYPE other.kind AS ENUM ('x'); CREATE TYPE kind AS ENUM ('y');
    CREATE TABLE t (id int PRIMARY KEY, a varchar(5) NOT NULL, b int);`);
  const follower = await follow(database.url, sourceName());
  await database.query(`INSERT INTO t VALUES (1, 'a', 1)`);
  await database.query('ALTER TABLE t ADD c kind[], ADD d other.kind');
  await database.query(`INSERT INTO t VALUES (2, 'a', 1, '{y}', 'x')`);
  await database.query('ALTER TABLE t DROP b, ALTER a DROP NOT NULL, ALTER a TYPE text');
  await database.query(`INSERT INTO t VALUES (3, NULL, '{y,y}', 'x')`);
  await follower.caughtUp();
  const events = follower.eventsOf('t');
  expect(events.map(({ fields }) => fields.join())).toEqual(['id,a,b', 'id,a,b,c,d', 'id,a,c,d']);
  expect(events.map(({ event }) => event.after)).toEqual([
    [1, 'a', 1],
    [2, 'a', 1, ['y'], 'x'],
    [3, null, ['y', 'y'], 'x'],
  ]);
  expect(events[2]?.changes.schema.fields[1]?.required).toBe(false);
  await follower.stop();
  await follower.source.close();
});

test('names with quotes, upper case, dots, spaces and any script, and a thousand columns', async () => {
  await using database = await createDatabase();
  const wide = Array.from({ length: 998 }, (_, index) => `"c ${index}" text`).join(', ');
  await database.query(`
    CREATE SCHEMA "Ünï ""code""";
    CREATE TABLE "Ünï ""code"""."Ta.ble '名" ("Id" int PRIMARY KEY, "a""b'c" text, "select" text);
    INSERT INTO "Ünï ""code"""."Ta.ble '名" VALUES (1, 'x', 'y');
    CREATE TABLE "Wide" (id int PRIMARY KEY, ${wide});
    INSERT INTO "Wide" (id, "c 997") VALUES (1, 'end');`);
  const follower = await follow(database.url, sourceName(), [`Ünï "code".Ta.ble '名`, 'public.W*']);
  await database.query(`UPDATE "Ünï ""code"""."Ta.ble '名" SET "a""b'c" = 'z'; UPDATE "Wide" SET "c 0" = 'begin'`);
  await follower.caughtUp();
  expect(follower.rowsOf(`Ünï "code".Ta.ble '名`)).toEqual([{ Id: 1, 'a"b\'c': 'z', select: 'y' }]);
  const [row] = follower.rowsOf('Wide');
  expect(row).toMatchObject({ id: 1, 'c 0': 'begin', 'c 1': null, 'c 997': 'end' });
  expect(Object.keys(row ?? {})).toHaveLength(999);
  await follower.stop();
  await follower.source.close();
});

test('interleaved transactions come whole, in the order of their commits; a large one comes in bounded batches', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE a (id int PRIMARY KEY, n text); CREATE TABLE b (id int PRIMARY KEY)');
  const follower = await follow(database.url, sourceName());
  const { default: pg } = await import('pg');
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  await database.query('BEGIN; INSERT INTO a VALUES (1)');
  await other.query('BEGIN; INSERT INTO a VALUES (2)');
  await database.query('INSERT INTO b VALUES (1)');
  await other.query('INSERT INTO b VALUES (2); COMMIT');
  await database.query('INSERT INTO a VALUES (3); COMMIT');
  await other.end();
  await follower.caughtUp();
  expect(follower.eventsOf('a').map(({ event }) => event.after?.[0])).toEqual([2, 1, 3]);
  expect(follower.eventsOf('b').map(({ event }) => event.after?.[0])).toEqual([2, 1]);

  const before = follower.batches.length;
  await database.query(
    `BEGIN; INSERT INTO a SELECT i, repeat('x', 300) FROM generate_series(100, 60099) i; UPDATE a SET n = 'end' WHERE id = 1; COMMIT`,
  );
  await follower.caughtUp();
  const parts = follower.batches.slice(before).filter((batch) => batch.items.length > 0);
  const sizes = parts.map((batch) =>
    batch.items.reduce((sum, item) => sum + (item.kind === 'changes' ? item.changes.events.length : 0), 0),
  );
  expect(sizes.reduce((sum, size) => sum + size)).toBe(60_001);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(8_000);
  expect(parts.slice(0, -1).every((batch) => !batch.isComplete)).toBe(true);
  expect(parts.at(-1)?.isComplete).toBe(true);
  expect(new Set(parts.slice(0, -1).map((batch) => batch.position)).size).toBe(1);
  await follower.stop();
  await follower.source.close();
});

test('the position of an idle database goes on beside a busy neighbour, and an open transaction does not hold it', async () => {
  await using database = await createDatabase();
  await using neighbour = await createDatabase();
  await database.query('CREATE TABLE t (id int PRIMARY KEY)');
  const name = sourceName();
  const follower = await follow(database.url, name);
  await neighbour.query('CREATE TABLE busy AS SELECT i FROM generate_series(1, 50000) i');
  await follower.caughtUp();
  const { rows } = await database.query('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  await database.query('BEGIN; INSERT INTO t VALUES (1)');
  await follower.caughtUp();
  await follower.until(() => follower.batches.at(-1)?.items.length === 0);
  const head = rows[0]?.lsn as string;
  for (;;) {
    const { rows: slots } = await neighbour.query(
      `SELECT confirmed_flush_lsn >= $1::pg_lsn AS passed FROM pg_replication_slots WHERE slot_name = $2`,
      [head, `dailies_${name}`],
    );
    if (slots[0]?.passed === true) break;
  }
  expect(follower.eventsOf('t')).toEqual([]);
  await database.query('COMMIT');
  await follower.caughtUp();
  expect(follower.eventsOf('t')).toHaveLength(1);
  await follower.stop();
  await follower.source.close();
});

test('rows are read again by key, of any key type', async () => {
  await using database = await createDatabase();
  await database.query(
    `
    CREATE TABLE t (a numeric(9, 2), b timestamptz, c bytea, d date, e time, f char(3), g boolean, h uuid, i timestamp, body text, PRIMARY KEY (a, b, c, d, e, f, g, h, i));
    INSERT INTO t VALUES (-0.05, '1969-12-31 23:59:59.999999Z', '\\x00ff', '0001-01-01', '01:02:03.000004', 'x', true, '00000000-0000-0000-0000-00000000000a', '2300-01-01 00:00:00.1', 'body');`.replaceAll(
      '\\\\',
      '\\',
    ),
  );
  const follower = await follow(database.url, sourceName());
  const [seen] = follower.eventsOf('t');
  const key = seen?.event.after?.slice(0, 9) ?? [];
  const schema = seen?.changes.schema ?? { fields: [], key: [] };
  const signal = new AbortController().signal;
  const missing = [...key.slice(0, 8), 0n];
  const found = await follower.source.readRows('public.t', schema, [missing, key], signal);
  expect([...found]).toEqual([[1, seen?.event.after]]);
  expect(await follower.source.readRows(`${seen?.changes.table}`, schema, [key], signal)).toEqual(
    new Map([[0, seen?.event.after]]),
  );
  await follower.stop();
  await follower.source.close();
});

test('a default, a renaming or a rewrite that old rows show is read again, running or after a restart; other changes are not', async () => {
  await using database = await createDatabase();
  await database.query(
    'CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE u (id int PRIMARY KEY); INSERT INTO t VALUES (1, 1), (2, 2)',
  );
  const name = sourceName();
  const first = await follow(database.url, name);
  const begins = (follower: Follower) =>
    follower.batches.flatMap(({ items }) =>
      items.filter((item) => item.kind === 'snapshot-begin' && item.table.endsWith('.t')),
    ).length;
  await database.query('ALTER TABLE t ADD plain text; INSERT INTO t VALUES (3, 3)');
  await first.caughtUp();
  expect(begins(first)).toBe(1);
  await database.query(
    'ALTER TABLE t ADD five int NOT NULL DEFAULT 5; BEGIN; INSERT INTO u VALUES (1); INSERT INTO t VALUES (4, 4); COMMIT',
  );
  // The old rows are read again beside the stream.
  await first.until(() => first.ended.length === 3);
  await first.caughtUp();
  await database.query('UPDATE t SET five = 6 WHERE id = 1');
  await first.caughtUp();
  expect(begins(first)).toBe(2);
  expect(first.rowsOf('t')).toEqual([1, 2, 3, 4].map((id) => ({ id, n: id, plain: null, five: id === 1 ? 6 : 5 })));
  expect(first.rowsOf('u')).toEqual([{ id: 1 }]);
  await first.stop();
  await first.source.close();

  await database.query('VACUUM FULL t');
  await database.query('ALTER TABLE t RENAME n TO number; ALTER TABLE t ALTER five TYPE text USING five * 2');
  const source = openSource(database.url, name);
  const second = new Follower(source, await requestFor(source, first.position));
  await second.until(() => second.ended.length === 1);
  await second.caughtUp();
  expect(second.rowsOf('t')[1]).toEqual({ id: 2, number: 2, plain: null, five: '10' });
  await second.stop();
  await database.query('VACUUM FULL t');
  const third = new Follower(source, await requestFor(source, second.position));
  await third.caughtUp();
  expect(begins(third)).toBe(0);
  await third.stop();
  await source.close();
});

test('a table whose primary key is dropped can soon be updated again, and is followed for what it still tells', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)');
  const first = await follow(database.url, sourceName());
  await database.query('ALTER TABLE t DROP CONSTRAINT t_pkey');
  for (;;) {
    const isRefused = await database.query('UPDATE t SET n = 2').then(
      () => false,
      () => true,
    );
    if (!isRefused) break;
    await delay(100);
  }
  expect(await first.untilFailed()).toMatchObject({ code: 'source_protocol' });
  const second = new Follower(first.source, await requestFor(first.source, first.position));
  await second.until(() => second.ended.length === 1);
  await database.query('INSERT INTO t VALUES (2, 2)');
  await second.caughtUp();
  expect(second.eventsOf('t').map(({ event }) => [event.op, event.after])).toEqual([
    ['r', [1, 2]],
    ['c', [2, 2]],
  ]);
  await second.stop();
  await second.source.close();
});
