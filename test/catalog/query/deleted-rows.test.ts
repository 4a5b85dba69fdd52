import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { createState } from '../../fixtures/postgres.ts';
import { column, ForeignTable } from '../iceberg/read/foreign-table.ts';
import { ana } from './query-fixture.ts';

test('whole tables are aggregated and counted without their deleted rows, and nothing of it stays', async () => {
  await using table = await ForeignTable.create([column(1, 'id', 'long')]);
  const data = await table.file('SELECT range AS id FROM range(200000)', '{id: 1}');
  await table.commit([data]);
  const deletes = await table.file(
    `SELECT ${literal(data.location)} AS file_path, range AS pos FROM range(0, 200000, 2)`,
    '{file_path: 2147483546, pos: 2147483545}',
    { content: 'position-deletes', referencedDataFile: data.location },
  );
  await table.commit([deletes]);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-deleted-'));
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }));
  const { state, drop } = await createState();
  onTestFinished(drop);
  const catalog = { locate: async () => table.metadataLocation, list: async () => ['studio.movie'] };
  await using stack = new AsyncDisposableStack();
  const service = new QueryService({ state, catalog, resultsDir: path.join(dir, 'results') });
  stack.defer(() => service.close());
  const ask = async (sql: string) => {
    const { id } = await service.submit({ sql, origin: 'api' }, ana);
    const done = await service.wait(id, ana);
    expect(done).toMatchObject({ state: 'succeeded', error: null });
    expect(fs.readdirSync(path.join(dir, 'results', id))).not.toContain('masks');
    return { columns: done.columns?.map(({ name }) => name), rows: await service.rows(id, ana, 0, 10) };
  };
  expect(await ask('SELECT sum(id), count(*) FROM studio.movie')).toMatchObject({ rows: [['10000000000', '100000']] });
  expect(await ask('SELECT count(*) FROM studio.movie')).toEqual({ columns: ['count_star()'], rows: [['100000']] });
  expect(await ask('SELECT count(*) AS n FROM studio.movie AT (VERSION => 1000)')).toEqual({
    columns: ['n'],
    rows: [['200000']],
  });
  expect(await ask('SELECT id FROM studio.movie WHERE id BETWEEN 7 AND 8')).toMatchObject({ rows: [['7']] });
});
