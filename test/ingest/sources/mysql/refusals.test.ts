import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkAddress } from '#app/server/open-source.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { startMariadb, type TestMariadb } from '#test/fixtures/mariadb.ts';
import { createState } from '#test/fixtures/postgres.ts';
import { Mirror, never, openSource } from './mirror.ts';

describeWith('mariadb', 'what MariaDB refuses, and what a server lacks', () => {
  let server: TestMariadb;

  beforeAll(async () => {
    server = await startMariadb('11.4', { ssl: 'ON' });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const failing = async (url: string): Promise<{ code: string; message: string }> => {
    const source = openSource(url, ['*']);
    try {
      await source.check(never);
      throw new Error(`${url} was taken.`);
    } catch (thrown) {
      return thrown as { code: string; message: string };
    } finally {
      await source.close();
    }
  };
  const at = (rest: string) => `mariadb://${rest.replace('SERVER', `127.0.0.1:${server.port}`)}`;

  test.each([
    ['a wrong password', 'root:swordfish@SERVER', 'source_refused', /refused the password of user "root"/],
    ['an unknown host', 'root:swordfish@nowhere.invalid', 'source_unreachable', /"nowhere\.invalid" is not known/],
    [
      'a port where nothing answers',
      'root:swordfish@127.0.0.1:1',
      'source_unreachable',
      /Nothing answers at 127\.0\.0\.1:1/,
    ],
    ['an unknown mode', 'root:swordfish@SERVER?ssl-mode=maybe', 'source_refused', /VERIFY_IDENTITY/],
    ['an unknown option', 'root:swordfish@SERVER?sslmode=require', 'source_refused', /sslmode that is not known/],
    ['a file that is not there', 'root:swordfish@SERVER?ssl-ca=/no/ca.pem', 'source_refused', /ssl-ca.*\/no\/ca\.pem/],
    ['an authority that did not sign', 'root@SERVER?ssl-mode=VERIFY_CA', 'source_refused', /No encrypted connection/],
  ])('%s is told, without the password', async (_, rest, code, message) => {
    const failure = await failing(at(rest));
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(JSON.stringify(failure) + failure.message).not.toContain('swordfish');
  });

  test('an address of another kind is told how it is written', async () => {
    expect(await failing('postgresql://root:swordfish@localhost/x')).toMatchObject({
      code: 'source_refused',
      message: expect.stringContaining('mariadb://user:password@host:3306'),
    });
  });

  test('a server is checked by its address alone, whichever of both schemes it begins with', async () => {
    await using test = await createState();
    const modules = { sources, processors, sinks, destinations: [] };
    const deps = { state: test.state, modules, now: () => new Date() };
    for (const scheme of ['mysql', 'mariadb']) {
      const problems = await checkAddress(deps as never, `${scheme}://root@127.0.0.1:${server.port}`, never);
      expect(problems).toEqual([]);
    }
    await expect(checkAddress(deps as never, 'oracle://root@127.0.0.1', never)).rejects.toThrow(
      /mysql:\/\/, mariadb:\/\//,
    );
  });

  test('an encrypted connection is made where the server can', async () => {
    const source = openSource(at('root@SERVER?ssl-mode=REQUIRED'), ['*']);
    await source.check(never);
    await source.close();
  });

  test('missing privileges are told with the GRANT that gives them, one after the other until none is left', async () => {
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE movie (id INT PRIMARY KEY)');
    await server.query("CREATE USER 'reader'@'127.0.0.1' IDENTIFIED BY 'swordfish'");
    await server.query(`GRANT INSERT ON ${database.name}.* TO 'reader'@'127.0.0.1'`);
    const source = openSource(at('reader:swordfish@SERVER'), [`${database.name}.*`]);
    const lacks = await source.check(never);
    expect(lacks.map(({ statement }) => statement)).toEqual([
      "GRANT REPLICATION SLAVE ON *.* TO 'reader'@'127.0.0.1';",
      "GRANT BINLOG MONITOR ON *.* TO 'reader'@'127.0.0.1';",
      `GRANT SELECT ON \`${database.name}\`.\`movie\` TO 'reader'@'127.0.0.1';`,
    ]);
    for (const { statement } of lacks) await server.query(statement);
    await source.close();
    const again = openSource(at('reader:swordfish@SERVER'), [`${database.name}.*`]);
    expect(await again.check(never)).toEqual([]);
    await again.close();
    const mirror = new Mirror(at('reader:swordfish@SERVER'), [`${database.name}.*`]);
    await mirror.start();
    await database.query('INSERT INTO movie VALUES (1)');
    await mirror.caughtUp();
    expect(mirror.rows(`${database.name}.movie`)).toEqual([{ id: 1 }]);
    await mirror.stop();
  });

  test('settings that are wrong are told with the statement that sets them right, which it does', async () => {
    await server.query("SET GLOBAL binlog_format = 'MIXED'");
    await server.query("SET GLOBAL binlog_row_image = 'MINIMAL'");
    await server.query("SET GLOBAL binlog_row_metadata = 'MINIMAL'");
    await server.query('SET GLOBAL gtid_strict_mode = OFF');
    await server.query('SET GLOBAL binlog_expire_logs_seconds = 3600');
    const source = openSource(at('root@SERVER'), ['*']);
    const lacks = await source.check(never);
    expect(lacks.map(({ problem }) => problem.split(/ is |;/)[0])).toEqual([
      'binlog_format',
      'binlog_row_image',
      'binlog_row_metadata',
      'gtid_strict_mode',
      'The server keeps its binary log for 60 minutes',
    ]);
    const mirror = new Mirror(at('root@SERVER'), ['*']);
    await mirror.start();
    expect(await mirror.untilFailed()).toMatchObject({
      code: 'source_not_ready',
      message: expect.stringContaining('SET GLOBAL binlog_format = ROW'),
    });
    await mirror.stop();
    for (const { statement } of lacks) await server.query(statement.replace(/;.*/s, ''));
    expect(await source.check(never)).toEqual([]);
    await source.close();
  });

  test('tables that cannot be followed are refused by name, and what is no table is not offered', async () => {
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE plain (id INT PRIMARY KEY, n INT) COMMENT "what it is"');
    await database.query('CREATE TABLE heap_of_rows (n INT) ENGINE = MyISAM');
    await database.query('CREATE TABLE versions (id INT PRIMARY KEY) WITH SYSTEM VERSIONING');
    await database.query('CREATE VIEW seen AS SELECT * FROM plain');
    await database.query('CREATE SEQUENCE counter');
    const source = openSource(server.url(), [`${database.name}.*`]);
    const found = await source.discover(never);
    expect(found.map(({ name, refusal }) => [name.split('.')[1], refusal === null])).toEqual([
      ['heap_of_rows', false],
      ['plain', true],
      ['versions', true],
    ]);
    expect(found.find(({ name }) => name.endsWith('heap_of_rows'))?.refusal).toMatch(/neither a primary key nor/);
    expect(found.find(({ name }) => name.endsWith('plain'))?.doc).toBe('what it is');
    await source.close();
    for (const [pattern, message] of [
      ['plian', /no table .*plian.*Did you mean .*plain/],
      ['seen', /seen is no table but a view/],
    ] as const) {
      const asking = openSource(server.url(), [`${database.name}.${pattern}`]);
      await expect(asking.discover(never)).rejects.toMatchObject({
        code: 'table_unknown',
        message: expect.stringMatching(message),
      });
      await asking.close();
    }
  });

  test('a key that cannot be carried is refused by column, and other tables could go on', async () => {
    await using database = await server.createDatabase();
    await database.query("SET sql_mode = ''");
    await database.query('CREATE TABLE t (d DATE PRIMARY KEY)');
    await database.query("INSERT INTO t VALUES ('0000-00-00')");
    const mirror = new Mirror(server.url(), [`${database.name}.*`]);
    await mirror.start();
    expect(await mirror.untilFailed()).toMatchObject({
      code: 'value_unsupported',
      details: { table: `s.${database.name}.t`, column: 'd' },
    });
    await mirror.stop();
  });
});
