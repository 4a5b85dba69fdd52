import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { expect } from 'vitest';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import { Follower, follow, openSource, requestFor, sourceName } from './follower.ts';
import { readPayloads, recordStream } from './raw-stream.ts';

/** Where a case runs: a database of its own on a server of any version. */
export interface CaseDatabase {
  url: string;
  query(sql: string, values?: unknown[]): Promise<pg.QueryResult>;
  connect(): Promise<pg.Client>;
}

/** The address with which the server tells every transaction of more than 64 kB while it is under way. */
export function streamingUrl(url: string): string {
  return `${url}?options=${encodeURIComponent('-c logical_decoding_work_mem=64kB')}`;
}

export async function tableRows(database: CaseDatabase, table: string, key = 'id'): Promise<unknown[]> {
  const { rows } = await database.query(`SELECT * FROM ${table} ORDER BY ${key}::text COLLATE "C"`);
  return rows;
}

/** Transactions of this source that the server has told while they were under way, once its counters say so. */
export async function untilStreamed(database: CaseDatabase, name: string, atLeast: number): Promise<void> {
  for (;;) {
    const { rows } = await database.query('SELECT stream_txns FROM pg_stat_replication_slots WHERE slot_name = $1', [
      `dailies_${name}`,
    ]);
    if (Number(rows[0]?.stream_txns) >= atLeast) return;
    await delay(20);
  }
}

async function stop(follower: Follower): Promise<void> {
  await follower.stop();
  await follower.source.close();
}

const fill = (from: number, to: number, word: string) =>
  `INSERT INTO film SELECT i, '${word} ' || i, repeat('x', 300) FROM generate_series(${from}, ${to}) i`;

const filmTable = 'CREATE TABLE film (id int PRIMARY KEY, title text NOT NULL, pad text)';

/** Two large transactions under way at once, subtransactions rolled back in each, a third rolled back, small ones between. */
export async function streamedCase(database: CaseDatabase): Promise<void> {
  await database.query(`${filmTable}; CREATE TABLE small (id int PRIMARY KEY, n int);`);
  const name = sourceName();
  const follower = await follow(streamingUrl(database.url), name);
  const [one, two, lost] = [await database.connect(), await database.connect(), await database.connect()];
  for (const client of [one, two, lost]) await client.query('BEGIN');
  await one.query(fill(1, 500, 'one'));
  await lost.query(fill(100_001, 101_000, 'lost'));
  await database.query('INSERT INTO small VALUES (1, 1)');
  await two.query(fill(10_001, 10_600, 'two'));
  await one.query(`SAVEPOINT a; ${fill(501, 900, 'rolled back')}; SAVEPOINT b; ${fill(901, 1300, 'within')};`);
  await one.query(`RELEASE b; ROLLBACK TO a; ${fill(501, 700, 'again')}; RELEASE a;`);
  await two.query(`SAVEPOINT a; UPDATE film SET title = 'changed' WHERE id > 10300; ROLLBACK TO a;`);
  await two.query(`SAVEPOINT c; DELETE FROM film WHERE id <= 10100; RELEASE c; ${fill(20_001, 20_500, 'late')}`);
  await database.query('UPDATE small SET n = 2');
  await untilStreamed(database, name, 3);
  await follower.caughtUp();
  // Nothing of what is under way is told, and it does not hold up the rest.
  expect(follower.eventsOf('film')).toEqual([]);
  expect(follower.rowsOf('small')).toEqual([{ id: 1, n: 2 }]);
  await lost.query('ROLLBACK');
  await two.query('COMMIT');
  await database.query('UPDATE small SET n = 3');
  await one.query('COMMIT');
  await database.query("UPDATE film SET title = 'after' WHERE id IN (1, 10001, 10600)");
  await follower.caughtUp();
  expect(follower.rowsOf('film')).toEqual(await tableRows(database, 'film'));
  expect(follower.rowsOf('small')).toEqual([{ id: 1, n: 3 }]);
  const order = follower.eventsOf('film').map(({ event, changes }) => changes.transactions[event.tx]?.id);
  expect(new Set(order).size).toBe(3);
  // Each transaction's events stand together, in the order of the commits.
  expect(order.filter((id, index) => id !== order[index - 1])).toHaveLength(3);
  expect(follower.eventsOf('film')[0]?.event.after?.[0]).toBe(10_001);
  await stop(follower);
}

/** Long rows: 16 kB each, stored beside the table, which the server's stream tells in about nine parts. */
const longRows = (from: number, to: number) =>
  `INSERT INTO film SELECT i, 'long', (SELECT string_agg(md5((i * 1000 + j)::text), '') FROM generate_series(1, 512) j)
     FROM generate_series(${from}, ${to}) i`;

/**
 * Subtransactions of long rows, which the server puts on its disk before it tells them, and of which it does not tell that they were
 * rolled back, nor that the table was altered there; one that commits within each.
 */
export async function untoldRollbackCase(database: CaseDatabase): Promise<void> {
  await database.query(`${filmTable}; ALTER TABLE film ALTER pad SET STORAGE EXTERNAL`);
  const name = sourceName();
  const options = encodeURIComponent('-c logical_decoding_work_mem=10MB');
  const follower = await follow(`${database.url}?options=${options}`, name);
  const client = await database.connect();
  await client.query(
    `BEGIN; ${longRows(1, 50)}; SAVEPOINT a; ALTER TABLE film ADD COLUMN gone int; ${longRows(1001, 2100)}`,
  );
  await untilStreamed(database, name, 1);
  await client.query(`SAVEPOINT b; UPDATE film SET title = 'within' WHERE id < 10; RELEASE b; ROLLBACK TO a`);
  await client.query(`${fill(1001, 1100, 'again')}; RELEASE a; UPDATE film SET title = 'kept' WHERE id = 7; COMMIT`);
  await database.query(`UPDATE film SET title = 'after' WHERE id = 1001`);
  await follower.caughtUp();
  expect(follower.rowsOf('film')).toEqual(await tableRows(database, 'film'));
  expect(new Set(follower.eventsOf('film').map(({ fields }) => fields.join()))).toEqual(new Set(['id,title,pad']));
  await stop(follower);
}

/** Transactions that were rolled back with their subtransactions by the time that the server reads them. */
export async function forgottenRollbackCase(database: CaseDatabase): Promise<void> {
  await database.query(filmTable);
  const url = streamingUrl(database.url);
  const name = sourceName();
  const first = await follow(url, name);
  await first.caughtUp();
  await stop(first);
  const client = await database.connect();
  await client.query(`BEGIN; SAVEPOINT a; ${fill(1, 500, 'within')}; RELEASE a; ROLLBACK`);
  await client.query(`BEGIN; ${fill(1, 5, 'lost')}; SAVEPOINT a; ${fill(11, 900, 'within')}; RELEASE a; ROLLBACK`);
  await client.query(`BEGIN; SAVEPOINT a; ${fill(1, 500, 'within')}; ROLLBACK TO a; ${fill(601, 900, 'kept')}; COMMIT`);
  const source = openSource(url, name);
  const follower = new Follower(source, await requestFor(source, first.position));
  await follower.caughtUp();
  expect(follower.rowsOf('film')).toEqual(await tableRows(database, 'film'));
  await stop(follower);
}

/** A column that only a rolled back subtransaction had, one that stays, and one that a whole rolled back transaction had. */
export async function streamedShapesCase(database: CaseDatabase): Promise<void> {
  await database.query(`${filmTable}; CREATE TYPE mood AS ENUM ('sad', 'glad');`);
  const name = sourceName();
  const follower = await follow(streamingUrl(database.url), name);
  await database.query(`INSERT INTO film VALUES (0, 'before', NULL)`);
  const client = await database.connect();
  await client.query('BEGIN');
  await client.query(fill(1, 400, 'first'));
  await client.query(`SAVEPOINT a; ALTER TABLE film ADD COLUMN gone int, DROP COLUMN pad;
    INSERT INTO film SELECT i, 'gone ' || i, i FROM generate_series(1001, 3000) i; ROLLBACK TO a;`);
  await client.query(fill(401, 800, 'second'));
  await client.query(`SAVEPOINT b; ALTER TABLE film ADD COLUMN feeling mood;
    INSERT INTO film SELECT i, 'felt', NULL, 'glad' FROM generate_series(4001, 6000) i; RELEASE b;`);
  await client.query(`INSERT INTO film SELECT i, 'felt', NULL, 'sad' FROM generate_series(6001, 7000) i`);
  await untilStreamed(database, name, 1);
  await client.query('COMMIT');
  // Told without a description of its own: that of the transaction before holds.
  await database.query(`INSERT INTO film VALUES (9001, 'after', NULL, 'glad')`);
  await client.query(`BEGIN; ALTER TABLE film ADD COLUMN never int;
    INSERT INTO film SELECT i, 'never', NULL, NULL, i FROM generate_series(20001, 23000) i;`);
  await untilStreamed(database, name, 2);
  await client.query('ROLLBACK');
  await database.query(
    `UPDATE film SET title = 'end' WHERE id = 4001; INSERT INTO film VALUES (9002, 'end', NULL, 'sad')`,
  );
  await follower.caughtUp();
  const rows = follower.rowsOf('film').map((row) => ({ feeling: null, ...row }));
  expect(rows).toEqual((await tableRows(database, 'film')).map((row) => ({ feeling: null, ...(row as object) })));
  const shapes = follower.eventsOf('film').map(({ fields }) => fields.join());
  expect([...new Set(shapes)]).toEqual(['id,title,pad', 'id,title,pad,feeling']);
  await stop(follower);
}

/**
 * Transactions that are prepared, large (told while under way) and small: nothing of them is seen until they commit, whatever is
 * started anew between.
 */
export async function preparedCase(database: CaseDatabase, restartServer: (() => Promise<void>) | null): Promise<void> {
  await database.query(`${filmTable}; CREATE TABLE small (id int PRIMARY KEY, n int);`);
  const url = streamingUrl(database.url);
  const name = sourceName();
  let follower = await follow(url, name);
  const prepare = async (id: string, sql: string) => {
    const client = await database.connect();
    await client.query(`BEGIN; ${sql}; PREPARE TRANSACTION '${name}-${id}'`);
  };
  await prepare('large', fill(1, 2000, 'prepared'));
  await prepare('lost', fill(5001, 7000, 'lost'));
  await prepare(
    'small',
    `INSERT INTO small VALUES (1, 1); SAVEPOINT s; INSERT INTO small VALUES (2, 2); ROLLBACK TO s`,
  );
  await prepare('small-lost', 'INSERT INTO small VALUES (3, 3)');
  await database.query('INSERT INTO small VALUES (10, 10)');
  await untilStreamed(database, name, 2);
  await follower.caughtUp();
  expect(follower.eventsOf('film')).toEqual([]);
  expect(follower.rowsOf('small')).toEqual([{ id: 10, n: 10 }]);
  // All that is known is acknowledged, beyond the places where they were prepared.
  await stop(follower);
  await restartServer?.();
  const kept = follower;
  const source = openSource(url, name);
  follower = new Follower(source, await requestFor(source, kept.position));
  follower.seen.push(...kept.seen);
  await database.query('UPDATE small SET n = 11 WHERE id = 10');
  await follower.caughtUp();
  expect(follower.eventsOf('film')).toEqual([]);
  await database.query(`COMMIT PREPARED '${name}-large'`);
  await database.query(`ROLLBACK PREPARED '${name}-lost'`);
  await database.query(`COMMIT PREPARED '${name}-small'`);
  await database.query(`ROLLBACK PREPARED '${name}-small-lost'`);
  await database.query(`UPDATE film SET title = 'seen' WHERE id = 7`);
  await follower.caughtUp();
  expect(follower.rowsOf('film')).toEqual(await tableRows(database, 'film'));
  expect(follower.rowsOf('small')).toEqual(await tableRows(database, 'small'));
  await stop(follower);
}

/** A connection that is cut within a transaction under way, and within its telling after the commit. */
export async function streamedCutCase(database: CaseDatabase): Promise<void> {
  await database.query(filmTable);
  const url = streamingUrl(database.url);
  const name = sourceName();
  let follower = await follow(url, name);
  const cut = async (wait: () => Promise<void>) => {
    await wait();
    await database.query(
      'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL',
      [`dailies_${name}`],
    );
    await follower.untilFailed();
    await follower.source.close();
    const { seen, position } = follower;
    for (;;) {
      const source = openSource(url, name);
      const next = new Follower(source, await requestFor(source, position));
      while (next.failure === null && next.position === null) await delay(5);
      if (next.failure === null) {
        next.seen.unshift(...seen);
        follower = next;
        return;
      }
      // The server may take a moment to let go of the slot.
      expect(next.failure).toMatchObject({ code: 'source_unreachable' });
      await source.close();
    }
  };
  const client = await database.connect();
  await client.query('BEGIN');
  await client.query(fill(1, 3000, 'one'));
  await cut(() => untilStreamed(database, name, 1));
  await client.query(fill(3001, 40_000, 'two'));
  const parts = follower.batches.length;
  await client.query('COMMIT');
  await cut(() => follower.until(() => follower.batches.slice(parts).some((batch) => batch.items.length > 0)));
  await follower.caughtUp();
  expect(follower.rowsOf('film')).toEqual(await tableRows(database, 'film'));
  await stop(follower);
}

/** Truncation of several tables, those that refer to them and their sequences. */
export async function truncateCase(database: CaseDatabase): Promise<void> {
  await database.query(`
    CREATE TABLE studio (id serial PRIMARY KEY, name text);
    CREATE TABLE film (id serial PRIMARY KEY, studio_id int REFERENCES studio);
    CREATE TABLE apart (id int PRIMARY KEY);
    CREATE TABLE stays (id int PRIMARY KEY);`);
  const follower = await follow(database.url, sourceName());
  await database.query(`INSERT INTO studio (name) VALUES ('a'), ('b'); INSERT INTO film (studio_id) VALUES (1), (2);
    INSERT INTO apart VALUES (1); INSERT INTO stays VALUES (1);`);
  await database.query('TRUNCATE studio, apart RESTART IDENTITY CASCADE');
  await database.query(`INSERT INTO studio (name) VALUES ('again')`);
  await database.query('BEGIN; INSERT INTO apart VALUES (5); TRUNCATE apart; INSERT INTO apart VALUES (6); COMMIT');
  await follower.caughtUp();
  expect(follower.eventsOf('film').map(({ event }) => event.op)).toEqual(['c', 'c', 't']);
  expect(follower.eventsOf('apart').map(({ event }) => event.op)).toEqual(['c', 't', 'c', 't', 'c']);
  expect(follower.rowsOf('studio')).toEqual([{ id: 1, name: 'again' }]);
  expect(follower.rowsOf('stays')).toEqual([{ id: 1 }]);
  await stop(follower);
}

/** Contents under each replica identity, under way and at once; rows of a COPY stand at one place in the server's log. */
export async function identitiesCase(database: CaseDatabase): Promise<void> {
  await database.query(`
    CREATE SCHEMA a; CREATE SCHEMA b; CREATE TYPE a.mood AS ENUM ('sad', 'glad'); CREATE TYPE b.mood AS ENUM ('calm');
    CREATE TABLE by_default (id int PRIMARY KEY, one a.mood, two b.mood, pad text);
    CREATE TABLE by_full (LIKE by_default INCLUDING ALL); ALTER TABLE by_full REPLICA IDENTITY FULL;
    CREATE TABLE by_index (LIKE by_default); ALTER TABLE by_index ALTER id SET NOT NULL;
    CREATE UNIQUE INDEX by_index_id ON by_index (id); ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_id;
    CREATE TABLE by_nothing (LIKE by_default INCLUDING ALL); ALTER TABLE by_nothing REPLICA IDENTITY NOTHING;
    CREATE TABLE keyless (LIKE by_default); ALTER TABLE keyless REPLICA IDENTITY FULL;
    CREATE TABLE parted (LIKE by_default INCLUDING ALL) PARTITION BY RANGE (id);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (1000);
    CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (1000) TO (1000000);`);
  const name = sourceName();
  const follower = await follow(streamingUrl(database.url), name);
  const keyed = ['by_default', 'by_full', 'by_index', 'parted'];
  const all = [...keyed, 'by_nothing', 'keyless'];
  for (const table of all)
    await database.query(`INSERT INTO ${table} VALUES (1, 'sad', 'calm', 'x'), (2, 'glad', NULL, NULL)`);
  for (const table of [...keyed, 'keyless']) {
    await database.query(`UPDATE ${table} SET pad = 'y' WHERE id = 1; UPDATE ${table} SET id = 3 WHERE id = 2`);
    await database.query(`BEGIN; INSERT INTO ${table} SELECT i, 'glad', 'calm', repeat('z', 200) FROM generate_series(10, 1500) i;
      UPDATE ${table} SET one = 'sad' WHERE id > 1400; DELETE FROM ${table} WHERE id BETWEEN 20 AND 1300;
      UPDATE ${table} SET id = id + 2000 WHERE id BETWEEN 10 AND 15; COMMIT;`);
  }
  await database.query('UPDATE by_nothing SET pad = NULL; DELETE FROM by_nothing WHERE id = 2');
  await untilStreamed(database, name, 5);
  await copyRows(database, 'by_default', 5000, 5050);
  await follower.caughtUp();
  for (const table of keyed) expect(follower.rowsOf(table)).toEqual(await tableRows(database, table));
  expect(follower.eventsOf('by_nothing').map(({ event }) => event.op)).toEqual(['c', 'c']);
  expect(wholeRows(follower, 'keyless')).toEqual(
    (await tableRows(database, 'keyless')).map((row) => JSON.stringify(Object.values(row as object))).sort(),
  );
  expect(follower.eventsOf('parted_low')).toEqual([]);
  await stop(follower);
}

/** Rows of a table without a key, matched whole. */
function wholeRows(follower: Follower, table: string): string[] {
  const rows: string[] = [];
  for (const { event } of follower.eventsOf(table)) {
    if (event.before !== null) {
      const at = rows.indexOf(JSON.stringify(event.before));
      expect(at).toBeGreaterThanOrEqual(0);
      rows.splice(at, 1);
    }
    if (event.after !== null) rows.push(JSON.stringify(event.after));
  }
  return rows.sort();
}

async function copyRows(database: CaseDatabase, table: string, from: number, to: number): Promise<void> {
  const client = await database.connect();
  const stream = client.query(copyFrom(`COPY ${table} FROM STDIN`));
  for (let id = from; id <= to; id++) stream.write(`${id}\tglad\tcalm\tcopied\n`);
  stream.end();
  await finished(stream);
}

/** Publications of other people's making: row filters, column lists, partitions by themselves; and messages of applications. */
export async function publicationsCase(database: CaseDatabase, major: number): Promise<void> {
  const name = sourceName();
  const hasFilters = major >= 15;
  await database.query(`
    CREATE TABLE filtered (id int PRIMARY KEY, n int NOT NULL, secret text);
    ALTER TABLE filtered REPLICA IDENTITY FULL;
    CREATE TABLE listed (id int PRIMARY KEY, n int, secret text);
    CREATE TABLE parted (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (20);
    CREATE PUBLICATION ${name} FOR TABLE filtered ${hasFilters ? 'WHERE (n > 10)' : ''}, listed ${hasFilters ? '(id, n)' : ''}, parted;`);
  await database.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
  await database.query(`INSERT INTO filtered VALUES (1, 5, 'a'), (2, 20, 'b')`);
  await database.query('UPDATE filtered SET n = 30 WHERE id = 1');
  await database.query('UPDATE filtered SET n = 1 WHERE id = 2');
  await database.query('DELETE FROM filtered WHERE id = 2');
  await database.query(
    `INSERT INTO listed VALUES (1, 1, 'a'); UPDATE listed SET n = 2; UPDATE listed SET id = 3; DELETE FROM listed`,
  );
  await database.query(
    'INSERT INTO parted VALUES (1, 1), (11, 2); UPDATE parted SET id = 12 WHERE id = 1; TRUNCATE parted_low',
  );
  await database.query(`BEGIN; SELECT pg_logical_emit_message(true, 'kept', 'in a transaction'); COMMIT`);
  await database.query(
    `BEGIN; SELECT pg_logical_emit_message(true, 'lost', 'rolled back'); SELECT pg_logical_emit_message(false, 'at once', 'x'); ROLLBACK`,
  );
  const payloads = await recordStream(database.url, { slot: name, publications: [name], major, hasMessages: true });
  const told = await readPayloads(payloads, 1000);
  expect(told.failure).toBeNull();
  const of = (table: string) =>
    told.events
      .filter((event) => event.table === `s.public.${table}`)
      .map(({ op, before, after }) => [op, before, after]);
  expect(of('filtered')).toEqual(
    hasFilters
      ? [
          ['c', null, [2, 20, 'b']],
          ['c', null, [1, 30, 'a']],
          ['d', [2, 20, 'b'], null],
        ]
      : [
          ['c', null, [1, 5, 'a']],
          ['c', null, [2, 20, 'b']],
          ['u', [1, 5, 'a'], [1, 30, 'a']],
          ['u', [2, 20, 'b'], [2, 1, 'b']],
          ['d', [2, 1, 'b'], null],
        ],
  );
  const rest = hasFilters ? [] : ['a'];
  const unknown = hasFilters ? [UNKNOWN] : [UNKNOWN, UNKNOWN];
  expect(of('listed')).toEqual([
    ['c', null, [1, 1, ...rest]],
    ['u', null, [1, 2, ...rest]],
    ['d', [1, ...unknown], null],
    ['c', null, [3, 2, ...rest]],
    ['d', [3, ...unknown], null],
  ]);
  expect(of('parted')).toEqual([]);
  expect(of('parted_low')).toEqual([
    ['c', null, [1, 1]],
    ['d', [1, UNKNOWN], null],
    ['t', null, null],
  ]);
  expect(of('parted_high')).toEqual([
    ['c', null, [11, 2]],
    ['c', null, [12, 1]],
  ]);
  const messages = told.messages.filter(({ prefix }) => prefix !== 'end');
  expect(messages.map(({ prefix, isTransactional, content }) => [prefix, isTransactional, content.toString()])).toEqual(
    [
      ['kept', true, 'in a transaction'],
      ['at once', false, 'x'],
    ],
  );
}
