import path from 'node:path';
import { expect, test } from 'vitest';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { createWarehouse, schemaOf } from '../iceberg/warehouse.ts';
import { ana } from './query-fixture.ts';

test('a table of the warehouse is read as it is, and as it was, deletes and new columns included', async () => {
  await using warehouse = await createWarehouse();
  const { state, catalog, indexDir, root } = warehouse;
  let clock = Date.parse('2026-03-01T10:00:00Z');
  const writer = await TableWriter.open('production.movie', { catalog, indexDir, now: () => new Date(clock) });
  const commit = () => commitTables(catalog, [writer], {}, async () => undefined);
  await writer.evolve(schemaOf({ id: 'long', title: 'string' }, ['id']));
  for (const id of [1n, 2n, 3n]) await writer.upsert([id, `film ${id}`], true);
  await commit();
  clock += 60_000;
  await writer.evolve(schemaOf({ id: 'long', title: 'string', note: 'string' }, ['id']));
  await writer.upsert([2n, 'renamed', 'new'], false);
  await writer.remove([3n, 'film 3', null]);
  await commit();
  await writer.close();

  const queries = new QueryService({ state, catalog, resultsDir: path.join(root, 'results'), limits: { warm: 1 } });
  const read = async (sql: string, asOf?: string) => {
    const at = asOf === undefined ? {} : { asOf: new Date(asOf) };
    const { id } = await queries.submit({ sql, origin: 'api', ...at }, ana);
    const done = await queries.wait(id, ana);
    return { ...done, rows: done.state === 'succeeded' ? await queries.rows(id, ana, 0, 100) : [] };
  };
  const sql = 'SELECT * FROM production.movie ORDER BY id';
  const now = await read(sql);
  expect(now.rows).toEqual([
    ['1', 'film 1', null],
    ['2', 'renamed', 'new'],
  ]);
  const before = await read(sql, '2026-03-01T10:00:30Z');
  expect(before.rows).toEqual([
    ['1', 'film 1'],
    ['2', 'film 2'],
    ['3', 'film 3'],
  ]);
  expect(Object.keys(before.snapshots)).toEqual(['production.movie']);
  expect(before.snapshots).not.toEqual(now.snapshots);
  expect(await read(sql, '2026-02-01T00:00:00Z')).toMatchObject({
    state: 'failed',
    error: { code: 'not_found', message: expect.stringContaining('production.movie') },
  });
  await queries.close();
});
