import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { ChildPool } from '#catalog/query/child-pool.ts';
import type { RunRequest } from '#catalog/query/child-protocol.ts';
import { ana, openQueries, type QueryFixture } from './query-fixture.ts';

/** A condition is waited for however slow the machine. */
const patient = { timeout: 100_000, interval: 50 };
let queries: QueryFixture;
let secretFile: string;
let tableFile: string;

beforeAll(async () => {
  queries = await openQueries({
    'production.movie': "SELECT i AS id, 'film ' || i AS title FROM range(10) t(i)",
    'deals.deal': 'SELECT 1 AS id, 2 AS fee',
  });
  secretFile = path.join(queries.dir, 'secret.csv');
  fs.writeFileSync(secretFile, 'hush\n1\n');
  tableFile = path.join(queries.dir, 'warehouse', 'table-0.parquet');
});
afterAll(async () => await queries[Symbol.asyncDispose]());

/** Runs it in earnest: it must fail. */
async function refusedToRun(sql: string): Promise<string> {
  const done = await queries.run(sql);
  expect(done, sql).toMatchObject({ state: 'failed', error: { code: 'sql_refused' } });
  expect(done.error?.message).not.toContain(queries.dir);
  return done.error?.message ?? '';
}

/** Asks what it would read, which is the check that every run makes. */
async function refused(sql: string, code = 'sql_refused'): Promise<string> {
  const thrown: unknown = await queries.service.describe(sql).catch((error: unknown) => error);
  expect(thrown, sql).toMatchObject({ code });
  return thrown instanceof Error ? thrown.message : '';
}

describe('hole 1: allowed paths allow writing', () => {
  test('nothing that writes or copies runs', async () => {
    const before = fs.readFileSync(tableFile);
    for (const sql of [
      `COPY (SELECT 1) TO '${tableFile}'`,
      `COPY (SELECT 1 AS id) TO '${tableFile}' (USE_TMP_FILE false)`,
      `COPY production.movie TO '${queries.dir}/out.csv'`,
      `EXPORT DATABASE '${queries.dir}/export'`,
      'CREATE TABLE t AS SELECT 1',
      'INSERT INTO production.movie VALUES (1)',
      'DROP VIEW production.movie',
    ]) {
      expect(await refusedToRun(sql)).toContain('Only a SELECT');
    }
    expect(fs.readFileSync(tableFile).equals(before)).toBe(true);
    expect(fs.existsSync(`${queries.dir}/out.csv`)).toBe(false);
  });
});

describe('hole 2: EXPLAIN ANALYZE executes what it explains', () => {
  test('EXPLAIN is refused', async () => {
    await refusedToRun(`EXPLAIN ANALYZE COPY (SELECT 1) TO '${queries.dir}/explained.csv'`);
    await refused('EXPLAIN SELECT 1');
    expect(fs.existsSync(`${queries.dir}/explained.csv`)).toBe(false);
  });
});

describe('hole 3: files behind a table can be read past it', () => {
  test('no file is read by its path, the table’s own neither', async () => {
    expect(await refusedToRun(`SELECT * FROM '${tableFile}'`)).toContain('Files cannot be read by path');
    await refused(`SELECT * FROM "${tableFile}"`);
    await refused(`SELECT * FROM 'file://${tableFile}'`);
    expect(await queries.run(`SELECT * FROM "production"."${tableFile}"`)).toMatchObject({
      error: { code: 'sql_invalid' },
    });
  });

  test('no function reads files', async () => {
    for (const call of [
      `read_parquet('${tableFile}')`,
      `parquet_scan('${tableFile}')`,
      `read_csv('${secretFile}')`,
      `read_csv_auto('${secretFile}')`,
      `read_text('${secretFile}')`,
      `read_blob('${secretFile}')`,
      `read_json('${secretFile}')`,
      `read_ndjson('${secretFile}')`,
      `glob('${queries.dir}/*')`,
      `sniff_csv('${secretFile}')`,
      `parquet_metadata('${tableFile}')`,
      `parquet_schema('${tableFile}')`,
      `parquet_kv_metadata('${tableFile}')`,
      `parquet_file_metadata('${tableFile}')`,
      `read_duckdb('${queries.dir}/x.db')`,
      `main.read_text('${secretFile}')`,
      `system.main.read_text('${secretFile}')`,
      `READ_TEXT('${secretFile}')`,
      `"read_text"('${secretFile}')`,
    ]) {
      expect(await refused(`SELECT * FROM ${call}`)).toMatch(/not available here/);
    }
  });
});

describe('hole 4: the parser’s own table names leak', () => {
  test('tables are found wherever they stand', async () => {
    const reads = async (sql: string) => (await queries.service.describe(sql)).reads.sort();
    const both = ['deals.deal', 'production.movie'];
    expect(await reads('UNPIVOT deals.deal ON id, fee')).toEqual(['deals.deal']);
    expect(await reads('FROM deals.deal PIVOT (sum(fee) FOR id IN (1, 2))')).toEqual(['deals.deal']);
    expect(await reads('SELECT (SELECT max(fee) FROM deals.deal) FROM production.movie')).toEqual(both);
    expect(await reads('WITH d AS (SELECT * FROM deals.deal) SELECT * FROM d, production.movie')).toEqual(both);
    expect(await reads('FROM production.movie LIMIT (SELECT 1 FROM deals.deal)')).toEqual(both);
    expect(await reads('SELECT * FROM production.movie ORDER BY (SELECT fee FROM deals.deal)')).toEqual(both);
    expect(await reads('SELECT * FROM production.movie WHERE id IN (FROM deals.deal SELECT id)')).toEqual(both);
    expect(await reads('TABLE production.movie UNION ALL BY NAME FROM "deals"."deal"')).toEqual(both);
    expect(await reads('SUMMARIZE deals.deal')).toEqual(['deals.deal']);
    expect(await reads('DESCRIBE SELECT * FROM deals.deal')).toEqual(['deals.deal']);
    expect(await reads('SELECT * REPLACE ((SELECT fee FROM deals.deal) AS id) FROM production.movie')).toEqual(both);
    expect(await reads('SELECT list_transform([1], x -> (SELECT fee FROM deals.deal)) FROM production.movie')).toEqual(
      both,
    );
    expect(await reads('SELECT sum(id) OVER (ORDER BY (SELECT fee FROM deals.deal)) FROM production.movie')).toEqual(
      both,
    );
    expect(
      await reads(
        'SELECT * FROM production.movie m JOIN LATERAL (SELECT * FROM deals.deal d WHERE d.id = m.id) ON true',
      ),
    ).toEqual(both);
    expect(await reads('SELECT * FROM range((SELECT fee FROM deals.deal))')).toEqual(['deals.deal']);
    expect(await reads('VALUES ((SELECT fee FROM deals.deal))')).toEqual(['deals.deal']);
  });

  test('exactly one statement runs', async () => {
    expect(await refusedToRun('SELECT 1; SELECT 2')).toContain('Only one statement');
    expect(await refused("SELECT 1; COPY (SELECT 1) TO 'x'")).toMatch(/Only a SELECT|Only one/);
    expect(await queries.rows('SELECT 1; -- the end')).toEqual([[1]]);
    expect(await refused('-- nothing', 'sql_invalid')).toContain('no statement');
  });
});

describe('hole 5: what stays allowed after the lock, and what the catalog functions tell', () => {
  test('statements that change the session are refused', async () => {
    for (const sql of [
      'CALL enable_logging()',
      'SET VARIABLE x = 1',
      'CREATE TEMP TABLE t (x INT)',
      'DETACH memory',
      'PREPARE p AS SELECT 1',
      'EXECUTE p',
      "ATTACH 'x.db'",
      'INSTALL httpfs',
      'LOAD httpfs',
      "SET memory_limit = '10GB'",
      'RESET memory_limit',
      'PRAGMA database_list',
      'CHECKPOINT',
      'BEGIN',
      'USE system',
      'VACUUM',
      'CREATE MACRO m(x) AS x',
      "CREATE TYPE e AS ENUM ('a')",
      'CREATE SECRET (TYPE s3)',
      "IMPORT DATABASE 'x'",
    ]) {
      await refused(sql);
    }
  });

  test('DuckDB’s own catalog is no table', async () => {
    for (const sql of [
      'SELECT * FROM duckdb_tables()',
      'SELECT * FROM duckdb_views()',
      'SELECT * FROM duckdb_settings()',
      'SHOW TABLES',
      'SHOW ALL TABLES',
      'SELECT * FROM (SHOW TABLES)',
      "SELECT * FROM pragma_table_info('production.movie')",
      "SELECT * FROM seq_scan('production.movie')",
      "SELECT * FROM query('SELECT 1')",
      "SELECT * FROM query_table('deals.deal')",
      "SELECT * FROM json_execute_serialized_sql('{}')",
      "SELECT * FROM histogram('deals.deal', fee)",
      "SELECT * FROM which_secret('x', 's3')",
      "SELECT * FROM sql_auto_complete('SEL')",
    ]) {
      await refused(sql);
    }
    for (const table of [
      'duckdb_tables',
      'duckdb_views',
      'sqlite_master',
      'pragma_database_list',
      'information_schema.tables',
      'pg_catalog.pg_class',
      'system.information_schema.tables',
      'main.duckdb_views',
      'temp.sqlite_master',
      'rows_in_hand',
    ]) {
      await refused(`SELECT * FROM ${table}`, 'sql_invalid');
    }
  });

  test('a common table expression opens no way to a name outside its scope', async () => {
    for (const sql of [
      'WITH x AS (SELECT * FROM x) SELECT * FROM x',
      'SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) a, x b',
      'WITH a AS (SELECT * FROM x), x AS (SELECT 1) SELECT * FROM a',
      'SELECT (WITH x AS (SELECT 1 AS y) SELECT max(y) FROM x), * FROM x',
      'WITH RECURSIVE x AS (SELECT 1) SELECT * FROM (WITH RECURSIVE y AS (SELECT * FROM y) FROM y)',
      'WITH RECURSIVE x AS (SELECT * FROM x UNION ALL SELECT * FROM x WHERE false) SELECT * FROM x',
      'WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT i + 1 FROM x, y), y AS (SELECT 1) SELECT * FROM x',
    ]) {
      await refused(sql, 'sql_invalid');
      await expect(queries.service.describe(sql.replaceAll(/\bx\b/g, 'sqlite_master')), sql).rejects.toThrow();
    }
    for (const name of ['duckdb_views', 'sqlite_master', 'PRAGMA_database_list']) {
      await refused(`WITH ${name} AS (SELECT 1) SELECT * FROM ${name}`);
    }
    const recursive =
      'WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT max(i) FROM N';
    expect(await queries.rows(recursive)).toEqual([[3]]);
    const chain = 'WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a) SELECT * FROM b, (SELECT x AS y FROM a)';
    expect(await queries.rows(chain)).toEqual([[1, 1]]);
  });

  test('every view of DuckDB that is found without a schema has one of the names that are refused', async () => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const views = await connection.runAndReadAll("SELECT view_name FROM duckdb_views() WHERE schema_name = 'main'");
    for (const [name] of views.getRows()) expect(String(name)).toMatch(/^(duckdb|pragma|sqlite|pg)_/);
    connection.closeSync();
    instance.closeSync();
  });

  test('no function tells of settings, environment or session, wherever it hides', async () => {
    for (const call of [
      "getenv('PATH')",
      "current_setting('temp_directory')",
      "getvariable('x')",
      'current_query()',
      'current_database()',
      'current_schemas(true)',
      "nextval('s')",
      "write_log('x')",
      "json_serialize_sql('SELECT 1')",
      "json_serialize_plan('SELECT 1')",
      'sleep_ms(1)',
      'pg_sleep(1)',
      'stats(1)',
      'txid_current()',
      'pg_get_viewdef(1)',
      'nosuch(1)',
    ]) {
      await refused(`SELECT ${call}`);
    }
    for (const sql of [
      "SELECT * REPLACE (current_setting('x') AS id) FROM production.movie",
      "SELECT 1 WHERE current_setting('x') = ''",
      "SELECT count(*) FILTER (WHERE current_setting('x') = '')",
      "SELECT sum(1) OVER (PARTITION BY current_setting('x'))",
      "SELECT list_transform([1], x -> current_setting('x'))",
      "SELECT [current_setting(x) FOR x IN ['x']]",
      "SELECT 1 ORDER BY current_setting('x')",
      "SELECT 1 LIMIT (length(current_setting('x')))",
      "VALUES (current_setting('x'))",
      "WITH a AS (SELECT current_setting('x')) SELECT 1",
      "SELECT CASE WHEN true THEN current_setting('x') END",
      "SELECT COLUMNS(c -> current_setting('x') = '') FROM production.movie",
      "SELECT ('x').current_setting()",
      "SELECT system.main.current_setting('x')",
      "SELECT max(1) GROUP BY GROUPING SETS ((current_setting('x')))",
      "SELECT DISTINCT ON (current_setting('x')) 1",
      "SELECT 1 QUALIFY current_setting('x') = ''",
      "SELECT 1 HAVING current_setting('x') = ''",
      "SELECT * FROM production.movie a JOIN production.movie b ON a.title = current_setting('x')",
      "FROM deals.deal PIVOT (max(current_setting('x')) FOR id IN (1))",
      "SELECT try(current_setting('x'))",
      "SELECT string_agg(title, ',' ORDER BY current_setting('x')) FROM production.movie",
      "SELECT * FROM range(length(current_setting('x')))",
      "SELECT row_number() OVER w FROM (SELECT 1) t(a) WINDOW w AS (ORDER BY current_setting('x'))",
    ]) {
      await refused(sql);
    }
  });
});

describe('hole 6: memory_limit is not a limit of the process', () => {
  test('a memory bomb is stopped and the next query runs', async () => {
    // As large as a repeat of one letter, which takes half a minute of a core to write.
    const done = await queries.run("SELECT length(repeat(repeat('x', 1000), 2000000) || i) FROM range(3) t(i)");
    expect(done).toMatchObject({ state: 'failed', error: { code: 'query_limit' } });
    expect(done.error?.message).toContain('memory');
    expect(await queries.rows('SELECT 1')).toEqual([[1]]);
  });

  test('temporary files are limited and stay in the folder of the query', async () => {
    await using small = await openQueries({}, { memoryBytes: 128 * 2 ** 20, tempBytes: 16 * 2 ** 20 });
    const done = await small.run(
      'SELECT * FROM (SELECT i, md5(i::VARCHAR) AS m FROM range(4000000) t(i) ORDER BY m) LIMIT 1 OFFSET 3000000',
    );
    expect(done).toMatchObject({ state: 'failed', error: { code: 'query_limit' } });
    expect(fs.existsSync(path.join(small.dir, 'results', done.id, 'temp'))).toBe(false);
  });
});

describe('hole 7: home_directory reaches past allowed directories', () => {
  test('it cannot be set, and a path from home is a path', async () => {
    await refused(`SET home_directory = '${queries.dir}'`);
    await refused("SELECT * FROM '~/secret.csv'");
  });
});

describe('the lock of DuckDB itself, were the check of the statement ever passed', () => {
  test('opens only the files of the tables, holds its settings, cannot load or attach', async () => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    await connection.run(`SET allowed_paths = [${literal(tableFile)}]`);
    await connection.run('SET enable_external_access = false');
    await connection.run('SET lock_configuration = true');
    for (const sql of [
      `FROM read_csv('${secretFile}')`,
      `FROM '${path.dirname(tableFile)}/../secret.csv'`,
      'SET enable_external_access = true',
      "SET allowed_paths = ['/']",
      "ATTACH '/tmp/x.db'",
      'INSTALL httpfs',
      `COPY (SELECT 1) TO '${queries.dir}/written.csv'`,
    ]) {
      await expect(connection.run(sql), sql).rejects.toThrow();
    }
    connection.closeSync();
    instance.closeSync();
  });

  test('the process has nothing of ours in its environment and a limit of the system', async () => {
    const pool = new ChildPool({ memoryBytes: 2 ** 30, threads: 1, size: 0, cwd: queries.dir });
    process.env.DAILIES_TEST_SECRET = 'hush';
    try {
      const child = await pool.acquire();
      const environment = fs.readFileSync(`/proc/${child.pid}/environ`, 'utf8');
      expect(environment).not.toContain('hush');
      expect(
        environment
          .split('\0')
          .map((entry) => entry.split('=')[0])
          .filter(Boolean)
          .sort(),
      ).toEqual(expect.not.arrayContaining(['DATABASE_URL', 'PATH', 'DAILIES_SECRET']));
      const limits = fs.readFileSync(`/proc/${child.pid}/limits`, 'utf8');
      expect(limits).toMatch(/Max data size\s+3758096384/);
      expect(limits).toMatch(/Max core file size\s+0/);
      // Beside what it has mapped at rest it leaves a query its memory, and its result the rest.
      const status = fs.readFileSync(`/proc/${child.pid}/status`, 'utf8');
      const held = Number(/^VmData:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
      expect(3758096384 - held).toBeGreaterThan(2 * 2 ** 30);
    } finally {
      delete process.env.DAILIES_TEST_SECRET;
      await pool.close();
    }
  });
});

describe('the process', () => {
  const busy = 'SELECT count(*) FROM range(100000000) a(i), range(100000000) b(i) WHERE (a.i * b.i) % 7 = 3';

  test('is gone when a busy query is cancelled', async () => {
    const { id } = await queries.service.submit({ sql: busy, origin: 'api' }, ana);
    await expect.poll(async () => (await queries.service.get(id, ana)).state, patient).toBe('running');
    await expect.poll(() => childrenAt(queries.dir, 'temp'), patient).toHaveLength(1);
    const [pid = 0] = childrenAt(queries.dir, 'temp');
    expect(isRunning(pid)).toBe(true);
    await queries.service.cancel(id, ana);
    // Its folder is gone, too: it would no longer be found by that.
    expect(isRunning(pid)).toBe(false);
    expect(await queries.service.get(id, ana)).toMatchObject({ state: 'cancelled', error: null });
  });

  test('is ended when the time is up', async () => {
    await using quick = await openQueries({}, { timeMs: 1000 });
    expect(await quick.run(busy)).toMatchObject({
      state: 'failed',
      error: { code: 'query_limit', message: expect.stringContaining('longer than 1 s') },
    });
  });

  test('ends by itself when its parent is killed, though DuckDB is busy', async () => {
    const request: RunRequest = {
      kind: 'run',
      sql: busy,
      parameters: [],
      tables: [],
      count: null,
      files: [],
      resultDir: fs.mkdtempSync(path.join(queries.dir, 'orphan-')),
      tempBytes: 1e9,
      resultBytes: 1e9,
    };
    const parent = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `
      import { ChildPool } from ${JSON.stringify(new URL('../../../catalog/query/child-pool.ts', import.meta.url).href)};
      const pool = new ChildPool({ memoryBytes: 2 ** 30, threads: 1, size: 0, cwd: '/' });
      const child = await pool.acquire();
      console.log(child.pid);
      await child.run(${JSON.stringify(request)}, { columns() {}, part() {} });
    `,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [output] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(String(output).trim());
    await expect.poll(() => childrenAt(request.resultDir, 'temp'), patient).toEqual([pid]);
    parent.kill('SIGKILL');
    await expect.poll(() => fs.existsSync(`/proc/${pid}/cmdline`) && isRunning(pid), patient).toBe(false);
  });
});

/** Ids of processes whose working folder is `<dir>/…/<name>`: query children that run. */
function childrenAt(dir: string, name: string): number[] {
  return fs
    .readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      const cwd = linkOf(`/proc/${pid}/cwd`);
      return cwd.startsWith(dir) && path.basename(cwd) === name && isRunning(pid);
    });
}

function linkOf(link: string): string {
  try {
    return fs.readlinkSync(link);
  } catch {
    return '';
  }
}

function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(
      execFileSync('cat', [`/proc/${pid}/stat`], { stdio: ['ignore', 'pipe', 'ignore'] }).toString(),
    );
  } catch {
    return false;
  }
}
