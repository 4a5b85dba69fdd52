import fs from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { ana, openQueries } from './query-fixture.ts';

test('both zeros keep their signs in the pages and the files of a result', async () => {
  await using queries = await openQueries({});
  const done = await queries.run(`SELECT i, (CASE WHEN i % 3 = 0 THEN '-0' ELSE '0' END)::DOUBLE AS d,
    (CASE WHEN i % 3 = 0 THEN '0' ELSE '-0' END)::FLOAT AS f, [d, 1] AS l, {'d': d} AS s
    FROM range(3000) r(i)`);
  expect(done).toMatchObject({ state: 'succeeded', error: null });
  const { batches } = await queries.service.readBatches(done.id, ana);
  let rows = 0;
  for await (const batch of batches) {
    for (const [i, ...values] of batch) {
      const [d, f] = Number(i) % 3 === 0 ? [-0, 0] : [0, -0];
      expect(values).toEqual([d, f, [d, 1], [d]]);
      rows += 1;
    }
  }
  expect(rows).toBe(3000);
  const csv = fs.readFileSync(await queries.service.resultFile(done.id, ana, 'csv'), 'utf8').split('\n');
  expect(csv.slice(1, 3)).toEqual([`0,-0.0,0.0,"[-0.0,1.0]","{""d"":-0.0}"`, `1,0.0,-0.0,"[0.0,1.0]","{""d"":0.0}"`]);
  const json = fs.readFileSync(await queries.service.resultFile(done.id, ana, 'json'), 'utf8');
  expect((JSON.parse(json) as { d: number }[]).filter(({ d }) => Object.is(d, -0))).toHaveLength(1000);

  const parquet = await queries.service.resultFile(done.id, ana, 'parquet');
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const wrong = `SELECT count(*) FROM read_parquet(${literal(parquet)}) WHERE signbit(d) <> (i % 3 = 0) OR signbit(f) = (i % 3 = 0)
    OR signbit(l[1]) <> (i % 3 = 0) OR signbit(s.d) <> (i % 3 = 0)`;
  const counted = await connection.runAndReadAll(`SELECT (${wrong}), count(*) FROM read_parquet(${literal(parquet)})`);
  expect(counted.getRows()).toEqual([[0n, 3000n]]);
  connection.closeSync();
  instance.closeSync();
});
