import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeServers, startServer, type TestServer, type TestServerDatabase } from '#test/fixtures/mysql-server.ts';
import { Mirror, never, openSource } from './mirror.ts';

/* System-versioned tables: the log tells of their history as of rows of the same table. */

describeServers('system-versioned tables', ['MariaDB 10.5', 'MariaDB 11.4', 'MariaDB 11.8'], (name) => {
  let server: TestServer;
  let database: TestServerDatabase;
  let mirror: Mirror | null = null;

  beforeAll(async () => {
    server = await startServer(name);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  afterEach(async () => {
    await mirror?.stop();
    mirror = null;
    await database?.[Symbol.asyncDispose]();
  });

  const run = async (...statements: string[]) => {
    for (const statement of statements) await database.query(statement);
  };
  const follow = async () => {
    mirror = new Mirror(server.url(), [`${database.name}.*`]);
    await mirror.start();
    await mirror.caughtUp();
  };
  const rows = (table: string) => mirror?.rows(`${database.name}.${table}`);
  const periods = {
    implicit: '',
    explicit: ', rs TIMESTAMP(6) AS ROW START, re TIMESTAMP(6) AS ROW END, PERIOD FOR SYSTEM_TIME (rs, re)',
    invisible:
      ', rs TIMESTAMP(6) AS ROW START INVISIBLE, re TIMESTAMP(6) AS ROW END INVISIBLE, at TIMESTAMP(6) NULL, PERIOD FOR SYSTEM_TIME (rs, re)',
  };
  const kinds = Object.entries(periods).flatMap(([kind, period]) =>
    ['PRIMARY KEY', ''].map((key) => [`${kind}, ${key === '' ? 'without a key' : 'with a key'}`, key, period] as const),
  );

  test.each(kinds)('land as they are now: %s', async (_, key, period) => {
    database = await server.createDatabase();
    await run(
      `CREATE TABLE t (id INT ${key}, a INT${period}) WITH SYSTEM VERSIONING`,
      'INSERT INTO t (id, a) VALUES (1, 1), (2, 2), (3, 3), (4, 4)',
      'UPDATE t SET a = 40 WHERE id = 4',
      'DELETE FROM t WHERE id = 3',
    );
    await follow();
    const now = async () => {
      const list = await server.query(`SELECT id, a FROM ${database.name}.t ORDER BY id, a`);
      return list.map((row) => `${row.id} ${row.a}`);
    };
    const told = () =>
      rows('t')
        ?.map((row) => `${row.id} ${row.a}`)
        .sort();
    expect(told()).toEqual(await now());
    await run(
      'UPDATE t SET a = 10 WHERE id = 1',
      'UPDATE t SET id = 20 WHERE id = 2',
      'INSERT INTO t (id, a) VALUES (5, 5), (6, 6)',
      'START TRANSACTION',
      'INSERT INTO t (id, a) VALUES (7, 7)',
      'UPDATE t SET a = 70 WHERE id = 7',
      'UPDATE t SET a = 71 WHERE id = 7',
      'DELETE FROM t WHERE id IN (5, 7)',
      'INSERT INTO t (id, a) VALUES (5, 55)',
      'COMMIT',
      'DELETE HISTORY FROM t',
      'UPDATE t SET a = a + 1',
      'DELETE FROM t WHERE id = 20',
    );
    await mirror?.caughtUp();
    expect(told()).toEqual(await now());
    const names = mirror?.table(`${database.name}.t`).schema?.fields.map((field) => field.name);
    expect(names?.filter((field) => field !== 'at')).toEqual(['id', 'a']);
    expect(mirror?.table(`${database.name}.t`).snapshots).toBe(1);
  });

  test('made so, and no longer, while it is followed', async () => {
    database = await server.createDatabase();
    await run('CREATE TABLE t (id INT PRIMARY KEY, a INT)', 'INSERT INTO t VALUES (1, 1), (2, 2)');
    await follow();
    await run(
      'SET SESSION system_versioning_alter_history = KEEP',
      'ALTER TABLE t ADD SYSTEM VERSIONING',
      'UPDATE t SET a = 10 WHERE id = 1',
      'DELETE FROM t WHERE id = 2',
      'ALTER TABLE t ADD COLUMN b INT NULL',
      'INSERT INTO t VALUES (3, 3, 3)',
      'ALTER TABLE t DROP SYSTEM VERSIONING',
      'UPDATE t SET b = 11 WHERE id = 1',
      'INSERT INTO t VALUES (2, 22, NULL)',
    );
    await mirror?.caughtUp();
    expect(rows('t')).toEqual([
      { id: 1, a: 10, b: 11 },
      { id: 2, a: 22, b: null },
      { id: 3, a: 3, b: 3 },
    ]);
  });

  test('one whose period is of transactions is refused by name: the server logs it as statements', async () => {
    database = await server.createDatabase();
    const period = 'rs BIGINT UNSIGNED AS ROW START, re BIGINT UNSIGNED AS ROW END, PERIOD FOR SYSTEM_TIME (rs, re)';
    await run(`CREATE TABLE t (id INT PRIMARY KEY, ${period}) WITH SYSTEM VERSIONING`);
    const source = openSource(server.url(), [`${database.name}.*`]);
    const [found] = await source.discover(never);
    expect(found?.refusal).toMatch(/\.t is system-versioned by transactions/);
    await source.close();
  });
});
