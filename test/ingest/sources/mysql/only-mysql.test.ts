import mysql from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeServers, startServer, type TestServer, type TestServerDatabase } from '#test/fixtures/mysql-server.ts';
import { Mirror, never, openSource } from './mirror.ts';

/* What MySQL has and MariaDB has not. */

describeServers('what only this server has', ['MySQL 9'], (name) => {
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
  const begin = async (...statements: string[]) => {
    database = await server.createDatabase();
    await run(...statements);
    mirror = new Mirror(server.url(), [`${database.name}.*`]);
    await mirror.start();
    await mirror.caughtUp();
    return mirror;
  };
  const rows = (table: string) => mirror?.rows(`${database.name}.${table}`);
  const at = (account: string) => server.url().replace('root@', `${account}@`);

  test('settings that are wrong are told with the statement that sets them right, which it does', async () => {
    await server.query("SET GLOBAL binlog_format = 'MIXED'");
    await server.query("SET GLOBAL binlog_row_image = 'MINIMAL'");
    await server.query("SET GLOBAL binlog_row_metadata = 'MINIMAL'");
    await server.query('SET GLOBAL binlog_expire_logs_seconds = 3600');
    const source = openSource(server.url(), ['*']);
    const lacks = await source.check(never);
    expect(lacks.map(({ problem }) => problem.split(/ is |;/)[0])).toEqual([
      'binlog_format',
      'binlog_row_image',
      'binlog_row_metadata',
      'The server keeps its binary log for 60 minutes',
    ]);
    for (const { statement } of lacks) await server.query(statement.replace(/;.*/s, ''));
    expect(await source.check(never)).toEqual([]);
    await source.close();
  });

  test('a server without GTIDs is refused with the statements that switch them on, one after the other', async () => {
    await using plain = await startServer(name, { 'gtid-mode': 'OFF', 'enforce-gtid-consistency': 'OFF' });
    const source = openSource(plain.url(), ['*']);
    const lacks = await source.check(never);
    expect(lacks).toHaveLength(1);
    expect(lacks[0]?.problem).toContain('gtid_mode');
    const statements = (lacks[0]?.statement ?? '').match(/SET [^;]+/g) ?? [];
    expect(statements.length).toBeGreaterThan(0);
    for (const statement of statements) await plain.query(statement);
    expect(await source.check(never)).toEqual([]);
    await source.close();
  });

  test('missing privileges are told with the GRANT that gives them; the password goes through its own plugin, in the clear and encrypted', async () => {
    database = await server.createDatabase();
    await run('CREATE TABLE movie (id INT PRIMARY KEY)');
    await server.query("CREATE USER 'reader'@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY 'sword fish'");
    await server.query(`GRANT INSERT ON ${database.name}.* TO 'reader'@'127.0.0.1'`);
    const account = 'reader:sword%20fish';
    const source = openSource(at(account), [`${database.name}.*`]);
    const lacks = await source.check(never);
    expect(lacks.map(({ statement }) => statement)).toEqual([
      "GRANT REPLICATION SLAVE ON *.* TO 'reader'@'127.0.0.1';",
      "GRANT REPLICATION CLIENT ON *.* TO 'reader'@'127.0.0.1';",
      `GRANT SELECT ON \`${database.name}\`.\`movie\` TO 'reader'@'127.0.0.1';`,
    ]);
    for (const { statement } of lacks) await server.query(statement);
    await source.close();
    for (const [id, mode] of ['DISABLED', 'REQUIRED'].entries()) {
      // The server knows the password by then, or asks for it anew.
      if (mode === 'DISABLED') await server.query('FLUSH PRIVILEGES');
      mirror = new Mirror(`${at(account)}?ssl-mode=${mode}`, [`${database.name}.*`]);
      await mirror.start();
      await run(`INSERT INTO movie VALUES (${id})`);
      await mirror.caughtUp();
      expect(rows('movie')?.at(-1)).toEqual({ id });
      await mirror.stop();
    }
    const wrong = openSource(at('reader:wrong'), ['*']);
    await expect(wrong.check(never)).rejects.toMatchObject({ code: 'source_refused' });
    await wrong.close();
  });

  test('compressed transactions, small and larger than memory should hold', async () => {
    const { patterns } = await begin('CREATE TABLE t (id INT PRIMARY KEY, pad VARCHAR(2000))');
    expect(patterns).toHaveLength(1);
    await run('SET SESSION binlog_transaction_compression = ON', "INSERT INTO t VALUES (0, 'one')");
    await run(
      `INSERT INTO t SELECT seq, REPEAT(SHA2(seq, 256), 24) FROM ${server.numbers(20_000)}`,
      "UPDATE t SET pad = 'short' WHERE id < 10",
    );
    await mirror?.caughtUp();
    expect(rows('t')).toHaveLength(20_001);
    expect(rows('t')?.filter(({ pad }) => pad === 'short')).toHaveLength(10);
    expect(mirror?.table(`${database.name}.t`).snapshots).toBe(1);
  });

  test('JSON that is told by what changed in it alone reads as the server prints it', async () => {
    const document = { a: [1, 2, { b: 'x'.repeat(300) }], é: null, n: 1.5, deep: { er: { est: [true] } } };
    await begin(
      'CREATE TABLE t (id INT PRIMARY KEY, j JSON, k JSON, n INT)',
      `INSERT INTO t VALUES (1, '${JSON.stringify(document)}', '{"z": 1}', 0), (2, '${JSON.stringify(document)}', NULL, 0)`,
    );
    await run(
      "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'",
      "UPDATE t SET j = JSON_SET(j, '$.n', -2, '$.a[2].b', 'short')",
      "UPDATE t SET j = JSON_REMOVE(j, '$.a[0]'), k = JSON_SET(k, '$.y', CAST('[1, 2]' AS JSON)), n = 1",
      "UPDATE t SET j = JSON_REPLACE(j, '$.deep.er.est[0]', CAST('{\"q\": [1e10, 18446744073709551615]}' AS JSON)) WHERE id = 2",
      "UPDATE t SET j = JSON_ARRAY_INSERT(j, '$.a[1]', 'in'), k = JSON_SET(k, '$.z', '1')",
      "SET SESSION binlog_row_value_options = ''",
    );
    await mirror?.caughtUp();
    const now = await server.query(
      `SELECT id, CAST(j AS CHAR) AS j, CAST(k AS CHAR) AS k, n FROM ${database.name}.t ORDER BY id`,
    );
    expect(rows('t')).toEqual(now);
    expect(mirror?.ops.map(({ op }) => op)).toEqual(['u', 'u', 'u', 'u', 'u', 'u', 'u']);
  });

  test('transactions with tags of their own, and a restart between them', async () => {
    await begin('CREATE TABLE t (id INT PRIMARY KEY)');
    await run("SET gtid_next = 'AUTOMATIC:billing'", 'INSERT INTO t VALUES (1)', 'INSERT INTO t VALUES (2)');
    await run("SET gtid_next = 'AUTOMATIC:other'", 'INSERT INTO t VALUES (3)', "SET gtid_next = 'AUTOMATIC'");
    await mirror?.caughtUp();
    expect(mirror?.position).toMatch(/:billing:\d/);
    await mirror?.stop();
    await run("SET gtid_next = 'AUTOMATIC:billing'", 'INSERT INTO t VALUES (4)', "SET gtid_next = 'AUTOMATIC'");
    await run('INSERT INTO t VALUES (5)');
    await mirror?.start();
    await mirror?.caughtUp();
    expect(rows('t')?.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5]);
    expect(mirror?.table(`${database.name}.t`).snapshots).toBe(1);
  });

  test('a prepared transaction larger than memory should hold, rolled back by another session', async () => {
    await begin('CREATE TABLE t (id INT PRIMARY KEY, pad VARCHAR(2000))', "INSERT INTO t VALUES (0, 'there')");
    const session = await mysql.createConnection({
      ...{ socketPath: server.socketPath, user: 'root', database: database.name },
    });
    await session.query("XA START 'large'");
    await session.query(`INSERT INTO t SELECT seq, REPEAT('x', 1500) FROM ${server.numbers(20_000)}`);
    await session.query("XA END 'large'");
    await session.query("XA PREPARE 'large'");
    await session.end();
    await mirror?.caughtUp();
    // Rows of what is rolled back are there until the table is read again.
    if (mirror) mirror.isStrict = false;
    await run("XA ROLLBACK 'large'", "INSERT INTO t VALUES (1, 'after')");
    await mirror?.caughtUp();
    const expected = [
      { id: 0, pad: 'there' },
      { id: 1, pad: 'after' },
    ];
    await vi.waitFor(() => expect(rows('t')).toEqual(expected), { timeout: 120_000, interval: 20 });
  });

  test('a table made with its rows, in one transaction of both; keys that the server makes and hides', async () => {
    await begin('CREATE TABLE a (id INT PRIMARY KEY, t VARCHAR(9))', "INSERT INTO a VALUES (1, 'x'), (2, 'y')");
    await run(
      'CREATE TABLE b (PRIMARY KEY (id)) SELECT * FROM a',
      'SET SESSION sql_generate_invisible_primary_key = ON',
      'CREATE TABLE c (t VARCHAR(9))',
      "INSERT INTO c (t) VALUES ('x'), ('x')",
    );
    // Tables that came later are taken up by the next run, as the runtime makes one.
    await mirror?.stop();
    await mirror?.start();
    await mirror?.caughtUp();
    await run("UPDATE b SET t = 'z' WHERE id = 2", "UPDATE c SET t = 'z' LIMIT 1");
    await mirror?.caughtUp();
    expect(rows('b')).toEqual([
      { id: 1, t: 'x' },
      { id: 2, t: 'z' },
    ]);
    expect(rows('c')).toEqual([
      { my_row_id: 1n, t: 'z' },
      { my_row_id: 2n, t: 'x' },
    ]);
    expect(mirror?.table(`${database.name}.c`).schema?.key).toEqual(['my_row_id']);
  });

  test('a replica that is promoted is read on where the stream was, with no table read again', async () => {
    await using replica = await startServer(name, { 'server-id': '2', 'log-bin': 'other' });
    await server.query("CREATE USER copy IDENTIFIED BY 'copy'");
    await server.query('GRANT REPLICATION SLAVE ON *.* TO copy');
    await begin('CREATE TABLE t (id INT PRIMARY KEY)', 'INSERT INTO t VALUES (1)');
    await replica.query(
      `CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = ${server.port}, SOURCE_USER = 'copy', SOURCE_PASSWORD = 'copy', SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1`,
    );
    await replica.query('START REPLICA');
    await run('INSERT INTO t VALUES (2)');
    await mirror?.caughtUp();
    await mirror?.stop();
    await run('INSERT INTO t VALUES (3)');
    const executed = async (of: TestServer) =>
      (await of.query('SELECT @@global.gtid_executed AS gtids'))[0]?.gtids as string;
    const all = await executed(server);
    await vi.waitFor(
      async () => {
        const [row] = await replica.query('SELECT GTID_SUBSET(?, @@global.gtid_executed) AS isThere', [all]);
        expect(Number(row?.isThere)).toBe(1);
      },
      { timeout: 120_000, interval: 50 },
    );
    await replica.query('STOP REPLICA');
    await replica.query('RESET REPLICA ALL');
    await replica.query(`INSERT INTO ${database.name}.t VALUES (4)`);
    if (mirror === null) throw new Error('There is no mirror.');
    mirror.url = replica.url();
    await mirror.start();
    await mirror.caughtUp();
    expect(rows('t')?.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    expect(mirror.table(`${database.name}.t`).snapshots).toBe(1);
    // The old one does not know what the new one did.
    await mirror.stop();
    mirror.url = server.url();
    await mirror.start();
    expect(await mirror.untilFailed()).toMatchObject({ code: 'source_slot_lost' });
  });
});
