import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Principal } from '#catalog/access/principal.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import { ana, ben, openQueries, type QueryFixture } from './query-fixture.ts';

/** A condition is waited for however slow the machine. */
const patient = { timeout: 100_000, interval: 50 };
let queries: QueryFixture;

beforeAll(async () => {
  queries = await openQueries({
    'production.movie': `SELECT i AS id, 'film ' || i AS title, CASE WHEN i % 2 = 0 THEN 'shooting' ELSE 'draft' END AS status,
      DATE '2026-01-01' + i::INTEGER AS released, TIMESTAMPTZ '2026-01-01 00:00:00Z' + to_hours(i) AS updated FROM range(10) t(i)`,
    'Näme space."ta""b.le"': `SELECT 1 AS "c ö'l"`,
    'big.numbers':
      "SELECT i AS id, 'title ' || i AS title, (i * 1.5)::DECIMAL(18, 2) AS price FROM range(1000000) t(i)",
  });
});
afterAll(async () => await queries[Symbol.asyncDispose]());

const forever = 'SELECT count(*) FROM range(100000000) a(i), range(100000000) b(i) WHERE (a.i * b.i) % 7 = 3';

describe('a query', () => {
  test('gives its rows, columns and snapshots, and stays in the history', async () => {
    const done = await queries.run('SELECT id, title FROM production.movie WHERE id < 2 ORDER BY id');
    expect(done).toMatchObject({
      state: 'succeeded',
      rowCount: 2,
      snapshots: { 'production.movie': '7' },
      error: null,
      columns: [
        { name: 'id', type: 'long' },
        { name: 'title', type: 'string' },
      ],
    });
    expect(await queries.service.rows(done.id, ana, 0, 100)).toEqual([
      ['0', 'film 0'],
      ['1', 'film 1'],
    ]);
    expect(await queries.state.query.findUnique({ where: { id: done.id } })).toMatchObject({
      owner: ana.email,
      state: 'succeeded',
      rowCount: 2n,
      origin: 'api',
    });
  });

  test('names tables in any case, quoted, with any letters', async () => {
    expect(await queries.rows('SELECT count(*) FROM PRODUCTION."Movie"')).toEqual([['10']]);
    const odd = await queries.run(`SELECT "c ö'l" AS "größe 😀" FROM "Näme space"."ta""b.le"`);
    expect(odd).toMatchObject({ state: 'succeeded', columns: [{ name: 'größe 😀', type: 'int' }] });
    expect(
      (await queries.rows('SELECT count(m.id) FROM production.movie m JOIN production.movie ON m.id = movie.id'))[0],
    ).toEqual(['10']);
  });

  test('binds parameters by their type and never interpolates them', async () => {
    const sql = "SELECT count(*), ':no' FROM production.movie WHERE status = :status AND id >= :from -- :not_one";
    expect(await queries.rows(sql, { status: 'shooting', from: 4 })).toEqual([['3', ':no']]);
    expect(await queries.rows(sql, { status: "x' OR 1=1 --", from: 0 })).toEqual([['0', ':no']]);
    expect(await queries.rows(sql, { status: null, from: '4' })).toEqual([['0', ':no']]);
    const typed = 'SELECT count(*) FROM production.movie WHERE released >= :d AND updated < :t AND id > :n AND :b';
    const declared = {
      d: { type: 'date', value: '2026-01-03' },
      t: { type: 'timestamp', value: '2026-01-01T08:00:00+02:00' },
      n: { type: 'number', value: '1.5' },
      b: { type: 'boolean', value: true },
    };
    expect(await queries.rows(typed, declared)).toEqual([['4']]);
    expect(await queries.rows(typed, { d: '2026-01-03', t: '2026-01-01T06:00:00Z', n: 1.5, b: true })).toEqual([['4']]);
    expect(await queries.rows('SELECT :x + 1, :X * 2', { x: 20 })).toEqual([['21', '40']]);
    expect(await queries.run(sql, { status: 'x' })).toMatchObject({
      error: { code: 'sql_invalid', message: 'Parameter :from has no value.' },
    });
    expect((await queries.run(sql, { status: 'x', from: 1, form: 2 })).error?.message).toContain('Did you mean :from?');
    await expect(
      queries.service.submit({ sql, parameters: { status: { type: 'date', value: 'soon' } }, origin: 'api' }, ana),
    ).rejects.toMatchObject({ code: 'invalid' });
  });

  test('tells where an error is, with the nearest name', async () => {
    const error = async (sql: string) => (await queries.run(sql)).error;
    expect(await error('SELECT id,\n  titel\nFROM production.movie')).toMatchObject({
      code: 'sql_invalid',
      line: 2,
      column: 3,
    });
    expect(await error("SELECT 'é€😀',\n'é€😀', nope FROM production.movie")).toMatchObject({ line: 2, column: 8 });
    expect(await error("SELECT 'é€😀' x x FROM production.movie")).toMatchObject({
      code: 'sql_invalid',
      line: 1,
      column: 16,
    });
    expect(await error('SELECT *\nFROM production.movies')).toMatchObject({
      line: 2,
      column: 6,
      message: expect.stringContaining('Did you mean production.movie?'),
    });
    expect(await error('SELECT * FROM movie')).toMatchObject({
      code: 'sql_invalid',
      message: expect.stringContaining("a table's name is namespace.table"),
    });
    expect(await error('SELEC 1')).toMatchObject({ code: 'sql_invalid', line: 1, column: 1 });
    expect(await error('SELECT :status +')).toMatchObject({ code: 'sql_invalid', line: 1 });
  });

  test('keeps cells out of messages, but not what the statement says', async () => {
    const cells = await queries.run('SELECT title::INTEGER FROM production.movie');
    expect(cells.error).toMatchObject({ code: 'sql_invalid', message: expect.not.stringContaining('film') });
    expect((await queries.run("SELECT 'abc'::INTEGER")).error?.message).toContain("'abc'");
  });

  test('belongs to who asked: for anybody else, an admin too, it does not exist', async () => {
    const { id } = await queries.run('SELECT 1');
    const admin: Principal = { email: 'root@studio.example', roles: ['admin'], kind: 'person' };
    const { service } = queries;
    for (const who of [ben, admin]) {
      for (const attempt of [
        service.get(id, who),
        service.rows(id, who, 0, 1),
        service.cancel(id, who),
        service.wait(id, who),
        service.resultFile(id, who, 'csv'),
        service.readBatches(id, who),
      ]) {
        await expect(attempt).rejects.toMatchObject({ code: 'not_found' });
      }
    }
    await expect(service.get('nonsense', ana)).rejects.toMatchObject({ code: 'not_found' });
    await expect(service.submit({ sql: 'SELECT 1', origin: 'api' }, { ...ben, roles: [] })).rejects.toMatchObject({
      code: 'forbidden',
    });
  });
});

describe('values', () => {
  const sql = `SELECT 9223372036854775807 AS l, 170141183460469231731687303715884105::HUGEINT AS h, -0.05::DECIMAL(4, 2) AS d, 1::TINYINT AS i, 'NaN'::DOUBLE AS n,
    '-infinity'::FLOAT AS f, DATE '2026-01-31' AS day, TIME '10:00:00.000001' AS t, TIMESTAMP '2026-01-31 09:00:00.123456' AS ts,
    TIMESTAMPTZ '2026-01-31 09:00:00+02' AS tz, 'infinity'::TIMESTAMP AS inf, 'a"b,ö' AS s, '' AS empty, NULL AS nothing, '\\x00\\xFF'::BLOB AS b,
    [1, NULL] AS li, {'a': 1, 'B': [DATE '2026-01-01']} AS st, INTERVAL 1 DAY AS iv, MAP {'k': 1} AS m, true AS yes, uuid_extract_version('018f4a2e-0000-7000-8000-000000000000'::UUID) AS v,
    '018f4a2e-0000-7000-8000-000000000000'::UUID AS u, 1 AS l`;
  const json = [
    '9223372036854775807',
    '170141183460469231731687303715884105',
    '-0.05',
    1,
    'NaN',
    '-Infinity',
    '2026-01-31',
    '10:00:00.000001',
    '2026-01-31T09:00:00.123456',
    '2026-01-31T07:00:00Z',
    'Infinity',
    'a"b,ö',
    '',
    null,
    '00ff',
    [1, null],
    { a: 1, B: ['2026-01-01'] },
    '1 day',
    '{k=1}',
    true,
    '7',
    '018f4a2e-0000-7000-8000-000000000000',
    1,
  ];

  test('travel as JSON, as typed values and into files without loss', async () => {
    const { id, columns, error } = await queries.run(sql);
    expect(error).toBeNull();
    expect(columns?.map(({ type }) => type)).toEqual([
      'long',
      'decimal(38, 0)',
      'decimal(4, 2)',
      'int',
      'double',
      'float',
      'date',
      'time',
      'timestamp',
      'timestamptz',
      'timestamp',
      'string',
      'string',
      'int',
      'binary',
      'list<int>',
      'struct<a: int, B: list<date>>',
      'string',
      'string',
      'boolean',
      expect.any(String),
      'uuid',
      'int',
    ]);
    expect(await queries.service.rows(id, ana, 0, 10)).toEqual([json]);
    const { batches } = await queries.service.readBatches(id, ana);
    const rows: Row[] = [];
    for await (const batch of batches) rows.push(...batch);
    expect(rows[0]?.slice(0, 10)).toEqual([
      9223372036854775807n,
      170141183460469231731687303715884105n,
      -5n,
      1,
      Number.NaN,
      -Infinity,
      20484,
      36000000001n,
      1769850000123456n,
      1769842800000000n,
    ]);
    const csv = fs
      .readFileSync(await queries.service.resultFile(id, ana, 'csv'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(csv[0]).toBe('l,h,d,i,n,f,day,t,ts,tz,inf,s,empty,nothing,b,li,st,iv,m,yes,v,u,l_1');
    expect(csv[1]).toContain(
      '9223372036854775807,170141183460469231731687303715884105,-0.05,1,NaN,-Infinity,2026-01-31,10:00:00.000001,2026-01-31T09:00:00.123456,2026-01-31T07:00:00Z',
    );
    expect(csv[1]).toContain('"a""b,ö","",,00ff,');
    const bom = fs.readFileSync(await queries.service.resultFile(id, ana, 'csv', { bom: true }), 'utf8');
    expect(bom.codePointAt(0)).toBe(0xfeff);
    const [object] = JSON.parse(fs.readFileSync(await queries.service.resultFile(id, ana, 'json'), 'utf8'));
    expect(object).toMatchObject({
      l: '9223372036854775807',
      d: '-0.05',
      n: 'NaN',
      tz: '2026-01-31T07:00:00Z',
      nothing: null,
      st: { a: 1 },
    });
    expect(
      fs
        .readFileSync(await queries.service.resultFile(id, ana, 'parquet'))
        .subarray(0, 4)
        .toString(),
    ).toBe('PAR1');
    await expect(queries.service.resultFile(id, ana, 'xlsx')).rejects.toMatchObject({ code: 'unsupported' });
  });

  test('bytes, instants and odd numbers within lists, structs and maps are in files as on pages', async () => {
    const { id } =
      await queries.run(`SELECT ['\\xAC\\x00'::BLOB, NULL] AS b, [TIMESTAMPTZ '2026-01-31 07:00:00.5Z'] AS tz,
      {'at': TIMESTAMP '2026-01-31 07:00:00', 'n': ['nan'::DOUBLE, 1.5, '-inf'::DOUBLE]} AS st, NULL::STRUCT(b BLOB) AS gone,
      [{'b': [['\\x01'::BLOB]]}] AS deep, [1.50::DECIMAL(38, 30)] AS d, [9007199254740993] AS l`);
    const [page] = await queries.service.rows(id, ana, 0, 10);
    expect(page).toEqual([
      ['ac00', null],
      ['2026-01-31T07:00:00.5Z'],
      { at: '2026-01-31T07:00:00', n: ['NaN', 1.5, '-Infinity'] },
      null,
      [{ b: [['01']] }],
      ['1.500000000000000000000000000000'],
      ['9007199254740993'],
    ]);
    const [object] = JSON.parse(fs.readFileSync(await queries.service.resultFile(id, ana, 'json'), 'utf8'));
    expect(Object.values(object)).toEqual(page);
    const csv = fs
      .readFileSync(await queries.service.resultFile(id, ana, 'csv'), 'utf8')
      .trimEnd()
      .split('\n');
    const quotedJson = (value: unknown) => `"${JSON.stringify(value).replaceAll('"', '""')}"`;
    expect(csv[1]).toBe(page?.map((value) => (value === null ? '' : quotedJson(value))).join(','));
  });

  test('instants in files are those of pages, before year 1 as DuckDB writes them', async () => {
    const texts = ['0001-01-01', '1969-12-31 23:59:59.999999', '2026-01-31 09:00:00.1', '9999-12-31 23:59:59'];
    const instants = [...texts.map((text) => `TIMESTAMP '${text}'`), 'NULL'].join(', ');
    const { id } = await queries.run(
      `SELECT ts, ts::TIMESTAMPTZ AS tz FROM (SELECT unnest([${instants}]) AS ts) ORDER BY ts`,
    );
    const pages = await queries.service.rows(id, ana, 0, 10);
    expect(pages.at(1)).toEqual(['1969-12-31T23:59:59.999999', '1969-12-31T23:59:59.999999Z']);
    const csv = fs.readFileSync(await queries.service.resultFile(id, ana, 'csv'), 'utf8');
    expect(csv).toBe(['ts,tz', ...pages.map((row) => row.map((cell) => cell ?? '').join(',')), ''].join('\n'));
    const json = JSON.parse(fs.readFileSync(await queries.service.resultFile(id, ana, 'json'), 'utf8'));
    expect(json).toEqual(pages.map(([ts, tz]) => ({ ts, tz })));
    const early = await queries.run(
      "SELECT ts, ts::TIMESTAMPTZ AS tz FROM (SELECT TIMESTAMP '0044-03-15 (BC) 12:00:00' AS ts)",
    );
    const file = await queries.service.resultFile(early.id, ana, 'csv');
    expect(fs.readFileSync(file, 'utf8')).toBe('ts,tz\n0044-03-15 (BC) 12:00:00,0044-03-15 (BC) 12:00:00Z\n');
  });

  test('an integer beyond 38 digits is refused, never changed, and its value not told', async () => {
    const { error } = await queries.run('SELECT 2::HUGEINT * 85070591730234615865843651857942052863');
    expect(error).toMatchObject({ code: 'sql_invalid', message: expect.not.stringContaining('1701411834') });
  });

  test('an empty result has columns and files', async () => {
    const { id, columns } = await queries.run('SELECT id, title FROM production.movie WHERE false');
    expect(columns).toHaveLength(2);
    expect(await queries.service.rows(id, ana, 0, 10)).toEqual([]);
    const files = await Promise.all([1, 2, 3].map(() => queries.service.resultFile(id, ana, 'csv')));
    for (const file of files) expect(fs.readFileSync(file, 'utf8')).toBe('id,title\n');
    expect(fs.readdirSync(path.dirname(files[0] ?? '')).filter((name) => name.endsWith('.unfinished'))).toEqual([]);
  });
});

describe('a large result', () => {
  test('is paged anywhere, in order, complete', async () => {
    const done = await queries.run('SELECT id, title, price FROM big.numbers');
    expect(done).toMatchObject({ state: 'succeeded', rowCount: 1_000_000 });
    for (const offset of [0, 499, 500, 54_321, 999_990]) {
      const page = await queries.service.rows(done.id, ana, offset, 500);
      const expected = Array.from({ length: Math.min(500, 1_000_000 - offset) }, (_, index) => String(offset + index));
      expect(page.map(([id]) => id)).toEqual(expected);
    }
    expect(await queries.service.rows(done.id, ana, 1_000_000, 500)).toEqual([]);
    await expect(queries.service.rows(done.id, ana, 0, 10_001)).rejects.toMatchObject({ code: 'invalid' });
    await expect(queries.service.rows(done.id, ana, -1, 1)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('shows its first rows while it runs, and is whole only at the end', async () => {
    const { id } = await queries.service.submit(
      { sql: 'SELECT a.i FROM range(1000000000) a(i)', origin: 'browser' },
      ana,
    );
    await expect.poll(async () => (await queries.service.rows(id, ana, 0, 500)).length, patient).toBe(500);
    expect(await queries.service.get(id, ana)).toMatchObject({ state: 'running', columns: [{ name: 'i' }] });
    await expect(queries.service.resultFile(id, ana, 'csv')).rejects.toMatchObject({ code: 'conflict' });
    await queries.service.cancel(id, ana);
    await queries.service.cancel(id, ana);
    expect(await queries.service.wait(id, ana)).toMatchObject({ state: 'cancelled' });
  });

  test('has rows of any width: a part ends at so many bytes, too', async () => {
    // 10 KB each, a gigabyte in all, and much less once compressed.
    const sql = `SELECT i, repeat(md5(i::VARCHAR), 320) AS plot, [md5(i::VARCHAR)] AS tags FROM range(100000) t(i)`;
    const { id } = await queries.service.submit({ sql, origin: 'api' }, ana);
    expect(await queries.service.wait(id, ana)).toMatchObject({ state: 'succeeded', error: null, rowCount: 100_000 });
    const [last] = await queries.service.rows(id, ana, 99_999, 1);
    expect(last?.[0]).toBe('99999');
    expect(String(last?.[1])).toHaveLength(10_240);
  });

  test('is stopped at its size', async () => {
    await using small = await openQueries({}, { resultBytes: 2 ** 20 });
    expect(await small.run('SELECT i, hash(i) FROM range(1000000) t(i)')).toMatchObject({
      state: 'failed',
      error: { code: 'query_limit' },
    });
  });
});

describe('the service', () => {
  test('says what a statement reads and takes without running it', async () => {
    const sql =
      'WITH a AS (SELECT * FROM production.movie) SELECT * FROM a, Big.Numbers WHERE a.id = :id AND title = :title';
    const expected = { reads: ['production.movie', 'big.numbers'], parameters: ['id', 'title'] };
    expect(await queries.service.describe(sql)).toEqual(expected);
    await expect(queries.service.describe('DROP TABLE x')).rejects.toMatchObject({ code: 'sql_refused' });
    await expect(queries.service.describe('SELECT 1 FROM\n nope.x')).rejects.toMatchObject({
      code: 'sql_invalid',
      details: { line: 2, column: 2 },
    });
  });

  test('a query that cannot be stored leaves no folder that is worked on', async () => {
    await using fixture = await openQueries({});
    await expect(fixture.run("SELECT '\0'")).rejects.toThrow();
    const [id] = fs.readdirSync(path.join(fixture.dir, 'results')).filter((name) => !name.startsWith('.'));
    expect(fs.readdirSync(path.join(fixture.dir, 'results', id ?? ''))).toEqual([]);
  });

  test('queues beyond its limit; what waits can be cancelled', async () => {
    await using narrow = await openQueries({}, { concurrent: 1, queued: 2 });
    const submit = async (sql: string) => (await narrow.service.submit({ sql, origin: 'api' }, ana)).id;
    const first = await submit(forever);
    const second = await submit('SELECT 2');
    const third = await submit('SELECT 3');
    await expect(submit('SELECT 4')).rejects.toMatchObject({ code: 'query_limit' });
    expect(await narrow.service.get(third, ana)).toMatchObject({ state: 'queued', elapsedMs: null });
    await narrow.service.cancel(second, ana);
    expect(await narrow.service.get(second, ana)).toMatchObject({ state: 'cancelled' });
    const waiting = AbortSignal.abort(new Error('gave up'));
    await expect(narrow.service.wait(first, ana, waiting)).rejects.toThrow('gave up');
    await narrow.service.cancel(first, ana);
    expect(await narrow.service.wait(third, ana)).toMatchObject({ state: 'succeeded' });
  });

  test('lets others pass whoever has many running', async () => {
    await using narrow = await openQueries({}, { concurrent: 2 });
    const submit = async (sql: string, who = ana) => (await narrow.service.submit({ sql, origin: 'api' }, who)).id;
    const running = [await submit(forever), await submit(forever)];
    const anas = await submit('SELECT 1');
    const bens = await submit('SELECT 2', ben);
    await narrow.service.cancel(running[0] ?? '', ana);
    await narrow.service.wait(anas, ana);
    const startOf = async (id: string) => (await narrow.state.query.findUniqueOrThrow({ where: { id } })).startedAt;
    expect((await startOf(bens))?.getTime()).toBeLessThan((await startOf(anas))?.getTime() ?? 0);
  });

  test('keeps results over a restart and gives up what nobody runs any more', async () => {
    await using fixture = await openQueries({});
    const done = await fixture.run('SELECT 42');
    const resultsDir = path.join(fixture.dir, 'results');
    const orphan = { owner: ana.email, sql: 'SELECT 1', origin: 'api', state: 'running' };
    const { id } = await fixture.state.query.create({ data: orphan });
    fs.mkdirSync(path.join(resultsDir, id));
    fs.writeFileSync(path.join(resultsDir, id, 'process'), '999999999 1');
    const { id: elsewhere } = await fixture.state.query.create({ data: orphan });
    const next = new QueryService({
      state: fixture.state,
      resultsDir,
      catalog: { locate: async () => null, list: async () => [] },
    });
    expect(await next.wait(id, ana)).toMatchObject({ state: 'failed', error: { code: 'internal' } });
    expect(await next.get(elsewhere, ana)).toMatchObject({ state: 'running' });
    expect(await next.rows(done.id, ana, 0, 1)).toEqual([[42]]);
    await next.close();
  });

  test('removes the oldest results beyond what is kept and says so', async () => {
    await using fixture = await openQueries(
      {},
      { kept: { count: 1, bytes: 2 ** 30, ageMs: 3_600_000, everyMs: 0, historyMs: 3_600_000 } },
    );
    const first = await fixture.run('SELECT 1');
    const second = await fixture.run('SELECT 2');
    const rowsOfFirst = () => fixture.service.rows(first.id, ana, 0, 1).catch((thrown: unknown) => thrown);
    await expect
      .poll(rowsOfFirst, patient)
      .toMatchObject({ code: 'not_found', message: expect.stringContaining('no longer kept') });
    await expect(fixture.service.resultFile(first.id, ana, 'csv')).rejects.toMatchObject({ code: 'not_found' });
    expect(await fixture.service.get(first.id, ana)).toMatchObject({ state: 'succeeded' });
    expect(await fixture.service.rows(second.id, ana, 0, 1)).toEqual([[2]]);
  });
});
