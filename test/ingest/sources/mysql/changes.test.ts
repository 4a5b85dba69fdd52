import mysql from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { isMysql, type ServerName, serverNames } from '#test/fixtures/mysql-programs.ts';
import { describeServers, startServer, type TestServer, type TestServerDatabase } from '#test/fixtures/mysql-server.ts';
import { Mirror } from './mirror.ts';

describeServers('changes', serverNames, changesOf);

function changesOf(name: ServerName): void {
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

  const run = async (statements: string) => {
    for (const statement of statements.split(';\n')) if (statement.trim() !== '') await database.query(statement);
  };
  /** A database with these statements run, and a mirror of it that is whole. */
  const begin = async (statements: string, tables = '*') => {
    database = await server.createDatabase();
    await run(statements);
    mirror = new Mirror(server.url(), [`${database.name}.${tables}`]);
    await mirror.start();
    await mirror.caughtUp();
  };
  const rows = (table: string) => mirror.rows(`${database.name}.${table}`);
  const opsOf = (table: string) =>
    mirror.ops.filter((op) => op.table === `s.${database.name}.${table}`).map(({ op }) => op);
  const snapshots = (table: string) => mirror.table(`${database.name}.${table}`).snapshots;

  /** MySQL lets no transaction with a GTID change both kinds of tables. */
  const namedForMariadb = (title: string, body: () => Promise<void>) => test.skipIf(isMysql(name))(title, body);

  test('rows that were there, then inserts, updates, deletes, key changes and a truncation, in order', async () => {
    await begin(`CREATE TABLE movie (id INT PRIMARY KEY, title VARCHAR(50) NOT NULL);
      INSERT INTO movie VALUES (1, 'Roma'), (2, 'Mank')`);
    expect(rows('movie')).toEqual([
      { id: 1, title: 'Roma' },
      { id: 2, title: 'Mank' },
    ]);
    await run(`INSERT INTO movie VALUES (3, 'Okja');
      UPDATE movie SET title = 'ROMA' WHERE id = 1;
      UPDATE movie SET id = 20 WHERE id = 2;
      DELETE FROM movie WHERE id = 3`);
    await mirror.caughtUp();
    expect(opsOf('movie')).toEqual(['c', 'u', 'd', 'c', 'd']);
    expect(rows('movie')).toEqual([
      { id: 1, title: 'ROMA' },
      { id: 20, title: 'Mank' },
    ]);
    await run(`TRUNCATE TABLE movie;
      INSERT INTO movie VALUES (9, 'Klaus')`);
    await mirror.caughtUp();
    expect(opsOf('movie').slice(5)).toEqual(['t', 'c']);
    expect(rows('movie')).toEqual([{ id: 9, title: 'Klaus' }]);
  });

  test('a key in other letters is another key', async () => {
    await begin(`CREATE TABLE t (name VARCHAR(20) PRIMARY KEY, n INT);
      INSERT INTO t VALUES ('abc', 1)`);
    await run(`UPDATE t SET name = 'ABC'`);
    await mirror.caughtUp();
    expect(opsOf('t')).toEqual(['d', 'c']);
    expect(rows('t')).toEqual([{ name: 'ABC', n: 1 }]);
  });

  test('a table without a key, whose rows are matched whole, and of which some are the same', async () => {
    await begin(`CREATE TABLE t (a INT, b VARCHAR(9));
      INSERT INTO t VALUES (1, 'x'), (1, 'x'), (NULL, NULL)`);
    expect(rows('t')).toHaveLength(3);
    await run(`DELETE FROM t WHERE a = 1 LIMIT 1;
      UPDATE t SET b = 'y' WHERE a = 1;
      INSERT INTO t VALUES (2, 'z')`);
    await mirror.caughtUp();
    expect(rows('t')).toEqual([
      { a: 1, b: 'y' },
      { a: 2, b: 'z' },
      { a: null, b: null },
    ]);
  });

  test('columns that are added, dropped, renamed, widened and changed, without and with changes around them', async () => {
    await begin(`CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(10));
      INSERT INTO t VALUES (1, 10, 'one'), (2, 20, 'two')`);
    await run(`ALTER TABLE t ADD COLUMN c INT NULL;
      INSERT INTO t VALUES (3, 30, 'three', 300)`);
    await mirror.caughtUp();
    expect(snapshots('t')).toBe(1);
    expect(rows('t').at(-1)).toEqual({ id: 3, a: 30, b: 'three', c: 300 });
    await run(`ALTER TABLE t ADD COLUMN d INT NOT NULL DEFAULT 7 FIRST`);
    await mirror.until(() => snapshots('t') === 2);
    expect(rows('t').map(({ d }) => d)).toEqual([7, 7, 7]);
    await run(`ALTER TABLE t RENAME COLUMN b TO title`);
    await mirror.until(() => snapshots('t') === 3);
    expect(rows('t').map(({ title }) => title)).toEqual(['one', 'two', 'three']);
    await run(`ALTER TABLE t MODIFY a BIGINT, DROP COLUMN d;
      UPDATE t SET a = 9223372036854775807 WHERE id = 1`);
    await mirror.caughtUp();
    expect(snapshots('t')).toBe(3);
    expect(rows('t')[0]).toEqual({ id: 1, a: 9223372036854775807n, title: 'one', c: null });
    await run(`ALTER TABLE t MODIFY a VARCHAR(30)`);
    await mirror.until(() => snapshots('t') === 4);
    expect(rows('t').map(({ a }) => a)).toEqual(['9223372036854775807', '20', '30']);
    await run(`ALTER TABLE t DROP COLUMN c, ADD COLUMN c INT NULL`);
    await mirror.until(() => snapshots('t') === 5);
    expect(rows('t').map(({ c }) => c)).toEqual([null, null, null]);
  });

  test('a key that is another one', async () => {
    await begin(`CREATE TABLE t (id INT PRIMARY KEY, code INT NOT NULL);
      INSERT INTO t VALUES (1, 10), (2, 20)`);
    await run(`ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (code);
      INSERT INTO t VALUES (1, 30)`);
    expect(await mirror.untilFailed()).toMatchObject({ code: 'source_protocol' });
    await mirror.start();
    await mirror.until(() => rows('t').length === 3 && snapshots('t') === 2);
    expect(mirror.table(`${database.name}.t`).schema?.key).toEqual(['code']);
    expect(rows('t')).toEqual([
      { id: 1, code: 10 },
      { id: 2, code: 20 },
      { id: 1, code: 30 },
    ]);
  });

  test('a table that is swapped for another, dropped and made again, alone and with its database', async () => {
    await begin(
      `CREATE TABLE movie (id INT PRIMARY KEY, title VARCHAR(20));
      CREATE TABLE movie_new (id INT PRIMARY KEY, title VARCHAR(20));
      INSERT INTO movie VALUES (1, 'old'), (2, 'old');
      INSERT INTO movie_new VALUES (2, 'new'), (3, 'new')`,
      'movie',
    );
    await run(`RENAME TABLE movie TO movie_old, movie_new TO movie`);
    await mirror.until(() => snapshots('movie') === 2);
    expect(rows('movie')).toEqual([
      { id: 2, title: 'new' },
      { id: 3, title: 'new' },
    ]);
    await run(`DROP TABLE movie;
      CREATE TABLE movie (id INT PRIMARY KEY, title VARCHAR(20));
      INSERT INTO movie VALUES (7, 'third')`);
    await mirror.until(() => rows('movie').length === 1 && snapshots('movie') >= 3);
    expect(rows('movie')).toEqual([{ id: 7, title: 'third' }]);
    await mirror.caughtUp();
    await run(`DROP DATABASE ${database.name};
      CREATE DATABASE ${database.name};
      USE ${database.name};
      CREATE TABLE IF NOT EXISTS movie (id INT PRIMARY KEY, title VARCHAR(20));
      INSERT INTO movie VALUES (17, 'of another database')`);
    await mirror.until(() => rows('movie').length === 1 && rows('movie')[0]?.id === 17);
    expect(rows('movie')).toEqual([{ id: 17, title: 'of another database' }]);
  });

  test('partitions that are emptied and exchanged', async () => {
    await begin(
      `CREATE TABLE t (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN MAXVALUE);
      CREATE TABLE other (id INT PRIMARY KEY);
      INSERT INTO t VALUES (1), (2), (11);
      INSERT INTO other VALUES (12)`,
      't',
    );
    await run(`ALTER TABLE t TRUNCATE PARTITION low`);
    await mirror.until(() => rows('t').length === 1 && snapshots('t') === 2);
    expect(rows('t')).toEqual([{ id: 11 }]);
    await run(`ALTER TABLE t EXCHANGE PARTITION high WITH TABLE other`);
    await mirror.until(() => snapshots('t') === 3);
    expect(rows('t')).toEqual([{ id: 12 }]);
  });

  test('a change that a session wrote into the log as a statement', async () => {
    await begin(`CREATE TABLE t (id INT PRIMARY KEY, n INT);
      CREATE TABLE audit (id INT PRIMARY KEY, n INT);
      CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW INSERT INTO audit VALUES (NEW.id, NEW.n);
      INSERT INTO t VALUES (1, 1), (2, 2)`);
    await run(`SET SESSION binlog_format = 'STATEMENT';
      UPDATE t SET n = n * 10;
      SET SESSION binlog_format = 'ROW'`);
    await mirror.until(() => snapshots('t') === 2 && snapshots('audit') === 2);
    await mirror.caughtUp();
    expect(rows('t')).toEqual([
      { id: 1, n: 10 },
      { id: 2, n: 20 },
    ]);
    expect(rows('audit')).toEqual(rows('t'));
  });

  test('prepared transactions: committed later, rolled back, and committed by a run that did not see them prepared', async () => {
    await begin(`CREATE TABLE t (id INT PRIMARY KEY, n INT)`);
    // Its session can do nothing else until it ends, so each has one of its own, which leaves.
    const prepare = async (name: string, id: number) => {
      const options = { socketPath: server.socketPath, user: 'root', database: database.name };
      const session = await mysql.createConnection(options);
      await session.query(`XA START '${name}'`);
      await session.query(`INSERT INTO t VALUES (${id}, 1)`);
      await session.query(`XA END '${name}'`);
      await session.query(`XA PREPARE '${name}'`);
      const { threadId } = session;
      await session.end();
      // As long as the server has not seen it leave, nobody else may end the transaction.
      const isThere = async () => (await database.query('SHOW PROCESSLIST')).some(({ Id }) => Number(Id) === threadId);
      while (await isThere());
    };
    await prepare('one', 1);
    await prepare('two', 2);
    await prepare('three', 3);
    await run(`INSERT INTO t VALUES (4, 4)`);
    await mirror.caughtUp();
    expect(rows('t')).toEqual([{ id: 4, n: 4 }]);
    await run(`XA COMMIT 'one';
      XA ROLLBACK 'two'`);
    await mirror.caughtUp();
    expect(rows('t').map(({ id }) => id)).toEqual([1, 4]);
    await mirror.stop();
    await mirror.start();
    await run(`INSERT INTO t VALUES (5, 5);
      XA COMMIT 'three'`);
    await mirror.caughtUp();
    expect(rows('t').map(({ id }) => id)).toEqual([1, 3, 4, 5]);
    expect(snapshots('t')).toBe(1);
  });

  test('a transaction that is larger than memory should hold, and what a savepoint took back', async () => {
    await begin(`CREATE TABLE t (id INT PRIMARY KEY, pad VARCHAR(2000))`);
    await run(`START TRANSACTION;
      INSERT INTO t SELECT seq, REPEAT('x', 1500) FROM ${server.numbers(20_000)};
      SAVEPOINT s;
      DELETE FROM t;
      ROLLBACK TO s;
      UPDATE t SET pad = 'short' WHERE id <= 10;
      COMMIT`);
    await mirror.caughtUp();
    const incomplete = mirror.batches.filter((batch) => !batch.isComplete && batch.items.length > 0);
    expect(incomplete.length).toBeGreaterThan(0);
    expect(rows('t')).toHaveLength(20_000);
    expect(rows('t').filter(({ pad }) => pad === 'short')).toHaveLength(10);
    const positions = new Set(
      mirror.batches.flatMap(({ items }) =>
        items.flatMap((item) =>
          item.kind === 'changes' ? item.changes.transactions.map(({ position }) => position) : [],
        ),
      ),
    );
    expect(positions.size).toBe(1);
  });

  namedForMariadb('tables that cannot roll back keep what a rolled back transaction did to them', async () => {
    await begin(`CREATE TABLE safe (id INT PRIMARY KEY) ENGINE = InnoDB;
      CREATE TABLE loose (id INT PRIMARY KEY) ENGINE = MyISAM`);
    await run(`START TRANSACTION;
      INSERT INTO safe VALUES (1);
      INSERT INTO loose VALUES (1);
      ROLLBACK;
      INSERT INTO safe VALUES (2)`);
    await mirror.caughtUp();
    expect(rows('safe')).toEqual([{ id: 2 }]);
    expect(rows('loose')).toEqual([{ id: 1 }]);
  });

  namedForMariadb('a savepoint taken back beside a table that cannot go back', async () => {
    await begin(`CREATE TABLE safe (id INT PRIMARY KEY) ENGINE = InnoDB;
      CREATE TABLE loose (id INT PRIMARY KEY) ENGINE = MyISAM`);
    await run(`START TRANSACTION;
      INSERT INTO safe VALUES (1);
      SAVEPOINT s;
      INSERT INTO safe VALUES (2);
      INSERT INTO loose VALUES (2);
      ROLLBACK TO s;
      COMMIT`);
    await mirror.until(() => rows('safe').length === 1 && rows('loose').length === 1);
    await mirror.caughtUp();
    expect([rows('safe'), rows('loose')]).toEqual([[{ id: 1 }], [{ id: 2 }]]);
  });

  test('rows that a foreign key changes, whether the log tells them or not', async () => {
    await begin(
      `CREATE TABLE studio (id INT PRIMARY KEY);
      CREATE TABLE x_film (id INT PRIMARY KEY, studio INT, FOREIGN KEY (studio) REFERENCES studio (id) ON DELETE CASCADE ON UPDATE CASCADE);
      CREATE TABLE x_cut (id INT PRIMARY KEY, film INT, FOREIGN KEY (film) REFERENCES x_film (id) ON DELETE SET NULL);
      INSERT INTO studio VALUES (1), (2);
      INSERT INTO x_film VALUES (10, 1), (20, 2);
      INSERT INTO x_cut VALUES (100, 10), (200, 20)`,
      'x_*',
    );
    await run(`START TRANSACTION;
      DELETE FROM studio WHERE id = 1;
      UPDATE studio SET id = 3 WHERE id = 2;
      COMMIT`);
    if (isMysql(name)) {
      // Told as rows since the server, not InnoDB, does it.
      await mirror.caughtUp();
      expect([snapshots('x_film'), snapshots('x_cut')]).toEqual([1, 1]);
      expect(opsOf('x_film')).toEqual(['d', 'u']);
    } else await mirror.until(() => snapshots('x_film') === 2 && snapshots('x_cut') === 2);
    expect(rows('x_film')).toEqual([{ id: 20, studio: 3 }]);
    expect(rows('x_cut')).toEqual([
      { id: 100, film: null },
      { id: 200, film: 20 },
    ]);
    expect(opsOf('studio')).toEqual([]);
  });

  test('generated, invisible and defaulted columns', async () => {
    await begin(`CREATE TABLE t (id INT PRIMARY KEY, a INT, v INT AS (a + 1) VIRTUAL, s INT AS (a * 2) STORED, hidden INT INVISIBLE DEFAULT 5);
      INSERT INTO t (id, a) VALUES (1, 10)`);
    await run(`INSERT INTO t (id, a) VALUES (2, 20);
      UPDATE t SET a = 11 WHERE id = 1`);
    await mirror.caughtUp();
    expect(rows('t')).toEqual([
      { id: 1, a: 11, v: 12, s: 22, hidden: 5 },
      { id: 2, a: 20, v: 21, s: 40, hidden: 5 },
    ]);
  });

  test('an idle server is known to be idle, and a neighbour that is busy moves the position', async () => {
    await begin(
      `CREATE TABLE t (id INT PRIMARY KEY);
      CREATE TABLE neighbour (id INT PRIMARY KEY)`,
      't',
    );
    const count = mirror.batches.length;
    await mirror.until(() => mirror.batches.length >= count + 2);
    const [a, b] = mirror.batches.slice(-2);
    expect((b?.timeMicros ?? 0n) > (a?.timeMicros ?? 0n)).toBe(true);
    const before = mirror.position;
    await run(`INSERT INTO neighbour VALUES (1)`);
    await mirror.caughtUp();
    expect(mirror.position).not.toBe(before);
    expect(opsOf('neighbour')).toEqual([]);
  });
}
