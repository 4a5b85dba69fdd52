import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeServers, startServer, type TestServer, type TestServerDatabase } from '#test/fixtures/mysql-server.ts';
import { Mirror } from './mirror.ts';

/* Row images that leave values out: generated columns (MariaDB from 11.8 on), sessions with another binlog_row_image. */

describeServers('images that leave values out', ['MariaDB 10.5', 'MariaDB 11.8', 'MySQL 9'], (name) => {
  let server: TestServer;
  let database: TestServerDatabase;
  let mirror: Mirror;

  beforeAll(async () => {
    server = await startServer(name);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  afterEach(async () => {
    await mirror?.stop();
    await database?.[Symbol.asyncDispose]();
  });

  const begin = async (...statements: string[]) => {
    database = await server.createDatabase();
    await run(...statements);
    mirror = new Mirror(server.url(), [`${database.name}.*`]);
    await mirror.start();
  };
  const run = async (...statements: string[]) => {
    for (const statement of statements) await database.query(statement);
  };
  const rows = (table: string) => mirror.rows(`${database.name}.${table}`);
  const generated = 'v INT AS (a + 1) VIRTUAL, s INT AS (a * 2) STORED, w VARCHAR(9) AS (CONCAT(t, a)) STORED';

  test('what the server makes of other columns is as it makes it, also after a key change and many changes of a row', async () => {
    await begin(
      `CREATE TABLE t (id INT PRIMARY KEY, a INT, t VARCHAR(5), ${generated})`,
      "INSERT INTO t (id, a, t) VALUES (1, 10, 'x'), (2, 20, 'y'), (3, 30, NULL)",
    );
    await mirror.caughtUp();
    for (let n = 0; n < 30; n++) await run(`UPDATE t SET a = ${n} WHERE id = 1`);
    await run("UPDATE t SET t = 'z', id = 20 WHERE id = 2", 'DELETE FROM t WHERE id = 3');
    await run("INSERT INTO t (id, a, t) VALUES (4, 40, 'n') ON DUPLICATE KEY UPDATE a = 0");
    await run("INSERT INTO t (id, a, t) VALUES (4, 40, 'n') ON DUPLICATE KEY UPDATE a = 41");
    await mirror.caughtUp();
    expect(rows('t')).toEqual([
      { id: 1, a: 29, t: 'x', v: 30, s: 58, w: 'x29' },
      { id: 20, a: 20, t: 'z', v: 21, s: 40, w: 'z20' },
      { id: 4, a: 41, t: 'n', v: 42, s: 82, w: 'n41' },
    ]);
    expect(mirror.table(`${database.name}.t`).snapshots).toBe(1);
  });

  test('and in a table without a key', async () => {
    await begin(
      `CREATE TABLE t (a INT, t VARCHAR(5), ${generated})`,
      "INSERT INTO t (a, t) VALUES (10, 'x'), (10, 'x'), (20, NULL)",
    );
    await mirror.caughtUp();
    await run('UPDATE t SET a = 11 LIMIT 1', 'DELETE FROM t WHERE t IS NULL', "INSERT INTO t (a, t) VALUES (5, 'n')");
    const expected = [
      { a: 10, t: 'x', v: 11, s: 20, w: 'x10' },
      { a: 11, t: 'x', v: 12, s: 22, w: 'x11' },
      { a: 5, t: 'n', v: 6, s: 10, w: 'n5' },
    ];
    await vi.waitFor(() => expect(rows('t')).toEqual(expected), { timeout: 120_000, interval: 50 });
  });

  test.each(['MINIMAL', 'NOBLOB'])(
    'a session whose binlog_row_image is %s loses nothing, with and without a key, on old keys and new ones',
    async (image) => {
      await begin(
        'CREATE TABLE t (id INT PRIMARY KEY, a INT, b TEXT, c INT NOT NULL DEFAULT 7)',
        'CREATE TABLE u (a INT, b TEXT, c INT NOT NULL DEFAULT 7)',
        "INSERT INTO t VALUES (1, 1, 'one', 1), (2, NULL, 'two', 2), (3, 3, NULL, 3), (4, 4, 'four', 4)",
        "INSERT INTO u VALUES (1, 'one', 1), (NULL, 'two', 2), (3, NULL, 3)",
      );
      await mirror.caughtUp();
      const images = mirror.batches.length;
      await run(`SET SESSION binlog_row_image = ${image}`);
      await run(
        'UPDATE t SET id = 10, a = NULL WHERE id = 1',
        'UPDATE t SET a = 22 WHERE id = 2',
        'DELETE FROM t WHERE id = 3',
      );
      await run('INSERT INTO t (id, b) VALUES (5, NULL)');
      await run("UPDATE u SET a = NULL WHERE b = 'one'", 'DELETE FROM u WHERE c = 3', 'INSERT INTO u (a) VALUES (9)');
      await run('SET SESSION binlog_row_image = FULL');
      await mirror.caughtUp();
      const changes = mirror.batches.slice(images).flatMap(({ items }) => items);
      // What the row before holds is left to whoever has that.
      const [{ after = null } = {}] = changes.flatMap((item) =>
        item.kind === 'changes' && item.changes.table.endsWith('.t')
          ? item.changes.events.filter(({ op, after }) => op === 'u' && after?.[0] === 2)
          : [],
      );
      expect(after?.[1]).toBe(22);
      expect(rows('t').filter(({ id }) => id !== 2)).toEqual([
        { id: 10, a: null, b: 'one', c: 1 },
        { id: 4, a: 4, b: 'four', c: 4 },
        { id: 5, a: null, b: null, c: 7 },
      ]);
      const expected = [
        { a: 9, b: null, c: 7 },
        { a: null, b: 'one', c: 1 },
        { a: null, b: 'two', c: 2 },
      ];
      await vi.waitFor(() => expect(rows('u')).toEqual(expected), { timeout: 120_000, interval: 50 });
    },
  );

  test('and while the table is being read in chunks', async () => {
    await begin(
      'CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(60))',
      `INSERT INTO t SELECT seq, seq, REPEAT('x', 60) FROM ${server.numbers(6_000)}`,
      'SET SESSION binlog_row_image = MINIMAL',
    );
    for (let n = 0; !mirror.table(`${database.name}.t`).isWhole && mirror.failure === null; n++) {
      await run(`UPDATE t SET a = -a WHERE id % 600 = ${n % 600}`);
    }
    await mirror.caughtUp();
    const told = rows('t');
    expect(told).toHaveLength(6_000);
    expect(told.filter(({ b }) => b !== 'x'.repeat(60))).toEqual([]);
    const now = await server.query(`SELECT id, a FROM ${database.name}.t`);
    const byId = new Map(now.map(({ id, a }) => [id, a]));
    expect(told.filter(({ id, a }) => byId.get(id) !== a)).toEqual([]);
  });
});
