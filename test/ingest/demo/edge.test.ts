import { buildSchema } from 'graphql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BatchLoader } from '#ingest/demo/batch-loader.ts';
import { type Edge, startEdge } from '#ingest/demo/edge.ts';
import { edgeTypes } from '#ingest/demo/edge-types.ts';
import { graphqlEnrich } from '#ingest/processors/graphql-enrich.ts';
import { createSampleDatabases, type SampleDatabases } from './sample-databases.ts';

let databases: SampleDatabases;
let edge: Edge;
beforeAll(async () => {
  databases = await createSampleDatabases(120);
  edge = await startEdge(databases.urls);
});
afterAll(async () => {
  await edge.close();
  await databases[Symbol.asyncDispose]();
});

async function ask(query: string, ids: readonly unknown[]) {
  const response = await fetch(edge.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { ids } }),
  });
  const { data, errors } = await response.json();
  expect(errors).toBeUndefined();
  return data;
}

test('a movie is one thing over both databases, as they hold it at this moment', async () => {
  await databases.production.query(
    `UPDATE movie SET title = 'Łódź & more', budget = 12.30, countries = '{"US","A,B"}', status = 'shooting',
       released = '1998-06-12', updated_at = '2026-01-31T18:30:00.000001Z', director_id = 9 WHERE id = 7`,
  );
  await databases.production.query("UPDATE talent SET name = 'Zenobia Zigzag' WHERE id = 9");
  await databases.production.query('DELETE FROM shooting_day WHERE movie_id = 7');
  const { rows: days } = await databases.production.query(
    `INSERT INTO shooting_day (movie_id, day, call_time, location_id, unit, status) VALUES
       (7, CURRENT_DATE + 9, '07:00', 1, 'main', 'planned'), (7, CURRENT_DATE + 3, '06:30', 1, 'main', 'planned'),
       (7, CURRENT_DATE + 1, '06:30', 1, 'main', 'cancelled'), (7, CURRENT_DATE - 1, '06:30', 1, 'main', 'planned')
     RETURNING to_char(day, 'YYYY-MM-DD') AS day`,
  );
  await databases.deals.query('DELETE FROM deal WHERE movie_id = 7');
  await databases.deals.query(
    "INSERT INTO deal (id, movie_id, territory, fee, status) VALUES (900001, 7, 'FR', 1234567890.12, 'signed')",
  );
  await databases.deals.query('INSERT INTO payment (deal_id, amount, paid_at) VALUES (900001, 0.01, NULL)');
  const { movies } = await ask(
    `query ($ids: [ID!]!) { movies(ids: $ids) {
      title budget countries released updatedAt director { name } nextShootingDay { callTime day }
      deals { territory { name } fee payments { amount paidAt } }
    } }`,
    ['7'],
  );
  expect(movies).toEqual([
    {
      title: 'Łódź & more',
      budget: '12.30',
      countries: ['US', 'A,B'],
      released: '1998-06-12',
      updatedAt: '2026-01-31T18:30:00.000001Z',
      director: { name: 'Zenobia Zigzag' },
      nextShootingDay: { callTime: '06:30:00', day: days[1].day },
      deals: [{ territory: { name: 'France' }, fee: '1234567890.12', payments: [{ amount: '0.01', paidAt: null }] }],
    },
  ]);
});

test('answers stand in the order of the ids, null for what nobody knows', async () => {
  const ids = ['3', '999999', '1', 'x', '3', '99999999999999999999'];
  const { movies, talents, deals } = await ask(
    'query ($ids: [ID!]!) { movies(ids: $ids) { id } talents(ids: $ids) { id } deals(ids: $ids) { id movie { id } } }',
    ids,
  );
  expect(movies).toEqual([{ id: '3' }, null, { id: '1' }, null, { id: '3' }, null]);
  expect(talents.map((talent: { id: string } | null) => talent?.id)).toEqual([
    '3',
    undefined,
    '1',
    undefined,
    '3',
    undefined,
  ]);
  expect(deals[0]).toMatchObject({ id: '3', movie: { id: expect.any(String) } });
});

test('a thousand credits are there for all movies of a question', async () => {
  const { rows } = await databases.production.query(
    'SELECT movie_id, count(*)::int AS count FROM credit GROUP BY movie_id',
  );
  const ids = rows.map((row) => row.movie_id);
  const { movies } = await ask('query ($ids: [ID!]!) { movies(ids: $ids) { credits { talent { name } } } }', ids);
  expect(movies.map((movie: { credits: unknown[] }) => movie.credits.length)).toEqual(rows.map((row) => row.count));
});

test('one level is loaded at once, and a key only once', async () => {
  const loads: string[][] = [];
  const loader = new BatchLoader<string>(async (keys) => {
    loads.push([...keys]);
    return new Map(keys.map((key) => [key, key.toUpperCase()]));
  });
  expect(await Promise.all(['a', 'b', 'a'].map((key) => loader.load(key)))).toEqual(['A', 'B', 'A']);
  expect(await loader.load('b')).toBe('B');
  expect(loads).toEqual([['a', 'b']]);
});

test("the processor's own example can be asked of it", async () => {
  expect(buildSchema(edgeTypes).getQueryType()?.getFields().movies?.type.toString()).toBe('[Movie]!');
  const { movies } = await ask(graphqlEnrich.example.query, ['1']);
  expect(movies).toHaveLength(1);
});
