import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { isMysql } from '#test/fixtures/mysql-programs.ts';
import { describeServers, startServer, type TestServer, type TestServerDatabase } from '#test/fixtures/mysql-server.ts';
import { Mirror, printable } from './mirror.ts';

/*
 * Whoever follows the log may come to an ALTER TABLE long after it was run, when another one has made the table look as
 * before, though its rows do not read as before.
 */

interface History {
  /** Columns beside the key. */
  columns: string;
  /** Of rows 1, 2, …; in the columns' order. */
  values: string[];
  /** `t` stands for the table. */
  statements: string[];
}

const of = (columns: string, values: string[], ...statements: string[]): History => ({ columns, values, statements });

const histories: Record<string, History> = {
  'a text that was a number': of(
    'n VARCHAR(20)',
    ["'007'", "'12'"],
    'ALTER TABLE t MODIFY n INT',
    'INSERT INTO t VALUES (3, 33)',
    'UPDATE t SET n = 5 WHERE id = 2',
    'ALTER TABLE t MODIFY n VARCHAR(20)',
    "INSERT INTO t VALUES (4, '004')",
  ),
  'a decimal that was rounded': of(
    'n DECIMAL(10,2)',
    ['1.25', '2.75'],
    'ALTER TABLE t MODIFY COLUMN n DECIMAL(10,1) FIRST',
    'UPDATE t SET n = 7.7 WHERE id = 2',
    'ALTER TABLE t MODIFY COLUMN n NUMERIC(10, 2) NULL AFTER id',
  ),
  'a moment without its fraction': of(
    'n DATETIME(6)',
    ["'2024-05-06 07:08:09.123456'", "'2024-05-06 07:08:09.654321'"],
    'ALTER TABLE t MODIFY n DATETIME',
    "INSERT INTO t VALUES (3, '2024-01-01 00:00:00')",
    'ALTER TABLE t MODIFY n DATETIME(6)',
  ),
  'a text that was cut': of(
    'n VARCHAR(20)',
    ["'abcdef'", "'abc'"],
    'ALTER TABLE t CHANGE n n VARCHAR(3)',
    "INSERT INTO t VALUES (3, 'xyz')",
    'ALTER TABLE t CHANGE n n VARCHAR(20)',
    "UPDATE t SET n = 'longer again' WHERE id = 2",
  ),
  'a text that was longer for a while': of(
    'n VARCHAR(3)',
    ["'abc'"],
    'ALTER TABLE t MODIFY n VARCHAR(20)',
    "INSERT INTO t VALUES (2, 'abcdef')",
    'ALTER TABLE t MODIFY n VARCHAR(3)',
  ),
  'a text whose size was smaller': of(
    'n TEXT',
    [`'${'long '.repeat(60)}'`, "'short'"],
    'ALTER TABLE t MODIFY n TEXT(60)',
    "INSERT INTO t VALUES (3, 'x')",
    'ALTER TABLE t MODIFY n TEXT(65535)',
  ),
  'a label with a newline that was another': of(
    String.raw`n ENUM('a\nb','c')`,
    [String.raw`'a\nb'`, "'c'"],
    "ALTER TABLE t MODIFY n ENUM('anb','c')",
    "INSERT INTO t VALUES (3, 'anb')",
    String.raw`ALTER TABLE t MODIFY n ENUM('a\nb','c')`,
  ),
  'labels that were fewer': of(
    "n ENUM('a','b','c')",
    ["'a'", "'c'"],
    "ALTER TABLE t MODIFY n ENUM('a','b')",
    "INSERT INTO t VALUES (3, 'b')",
    "ALTER TABLE t MODIFY n ENUM('a','b','c')",
  ),
  'a label that another begins with': of("n ENUM('a')", ["'a'"], "ALTER TABLE t MODIFY n ENUM('a''b')"),
  'a number whose sign was lost': of(
    'n INT',
    ['-5', '5'],
    'ALTER TABLE t MODIFY n INT UNSIGNED',
    'INSERT INTO t VALUES (3, 4000000000)',
    'ALTER TABLE t MODIFY n INT',
  ),
  'a table in a smaller character set': of(
    'n VARCHAR(20)',
    ["'é🎬'", "'plain'"],
    'ALTER TABLE t CONVERT TO CHARACTER SET latin1',
    "INSERT INTO t VALUES (3, 'ü')",
    'ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4',
    "INSERT INTO t VALUES (4, '🎬')",
  ),
  'a column in a smaller character set': of(
    'n TEXT',
    ["'é🎬'", "'plain'"],
    "ALTER TABLE t MODIFY `n` TEXT COLLATE latin1_bin COMMENT 'NULL, or (not', ALGORITHM = COPY",
    'ALTER TABLE t MODIFY n TEXT CHARSET utf8mb4',
  ),
  'a column in the smaller character set of its table': of(
    'n VARCHAR(20)',
    ["'é🎬'"],
    'ALTER TABLE t DEFAULT CHARACTER SET = latin1',
    'ALTER TABLE t MODIFY n VARCHAR(20)',
    'ALTER TABLE t CHARSET utf8mb4',
    'ALTER TABLE t MODIFY n VARCHAR(20)',
  ),
  'a column that took no NULL': of(
    'n VARCHAR(20)',
    ['NULL', "'x'"],
    'ALTER TABLE t MODIFY n VARCHAR(20) NOT NULL',
    "INSERT INTO t VALUES (3, 'y')",
    'ALTER TABLE t MODIFY n VARCHAR(20) NULL',
    'INSERT INTO t VALUES (4, NULL)',
  ),
  'a column that took NULL for a while': of(
    'n INT NOT NULL',
    ['1', '2'],
    'ALTER TABLE t MODIFY n INT',
    'INSERT INTO t VALUES (3, NULL)',
    'ALTER TABLE t MODIFY n INT NOT NULL',
  ),
  'a default that is gone': of(
    'n INT',
    ['1', '2'],
    'ALTER TABLE t ADD x INT DEFAULT 5',
    'INSERT INTO t VALUES (3, 3, 6)',
    'ALTER TABLE t ALTER x DROP DEFAULT',
  ),
  'a default that is gone, of a column in a list, after a statement of another column': of(
    'n INT',
    ['1', '2'],
    'ALTER TABLE t MODIFY n BIGINT',
    "ALTER TABLE t ADD (y INT, x VARCHAR(9) DEFAULT 'five'), ADD INDEX (n)",
    'ALTER TABLE t ALTER COLUMN x DROP DEFAULT',
  ),
  'a column that came as NOT NULL': of(
    'n INT',
    ['1', '2'],
    'ALTER TABLE t ADD COLUMN x INT NOT NULL FIRST',
    'ALTER TABLE t MODIFY x INT NULL',
  ),
  'a moment that came as NOT NULL where settings say so': of(
    'n INT',
    ['1', '2'],
    'ALTER TABLE t ADD x TIMESTAMP',
    'ALTER TABLE t MODIFY x TIMESTAMP NULL',
  ),
  'a column that came as another type': of(
    'n INT',
    ['1'],
    'ALTER TABLE t ADD x INT',
    'INSERT INTO t VALUES (2, 2, 7)',
    'ALTER TABLE t MODIFY x VARCHAR(9)',
    "INSERT INTO t VALUES (3, 3, '007')",
  ),
  'a generated column that was made otherwise': of(
    'n INT, g INT AS (n + 1) STORED',
    ['1, DEFAULT', '2, DEFAULT'],
    'ALTER TABLE t MODIFY g INT AS (n * 100) STORED',
    'INSERT INTO t (id, n) VALUES (3, 3)',
    'ALTER TABLE t MODIFY g INT AS (n + 1) STORED',
  ),
  'two columns, each there and back in the middle of the other': of(
    'n VARCHAR(20), m VARCHAR(20)',
    ["'01', '01'", "'2', '2'"],
    'ALTER TABLE t MODIFY n INT, MODIFY m VARCHAR(30)',
    "INSERT INTO t VALUES (3, 3, 'thirty letters and some more')",
    'ALTER TABLE t MODIFY m VARCHAR(3)',
    'ALTER TABLE t MODIFY n VARCHAR(20)',
    "INSERT INTO t VALUES (4, '04', '04')",
    'ALTER TABLE t MODIFY m VARCHAR(20)',
  ),
};

/** None of them makes a row read differently. */
const harmless: [string, ...string[]][] = [
  ['v VARCHAR(10)', 'ALTER TABLE t MODIFY v VARCHAR(20)', 'ALTER TABLE t CHANGE COLUMN `v` `v` VARCHARACTER(30)'],
  ["e ENUM('a','it''s')", "ALTER TABLE t MODIFY e ENUM('a','it''s ', 'b\\\\c')"],
  [
    String.raw`e ENUM('a\\b','c\nd','e\tf','g\r','h\0','\%\_\q"')`,
    String.raw`ALTER TABLE t MODIFY e ENUM('a\\b',"c\nd",'e\tf','g\r','h\0','\%\_q"')`,
    String.raw`ALTER TABLE t MODIFY e ENUM('a\\b','c\nd','e\tf','g\r','h\0','\%\_q"','i\nj')`,
  ],
  [
    'c TEXT',
    'ALTER TABLE t MODIFY c TEXT(16383)',
    'ALTER TABLE t MODIFY c TEXT(65535)',
    'ALTER TABLE t MODIFY c LONGTEXT',
  ],
  [
    'c TEXT(80) CHARSET latin1',
    'ALTER TABLE t MODIFY c TEXT(255) CHARSET latin1',
    'ALTER TABLE t MODIFY c TEXT(21845)',
  ],
  [
    'c TINYBLOB',
    'ALTER TABLE t MODIFY c BLOB(255)',
    'ALTER TABLE t MODIFY c BLOB(65535)',
    'ALTER TABLE t MODIFY c BLOB',
  ],
  ["e SET('a','b')", "ALTER TABLE t MODIFY `e` set('a', 'b', 'c') COMMENT 'NOT NULL, CHARSET latin1' AFTER id"],
  ['i INT', 'ALTER TABLE t MODIFY i INTEGER', 'ALTER TABLE t MODIFY i INT(5)', 'ALTER TABLE t MODIFY i INT8 NULL'],
  ['i TINYINT UNSIGNED', 'ALTER TABLE t MODIFY i SMALLINT UNSIGNED ZEROFILL', 'ALTER TABLE t MODIFY i INT3 UNSIGNED'],
  ['b BOOLEAN', 'ALTER TABLE t MODIFY b BOOL DEFAULT TRUE', 'ALTER TABLE t MODIFY b TINYINT(1)'],
  [
    'd DEC',
    'ALTER TABLE t MODIFY d NUMERIC(10)',
    'ALTER TABLE t MODIFY d DECIMAL(10,0)',
    'ALTER TABLE t MODIFY d FIXED',
  ],
  ['d DECIMAL(8,2)', 'ALTER TABLE t MODIFY d DECIMAL(12, 2)'],
  [
    'd DOUBLE',
    'ALTER TABLE t MODIFY d DOUBLE PRECISION',
    'ALTER TABLE t MODIFY d REAL',
    'ALTER TABLE t MODIFY d FLOAT(30)',
  ],
  ['f FLOAT', 'ALTER TABLE t MODIFY f FLOAT4', 'ALTER TABLE t MODIFY f FLOAT(20)'],
  ['c CHAR, b BIT', 'ALTER TABLE t MODIFY c CHARACTER(1), MODIFY b BIT(1)', 'ALTER TABLE t MODIFY c CHAR'],
  [
    'v VARCHAR(9) CHARACTER SET utf8',
    'ALTER TABLE t MODIFY v NVARCHAR(9)',
    'ALTER TABLE t MODIFY v CHAR VARYING(9) CHARACTER SET utf8mb3',
  ],
  [
    'v VARCHAR(9) CHARSET latin1',
    'ALTER TABLE t MODIFY v VARCHAR(9) COLLATE latin1_bin',
    'ALTER TABLE t MODIFY v VARCHAR(9)',
  ],
  ['j JSON', "ALTER TABLE t MODIFY j JSON COMMENT 'what it is'"],
  ['b CHAR(5) BYTE', 'ALTER TABLE t MODIFY b BINARY(5)', 'ALTER TABLE t MODIFY b CHAR(5) CHARACTER SET binary'],
  ['y YEAR', 'ALTER TABLE t MODIFY y YEAR(4)'],
  ['at TIMESTAMP(3) NULL', 'ALTER TABLE t MODIFY at TIMESTAMP(3) NULL DEFAULT NULL'],
  ['at TIMESTAMP', 'ALTER TABLE t MODIFY at TIMESTAMP'],
  ['at DATETIME', 'ALTER TABLE t MODIFY at DATETIME(0) DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP'],
  ['g GEOMETRYCOLLECTION', 'ALTER TABLE t MODIFY g GEOMETRYCOLLECTION'],
  ['n INT NOT NULL', 'ALTER TABLE t MODIFY n INT NOT NULL DEFAULT 5', 'ALTER TABLE t MODIFY n BIGINT'],
  ['n INT', 'ALTER TABLE t MODIFY id BIGINT', 'ALTER TABLE t MODIFY id BIGINT AUTO_INCREMENT'],
  [
    'n INT',
    'ALTER TABLE t ADD x INT, ADD COLUMN (y VARCHAR(9) NULL, z INT DEFAULT NULL)',
    'ALTER TABLE t MODIFY x BIGINT',
  ],
  ['v VARCHAR(9)', 'ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, COMMENT = "x"'],
  ['v VARCHAR(9)', 'ALTER TABLE t DEFAULT CHARSET = utf8mb4 ENGINE = InnoDB', 'ALTER TABLE t ADD UNIQUE KEY k (v)'],
];

describeServers('alterations that are undone', ['MariaDB 10.5', 'MariaDB 11.8', 'MySQL 9'], (name) => {
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

  const run = async (...statements: string[]) => {
    for (const statement of statements) await database.query(statement);
  };
  const begin = async (...statements: string[]) => {
    database = await server.createDatabase();
    await run("SET SESSION sql_mode = ''", ...statements);
    mirror = new Mirror(server.url(), [`${database.name}.*`]);
    await mirror.start();
    await mirror.caughtUp();
  };
  /** All that it takes to come to what a mirror of now has. */
  const expectSame = async (tables: readonly string[], titles: readonly string[]) => {
    const fresh = new Mirror(server.url(), mirror.patterns);
    await fresh.start();
    await fresh.caughtUp();
    await fresh.stop();
    const rows = (of: Mirror, table: string) => {
      const names = fresh.table(`${database.name}.${table}`).schema?.fields.map((field) => field.name) ?? [];
      return of
        .rows(`${database.name}.${table}`)
        .map((row) => JSON.stringify(printable(Object.fromEntries(names.map((one) => [one, row[one] ?? null])))))
        .sort();
    };
    const all = (of: Mirror) => tables.map((table, at) => ({ history: titles[at], rows: rows(of, table) }));
    await mirror.caughtUp();
    await vi.waitFor(
      () => {
        if (mirror.failure !== null) throw mirror.failure;
        expect(all(mirror)).toEqual(all(fresh));
      },
      { timeout: 120_000, interval: 50 },
    );
    expect(all(mirror).every((table) => table.rows.length > 0)).toBe(true);
  };
  const snapshots = (table: string) => mirror.table(`${database.name}.${table}`).snapshots;
  const titles = Object.keys(histories);
  const tables = titles.map((_, at) => `t${at}`);

  test.each([
    ['with a key', 'id INT PRIMARY KEY'],
    ['without a key', 'id INT'],
  ])('tables %s that look as before when the log is read', async (_, id) => {
    const all = Object.values(histories);
    await begin(
      ...all.map(({ columns }, at) => `CREATE TABLE t${at} (${id}, ${columns})`),
      ...all.flatMap(({ values }, at) =>
        values.map((value, row) => `INSERT INTO t${at} VALUES (${row + 1}, ${value})`),
      ),
    );
    await mirror.stop();
    for (const [at, { statements }] of all.entries()) {
      await run(...statements.map((statement) => statement.replace(/\bt\b/, `t${at}`)));
    }
    await mirror.start();
    await expectSame(tables, titles);
  });

  test('alterations that change no row cost no reading, whether the log is read at once or later', async () => {
    await begin(...harmless.map(([columns], at) => `CREATE TABLE t${at} (id INT PRIMARY KEY, ${columns})`));
    const alter = async (only: (at: number) => boolean) => {
      for (const [at, [, ...statements]] of harmless.entries()) {
        if (!only(at)) continue;
        const inserted = `INSERT INTO t${at} (id) VALUES (1)`;
        await run(...statements.map((statement) => statement.replace(/\bt\b/, `t${at}`)), inserted);
      }
    };
    await alter((at) => at % 2 === 0);
    await mirror.caughtUp();
    await mirror.stop();
    await alter((at) => at % 2 === 1);
    await mirror.start();
    const all = harmless.map((_, at) => `t${at}`);
    await expectSame(
      all,
      harmless.map((statements) => statements.join('; ')),
    );
    expect(harmless.filter((_, at) => snapshots(`t${at}`) !== 1)).toEqual([]);
  });

  test.skipIf(isMysql(name))('statements that leave out rows, or come with settings of their own', async () => {
    await begin(
      'CREATE TABLE a (id INT PRIMARY KEY, n INT)',
      'INSERT INTO a VALUES (1, 1), (2, 1), (3, 3)',
      'CREATE TABLE b (id INT PRIMARY KEY, n INT)',
      'INSERT INTO b VALUES (1, 1)',
      'CREATE TABLE c (id INT PRIMARY KEY, n INT)',
      'INSERT INTO c VALUES (1, 1)',
    );
    await run(
      'ALTER IGNORE TABLE a ADD UNIQUE (n)',
      'SET STATEMENT lock_wait_timeout = 50, max_statement_time = 0 FOR ALTER TABLE b ADD x INT DEFAULT 7',
      'SET STATEMENT lock_wait_timeout = 50 FOR TRUNCATE TABLE c',
      'INSERT INTO c VALUES (2, 2)',
    );
    await expectSame(['a', 'b', 'c'], ['left out', 'added', 'emptied']);
    const count = snapshots('b');
    await run('ALTER TABLE b ADD COLUMN IF NOT EXISTS x INT DEFAULT 7', 'ALTER TABLE b MODIFY IF EXISTS y INT');
    await run('INSERT INTO b VALUES (2, 2, 2)');
    await expectSame(['b'], ['nothing done']);
    expect(snapshots('b')).toBe(count);
  });
});
