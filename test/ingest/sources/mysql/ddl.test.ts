import fs from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { DailiesError, errorPolicy } from '#catalog/error.ts';
import { isMysql } from '#test/fixtures/mysql-programs.ts';
import { describeServers, startServer, type TestServer, type TestServerDatabase } from '#test/fixtures/mysql-server.ts';
import { Mirror } from './mirror.ts';

/* Statements that change tables, each followed until the mirror holds what SELECT says. */

describeServers('statements that change tables', ['MariaDB 10.5', 'MariaDB 11.8', 'MySQL 9'], (name) => {
  let server: TestServer;
  let database: TestServerDatabase;
  let mirror: Mirror;

  beforeAll(async () => {
    server = await startServer(name);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  afterEach(async () => {
    isStrict = true;
    await mirror?.stop();
    await database?.[Symbol.asyncDispose]();
  });

  let isStrict = true;
  const run = async (...statements: string[]) => {
    for (const statement of statements) await database.query(statement);
  };
  const begin = async (...statements: string[]) => {
    database = await server.createDatabase();
    await run("SET SESSION sql_mode = ''", ...statements);
    mirror = new Mirror(server.url(), [`${database.name}.*`]);
    mirror.isStrict = isStrict;
    await mirror.start();
    await mirror.caughtUp();
  };
  const sorted = (list: readonly Record<string, unknown>[]) =>
    list.map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))).sort();
  /** Of the columns of now: rows from before one was added hold NULL there. */
  const told = (table: string) => {
    const names = columns(table) ?? [];
    return mirror
      .rows(`${database.name}.${table}`)
      .map((row) => Object.fromEntries(names.map((column) => [column, row[column] ?? null])));
  };
  /** As the runtime: tried again at once after errors that pass. */
  const keepRunning = async () => {
    if (mirror.failure instanceof DailiesError && errorPolicy[mirror.failure.code] === 'auto') await mirror.start();
    if (mirror.failure !== null) throw mirror.failure;
  };
  const isSame = async (table: string) => {
    const compare = async () => {
      expect(sorted(told(table))).toEqual(sorted(await database.query(`SELECT * FROM ${table}`)));
    };
    const waiting = { timeout: 120_000, interval: 20 };
    await vi.waitFor(async () => {
      await keepRunning();
      await compare();
    }, waiting);
    await vi.waitFor(async () => {
      await keepRunning();
      await mirror.caughtUp();
    }, waiting);
    await compare();
  };
  const snapshots = (table: string) => mirror.table(`${database.name}.${table}`).snapshots;
  const columns = (table: string) =>
    mirror.table(`${database.name}.${table}`).schema?.fields.map((field) => field.name);

  test('columns in another order, of another name or default, hidden and checked, with changes between', async () => {
    await begin(
      'CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(9))',
      "INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'y')",
    );
    await run('ALTER TABLE t MODIFY a INT AFTER b', "INSERT INTO t VALUES (3, 'z', 3)");
    await run('ALTER TABLE t MODIFY a INT FIRST', "INSERT INTO t VALUES (4, 4, 'w')");
    await isSame('t');
    expect(columns('t')).toEqual(['a', 'id', 'b']);
    expect(snapshots('t')).toBe(1);
    await run('ALTER TABLE t ALTER COLUMN a SET DEFAULT 9', 'ALTER TABLE t ADD CONSTRAINT small CHECK (a < 100)');
    await run(
      "INSERT INTO t (id, b) VALUES (5, 'v')",
      "ALTER TABLE t ADD INDEX (a), COMMENT 'what it is'",
      'ALTER TABLE t ENGINE = InnoDB',
    );
    await isSame('t');
    expect(snapshots('t')).toBe(1);
  });

  test('columns that are added and dropped at once, without a rewrite', async () => {
    await begin('CREATE TABLE t (id INT PRIMARY KEY, a INT)', 'INSERT INTO t VALUES (1, 1), (2, 2)');
    await run('ALTER TABLE t ADD COLUMN b INT DEFAULT 7, ALGORITHM = INSTANT', 'UPDATE t SET a = 20 WHERE id = 2');
    await isSame('t');
    await run(
      'ALTER TABLE t ADD COLUMN c VARCHAR(9) NULL FIRST, ALGORITHM = INSTANT',
      "INSERT INTO t VALUES ('c', 3, 3, 3)",
    );
    await run('ALTER TABLE t DROP COLUMN b, ALGORITHM = INSTANT', 'DELETE FROM t WHERE id = 1');
    await isSame('t');
    expect(columns('t')).toEqual(['c', 'id', 'a']);
  });

  test('what alters rows without telling of them: a character set that lacks characters, another expression, fewer letters', async () => {
    await begin(
      'CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9) CHARACTER SET utf8mb4, n INT, v INT AS (n + 1) VIRTUAL, s INT AS (n + 1) STORED)',
      "INSERT INTO t (id, a, n) VALUES (1, 'é🎬', 1), (2, 'long text', 2)",
    );
    await run('ALTER TABLE t CONVERT TO CHARACTER SET latin1');
    await isSame('t');
    expect(mirror.rows(`${database.name}.t`)[0]?.a).toBe('é?');
    const count = snapshots('t');
    await run('ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4', "INSERT INTO t (id, a, n) VALUES (3, '🎬', 3)");
    await isSame('t');
    expect(snapshots('t')).toBe(count);
    await run('ALTER TABLE t MODIFY v INT AS (n + 2) VIRTUAL');
    await isSame('t');
    await run('ALTER TABLE t MODIFY s INT AS (n * 100) STORED');
    await isSame('t');
    await run('ALTER TABLE t MODIFY a VARCHAR(2) CHARACTER SET utf8mb4');
    await isSame('t');
  });

  test('names that are given on from table to table, and taken back', async () => {
    isStrict = false;
    await begin(
      'CREATE TABLE a (id INT PRIMARY KEY, x INT)',
      'CREATE TABLE b (id INT PRIMARY KEY, x INT)',
      'CREATE TABLE c (id INT PRIMARY KEY, x INT)',
      'INSERT INTO a VALUES (1, 1)',
      'INSERT INTO b VALUES (2, 2)',
      'INSERT INTO c VALUES (3, 3)',
    );
    await run('RENAME TABLE c TO d, b TO c, a TO b, d TO a', 'INSERT INTO a VALUES (10, 10)', 'UPDATE b SET x = 11');
    await run('ALTER TABLE c RENAME TO e', 'CREATE TABLE c LIKE a', 'INSERT INTO c VALUES (4, 4)');
    for (const table of ['a', 'b', 'c']) await isSame(table);
    await run(
      'DROP TABLE a, b',
      'CREATE TABLE b (id INT PRIMARY KEY, other VARCHAR(9))',
      "INSERT INTO b VALUES (1, 'new')",
    );
    await isSame('b');
    expect(columns('b')).toEqual(['id', 'other']);
  });

  test('partitions that come, go and are made anew', async () => {
    await begin(
      'CREATE TABLE t (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN (20), PARTITION p3 VALUES LESS THAN (30))',
      'INSERT INTO t VALUES (1), (11), (12), (21)',
    );
    await run(
      'ALTER TABLE t DROP PARTITION p1',
      'ALTER TABLE t ADD PARTITION (PARTITION p4 VALUES LESS THAN (40))',
      'INSERT INTO t VALUES (31)',
    );
    await isSame('t');
    await run(
      'ALTER TABLE t REORGANIZE PARTITION p2, p3 INTO (PARTITION q VALUES LESS THAN (30))',
      'DELETE FROM t WHERE id = 11',
    );
    await isSame('t');
    await run('ALTER TABLE t REMOVE PARTITIONING', 'INSERT INTO t VALUES (99)');
    await isSame('t');
  });

  test.skipIf(isMysql(name))(
    'tables that are replaced at once, sequences, and files that are loaded, as rows and as statements',
    async () => {
      isStrict = false;
      await begin('CREATE TABLE t (id INT PRIMARY KEY, a INT)', 'INSERT INTO t VALUES (1, 1)', 'CREATE SEQUENCE s');
      await run(
        "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, b VARCHAR(9)) SELECT 5 AS id, 'five' AS b",
        "INSERT INTO t VALUES (NEXT VALUE FOR s, 'next')",
      );
      await isSame('t');
      expect(columns('t')).toEqual(['id', 'b']);
      const file = path.join(server.dataDir, 'load.tsv');
      fs.writeFileSync(file, '100\tone\n101\ttwo\n', { mode: 0o644 });
      await run(`LOAD DATA INFILE '${file}' INTO TABLE t`);
      await isSame('t');
      const count = snapshots('t');
      fs.writeFileSync(file, '200\tthree\n', { mode: 0o644 });
      await run(
        "SET SESSION binlog_format = 'STATEMENT'",
        `LOAD DATA INFILE '${file}' INTO TABLE t`,
        "SET SESSION binlog_format = 'ROW'",
      );
      await isSame('t');
      expect(snapshots('t')).toBeGreaterThan(count);
    },
  );
});
