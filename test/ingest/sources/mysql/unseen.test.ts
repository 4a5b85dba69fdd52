import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAddress } from '#ingest/sources/mysql/address.ts';
import {
  type Connection,
  connect,
  cut,
  rowsOf,
  type ServerVersion,
  versionOf,
} from '#ingest/sources/mysql/connection.ts';
import { findTables } from '#ingest/sources/mysql/discovery.ts';
import { untilSeen } from '#ingest/sources/mysql/server-head.ts';
import { imprintOf } from '#ingest/sources/mysql/table-imprint.ts';
import { TableMemory } from '#ingest/sources/mysql/table-memory.ts';
import { TableWatch } from '#ingest/sources/mysql/table-watch.ts';
import { describeServers, startServer, type TestServer } from '#test/fixtures/mysql-server.ts';
import { never } from './mirror.ts';

/** Of a server that there is not: what a reset history, or a server behind a proxy, never has. */
const foreign = '01020304-0506-0708-090a-0b0c0d0e0f10:7';

const now = { timeSeconds: 0, errorCode: 0 };

describeServers('statements of transactions that do not come to be seen', ['MySQL 9'], (name) => {
  let server: TestServer;
  let connection: Connection;
  let version: ServerVersion;

  beforeAll(async () => {
    server = await startServer(name);
    connection = await connect(parseAddress(server.url()), never);
    version = await versionOf(connection);
  });
  afterAll(async () => {
    if (connection) cut(connection);
    await server?.[Symbol.asyncDispose]();
  });

  const setUp = async () => {
    const database = await server.createDatabase();
    await database.query('CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))');
    await database.query('CREATE TABLE u (id INT PRIMARY KEY)');
    const [t, u] = [`${database.name}.t`, `${database.name}.u`];
    const memory = new TableMemory(null);
    for (const table of await findTables(connection, [t, u], true)) memory.setImprint(table.name, imprintOf(table));
    const followed = new Set([t, u]);
    const watch = new TableWatch({ connection, version, followed, memory, seenWithinMs: 60, signal: never });
    const look = async (sql: string, gtid: string) => {
      const query = { kind: 'query' as const, sql, database: database.name, sqlMode: 0n, ...now };
      const { outdated, ...rest } = await watch.look(query, gtid);
      return { ...rest, outdated: outdated.map((table) => table.name) };
    };
    const lastGtid = async () => {
      const [row] = await server.query('SELECT @@server_uuid AS uuid, @@gtid_executed AS gtids');
      return `${row?.uuid}:${/\d+$/.exec(String(row?.gtids))?.[0]}`;
    };
    return { database, memory, look, lastGtid, t, u, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
  };

  test.each([
    ['ALTER TABLE t MODIFY v VARCHAR(30)'],
    ['ALTER TABLE t ADD x INT DEFAULT 5'],
    ['CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)'],
    ['DROP TABLE t, other'],
  ])('%s: the tables that it names are read again, and are compared with what was last read', async (sql) => {
    await using setup = await setUp();
    const { memory, t, u } = setup;
    const before = memory.imprint(t);
    expect(await setup.look(sql, foreign)).toMatchObject({ outdated: [t], rekeyed: [], mayChangeKeys: true });
    expect(memory.imprint(t)).toBe(before);
    expect([memory.isOwed(t), memory.isOwed(u)]).toEqual([true, false]);
  });

  test('the next statement that is seen tells what the one before has made', async () => {
    await using setup = await setUp();
    const { database, t } = setup;
    expect(await setup.look('ALTER TABLE t ADD x INT DEFAULT 5', foreign)).toMatchObject({ outdated: [t] });
    await database.query('ALTER TABLE t ADD x INT DEFAULT 5');
    await database.query('ALTER TABLE t COMMENT "seen"');
    const gtid = await setup.lastGtid();
    expect(await setup.look('ALTER TABLE t COMMENT "seen"', gtid)).toMatchObject({ outdated: [t] });
    expect(await setup.look('ALTER TABLE t COMMENT "seen"', gtid)).toMatchObject({ outdated: [] });
  });

  test('another key is told once', async () => {
    await using setup = await setUp();
    const { database, t } = setup;
    const sql = 'ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (v)';
    await database.query(sql);
    expect(await setup.look(sql, foreign)).toMatchObject({ outdated: [t], rekeyed: [t] });
    expect(await setup.look(sql, foreign)).toMatchObject({ outdated: [t], rekeyed: [] });
  });

  test('history that is reset while a transaction is waited for; one that comes late is seen', async () => {
    await using setup = await setUp();
    const { database, u } = setup;
    const gtid = await setup.lastGtid();
    const next = gtid.replace(/\d+$/, (number) => String(Number(number) + 1));
    const seen = untilSeen(connection, version, next, { limitMs: 60_000, signal: never });
    // Answered behind the first question for it.
    await rowsOf(connection, 'SELECT 1');
    await database.query('INSERT INTO u VALUES (1)');
    expect(await seen).toBe(true);
    await server.query('RESET BINARY LOGS AND GTIDS');
    expect(await setup.look('ALTER TABLE u COMMENT "gone"', next)).toMatchObject({ outdated: [u] });
  });

  test('a source that is stopped meanwhile waits no longer', async () => {
    const stop = new AbortController();
    const waiting = untilSeen(connection, version, foreign, { limitMs: 3_600_000, signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });
});
