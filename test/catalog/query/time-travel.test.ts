import fs from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { column, ForeignTable } from '../iceberg/read/foreign-table.ts';
import { createWarehouse, schemaOf, type TestWarehouse } from '../iceberg/warehouse.ts';
import { ana } from './query-fixture.ts';

describe('a table of three states', () => {
  let warehouse: TestWarehouse;
  let queries: QueryService;
  let ids: string[];
  /** When each state began. */
  let times: string[];

  beforeAll(async () => {
    warehouse = await createWarehouse();
    const { state, catalog, indexDir, root } = warehouse;
    const writer = await TableWriter.open('production.movie', { catalog, indexDir, now: () => new Date() });
    await writer.evolve(schemaOf({ id: 'long', title: 'string', data: 'string' }, ['id']));
    for (const id of [1n, 2n, 3n]) await writer.upsert([id, `film ${id}`, null], true);
    await commitTables(catalog, [writer], {}, async () => undefined);
    await writer.upsert([2n, 'renamed', 'x'], false);
    await writer.remove([3n, 'film 3', null]);
    await commitTables(catalog, [writer], {}, async () => undefined);
    await writer.upsert([2n, 'renamed again', 'x'], false);
    await writer.upsert([4n, 'film 4', 'y'], true);
    await commitTables(catalog, [writer], {}, async () => undefined);
    await writer.close();
    const entry = await catalog.load('production.movie');
    ids = (entry?.metadata.snapshots ?? []).map((snapshot) => String(snapshot['snapshot-id']));
    times = (entry?.metadata.snapshots ?? []).map((snapshot) => new Date(snapshot['timestamp-ms']).toISOString());
    if (entry) {
      await catalog.commit([
        {
          name: 'production.movie',
          base: entry,
          requirements: [],
          updates: [
            { action: 'set-snapshot-ref', 'ref-name': 'release', type: 'tag', 'snapshot-id': BigInt(ids[1] ?? '') },
          ],
        },
      ]);
    }
    queries = new QueryService({ state, catalog, resultsDir: path.join(root, 'results'), limits: { warm: 1 } });
  });

  afterAll(async () => {
    await queries.close();
    await warehouse[Symbol.asyncDispose]();
  });

  async function read(sql: string, parameters: Record<string, unknown> = {}) {
    const { id } = await queries.submit({ sql, parameters, origin: 'api' }, ana);
    const done = await queries.wait(id, ana);
    const rows = done.state === 'succeeded' ? await queries.rows(id, ana, 0, 100) : [];
    return { ...done, rows };
  }

  const titles = (rows: unknown[][]) => rows.map(([title]) => title);

  test.each([
    ['AT (VERSION => 0)', ['film 1', 'film 2', 'film 3']],
    ["AT (VERSION => 'release')", ['film 1', 'renamed']],
    ["AT (TIMESTAMP => 'time 1')", ['film 1', 'renamed']],
    ["AT (TIMESTAMP => TIMESTAMPTZ 'time 0')", ['film 1', 'film 2', 'film 3']],
    ["AT (TIMESTAMP => now() + INTERVAL '1 second')", ['film 1', 'renamed again', 'film 4']],
    ['AT (VERSION => :tag)', ['film 1', 'renamed']],
  ])('is read %s', async (clause, expected) => {
    const at = clause.replace('=> 0', `=> ${ids[0]}`).replace(/time (\d)/, (_, index) => times[index] ?? '');
    const parameters = at.includes(':tag') ? { tag: 'release' } : {};
    const plain = await read(`SELECT movie.title FROM production.movie ${at} ORDER BY movie.id`, parameters);
    expect(plain).toMatchObject({ error: null });
    expect(titles(plain.rows)).toEqual(expected);
    const named = await read(`SELECT m.title FROM production.movie AS m ${at} ORDER BY m.id`, parameters);
    expect(titles(named.rows)).toEqual(expected);
  });

  test('is read in several states at once, places in errors stay where they were', async () => {
    const both = await read(
      `SELECT old.title, new.title FROM production.movie old AT (VERSION => 'release') FULL JOIN production.movie new USING (id) ORDER BY id`,
    );
    expect(both.rows).toEqual([
      ['film 1', 'film 1'],
      ['renamed', 'renamed again'],
      [null, 'film 4'],
    ]);
    expect(both.snapshots).toEqual({ 'production.movie': ids[1], 'production.movie (2)': ids[2] });
    const wrong = await read(`SELECT title FROM production.movie -- é\n AT (VERSION => 'release') WHERE nonsense = 1`);
    expect(wrong.error).toMatchObject({ code: 'sql_invalid', line: 2, column: 34 });
  });

  test.each([
    ["FROM production.movie AT (VERSION => 'releas')", 'not_found', 'Did you mean release?'],
    [
      "FROM production.movie AT (TIMESTAMP => '2026-02-01')",
      'not_found',
      'The oldest state of the table that is kept is of ',
    ],
    ['FROM production.movie AT (VERSION => 99)', 'not_found', 'snapshot 99'],
    ["FROM production.movie AT (TIMESTAMP => 'yesterday')", 'sql_invalid', 'TIMESTAMP takes a time'],
    ['FROM production.movie AT (VERSION => 1 + 1)', 'sql_invalid', 'VERSION takes'],
    ["FROM changes('production.movie')", 'sql_invalid', 'from when'],
    ["FROM changes('production.film', 'release')", 'sql_invalid', 'production.film'],
    ["FROM changes('movie', 'release')", 'sql_invalid', 'from when'],
  ])('%s fails', async (sql, code, message) => {
    expect((await read(sql)).error).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test.each([
    [() => ({ ref: 'release' }), ['film 1', 'renamed']],
    [() => ({ ref: ids[0] ?? '' }), ['film 1', 'film 2', 'film 3']],
    [() => new Date(times[1] ?? ''), ['film 1', 'renamed']],
  ])('is read as of a state of the whole query', async (asOf, expected) => {
    const sql = 'SELECT title FROM production.movie ORDER BY id';
    const { id } = await queries.submit({ sql, asOf: asOf(), origin: 'api' }, ana);
    expect(await queries.wait(id, ana)).toMatchObject({ error: null });
    expect(titles(await queries.rows(id, ana, 0, 10))).toEqual(expected);
  });

  test('tells what changed between two states', async () => {
    const changed = await read(
      `SELECT change, coalesce(after.id, before.id) AS id, before.title, after.title FROM changes('production.movie', ${ids[0]}) ORDER BY id`,
    );
    expect(changed).toMatchObject({ error: null });
    expect(changed.rows).toEqual([
      ['update', '2', 'film 2', 'renamed again'],
      ['delete', '3', 'film 3', null],
      ['insert', '4', null, 'film 4'],
    ]);
    const first = await read(
      `SELECT c.change, c.before.id FROM changes('production.movie', :from, 'release') AS c ORDER BY 2`,
      { from: { type: 'timestamp', value: times[0] } },
    );
    expect(first).toMatchObject({ error: null });
    expect(first.rows).toEqual([
      ['update', '2'],
      ['delete', '3'],
    ]);
    expect((await read(`FROM changes('production.movie', 'release', 'release')`)).rows).toEqual([]);
  });
});

describe('a table whose files are not as they should be', () => {
  test.each([
    ['is gone', (file: string) => fs.rm(file)],
    ['is torn', (file: string) => fs.truncate(file, 200)],
  ])('says which file %s, and of which table', async (damage, harm) => {
    await using warehouse = await createWarehouse();
    const { state, catalog, indexDir, root } = warehouse;
    const writer = await TableWriter.open('production.movie', { catalog, indexDir, now: () => new Date() });
    await writer.evolve(schemaOf({ id: 'long' }, ['id']));
    await writer.upsert([1n], true);
    await commitTables(catalog, [writer], {}, async () => undefined);
    await writer.close();
    const [file = ''] = (await planScan((await catalog.locate('production.movie')) ?? '')).files;
    await harm(file);
    const queries = new QueryService({ state, catalog, resultsDir: path.join(root, 'results'), limits: { warm: 1 } });
    const { id } = await queries.submit({ sql: 'FROM production.movie', origin: 'api' }, ana);
    expect((await queries.wait(id, ana)).error).toMatchObject({
      code: 'table_corrupt',
      message: expect.stringMatching(
        new RegExp(`^production.movie cannot be read: its file .*${path.basename(file)} ${damage}`),
      ),
    });
    await queries.close();
  });

  test('is refused where an engine has committed a file from outside the warehouse', async () => {
    await using warehouse = await createWarehouse();
    await using foreign = await ForeignTable.create([column(1, 'id', 'long')]);
    await foreign.commit([await foreign.file('SELECT 1 AS id', '{id: 1}')]);
    const { state, catalog, root } = warehouse;
    catalog.locate = async () => foreign.metadataLocation;
    const queries = new QueryService({ state, catalog, resultsDir: path.join(root, 'results'), limits: { warm: 1 } });
    const { id } = await queries.submit({ sql: 'FROM engines.table', origin: 'api' }, ana);
    expect((await queries.wait(id, ana)).error).toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('outside the warehouse'),
    });
    await queries.close();
  });

  test('is refused where a table of another catalog has a file in our own home', async () => {
    await using warehouse = await createWarehouse();
    await using foreign = await ForeignTable.create([column(1, 'id', 'long')]);
    await foreign.commit([await foreign.file('SELECT 1 AS id', '{id: 1}')]);
    const elsewhere = { list: async () => [], locate: async () => foreign.metadataLocation };
    const ask = async (home: string) => {
      const resultsDir = path.join(home, 'results');
      const queries = new QueryService({ state: warehouse.state, catalog: elsewhere, resultsDir, limits: { warm: 1 } });
      const { id } = await queries.submit({ sql: 'FROM engines.table', origin: 'api' }, ana);
      const { state, error } = await queries.wait(id, ana);
      await queries.close();
      return { state, error };
    };
    expect(await ask(warehouse.root)).toEqual({ state: 'succeeded', error: null });
    const home = path.dirname(filePath(foreign.metadataLocation));
    expect(await ask(path.dirname(home))).toMatchObject({ error: { code: 'unsupported' } });
  });
});
