import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ana, ben, openQueries, type QueryFixture } from './query-fixture.ts';

let queries: QueryFixture;

beforeAll(async () => {
  queries = await openQueries({
    'production.movie':
      "SELECT i AS id, 'film ' || i AS title, CASE WHEN i % 2 = 0 THEN 'shooting' ELSE 'draft' END AS status FROM range(10) t(i)",
    'Näme space.ta"b.le': `SELECT 1 AS "c ö'l"`,
  });
});
afterAll(async () => await queries[Symbol.asyncDispose]());

describe('a query', () => {
  test('gives its rows, columns and snapshots', async () => {
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
  });

  test('binds typed parameters and never interpolates them', async () => {
    const sql = 'SELECT count(*) FROM production.movie WHERE status = :status AND id >= :from -- :not_one';
    expect(await queries.rows(sql, { status: 'shooting', from: 4 })).toEqual([['3']]);
    expect(await queries.rows(sql, { status: "x' OR 1=1 --", from: 0 })).toEqual([['0']]);
  });

  test('belongs to who asked', async () => {
    const done = await queries.run('SELECT 1');
    await expect(queries.service.get(done.id, ben)).rejects.toMatchObject({ code: 'not_found' });
  });
});
