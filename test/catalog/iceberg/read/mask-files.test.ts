import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { writeDeletionVector } from '#catalog/iceberg/files/deletion-vector.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { PositionSet } from '#catalog/iceberg/files/position-set.ts';
import type { DataFile } from '#catalog/iceberg/manifests/manifest.ts';
import { planScan, type ScanOptions } from '#catalog/iceberg/read/scan.ts';
import { column, ForeignTable, runRows } from './foreign-table.ts';

const ids = '{id: 1, name: 2}';
const names = (from: number, rows: number) =>
  `SELECT range AS id, 'n' || range AS name FROM range(${from}, ${from + rows})`;
const rows = 300_000;
/** Of the last `answers`: how often data is read side by side with a mask. */
let sides: number[] = [];

/** How many live rows, the sums of their ids and of their names' hashes: one text for each way in which the table can be scanned. */
async function answers(table: ForeignTable): Promise<string[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'dailies-masks-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const masks = { path: path.join(folder, 'masks'), threads: 1, leastPartRows: 1 };
  const narrow = { needs: 'all', reads: ['id'] } as const;
  const ways: ScanOptions[] = [{}, { ...narrow, masks }, { ...narrow, masks: { ...masks, threads: 4 } }];
  const found: string[] = [];
  sides = [];
  for (const way of ways) {
    const { sql } = await planScan(table.metadataLocation, undefined, way);
    sides.push(sql.split('POSITIONAL JOIN').length - 1);
    found.push(...(await runRows(`SELECT count(*) AS rows, sum(id) AS ids, sum(hash(name)) AS names FROM (${sql})`)));
  }
  return found;
}

async function oneRow(sql: string): Promise<string> {
  return (await runRows(sql))[0] ?? '';
}

/** The live rows of a file by its deleted ones, as `answers` tells them. */
async function expected(all: string, deleted: string): Promise<string> {
  return await oneRow(
    `SELECT count(*) AS rows, sum(id) AS ids, sum(hash(name)) AS names FROM (${all}) WHERE id NOT IN (${deleted})`,
  );
}

const deletedRows: Record<string, string> = {
  'the first row': 'SELECT 0::BIGINT',
  'the last row': `SELECT ${rows - 1}::BIGINT`,
  'both ends of every part': `SELECT unnest([0, 131071, 131072, 262143, 262144, ${rows - 1}])::BIGINT`,
  'every tenth row': `SELECT range FROM range(3, ${rows}, 10)`,
  'one part whole': 'SELECT range FROM range(131072, 262144)',
  'all but one': `SELECT range FROM range(${rows}) WHERE range <> 777`,
  'all rows': `SELECT range FROM range(${rows})`,
};

describe.each([2, 3] as const)('whole tables of format %s are scanned without deleted rows', (formatVersion) => {
  test.each(Object.entries(deletedRows))('%s', async (_, deleted) => {
    await using table = await ForeignTable.create([column(1, 'id', 'long'), column(2, 'name', 'string')], {
      formatVersion,
    });
    const data = await table.file(names(0, rows), ids);
    const clean = await table.file(names(rows, 1000), ids);
    await table.commit([data, clean]);
    await table.commit([await (formatVersion === 3 ? vector : positions)(table, data, deleted)]);
    const right = await expected(names(0, rows + 1000), deleted);
    expect(await answers(table)).toEqual([right, right, right]);
    expect(sides).toEqual([0, 1, expect.toSatisfy((parts: number) => parts > 0)]);
    const { rows: count } = JSON.parse(right) as { rows: number };
    const counted = await planScan(table.metadataLocation, undefined, { needs: 'count' });
    expect(counted).toMatchObject({ count: BigInt(count), files: [], locations: [] });
    expect(await oneRow(`SELECT count(*) AS rows FROM (${counted.sql})`)).toBe(`{"rows":${count}}`);
  });
});

test('deletes of several files, each row once or more, count once', async () => {
  await using table = await ForeignTable.create([column(1, 'id', 'long'), column(2, 'name', 'string')]);
  const large = await table.file(names(0, rows), ids);
  const small = await table.file(names(rows, 20), ids);
  await table.commit([large, small]);
  await table.commit([
    await positions(table, large, 'SELECT range FROM range(0, 1000)'),
    await table.positionDeletes([
      [large, 999],
      [large, 1000],
      [small, 19],
      [small, 3],
    ]),
    await table.positionDeletes([[small, 3]]),
  ]);
  const right = await expected(
    names(0, rows + 20),
    `SELECT unnest(list_concat(range(0, 1001), [${rows + 19}, ${rows + 3}]))`,
  );
  expect(await answers(table)).toEqual([right, right, right]);
  expect(await planScan(table.metadataLocation, undefined, { needs: 'count' })).toMatchObject({
    count: BigInt(rows + 20 - 1003),
  });
});

test('with equality deletes rows are counted by reading them, masks stay in the SQL', async () => {
  await using table = await ForeignTable.create([column(1, 'id', 'long'), column(2, 'name', 'string')]);
  const data = await table.file(names(0, rows), ids);
  await table.commit([data]);
  await table.commit([
    await positions(table, data, 'SELECT range FROM range(0, 10)'),
    await table.file('SELECT 11 AS id', '{id: 1}', { content: 'equality-deletes', equalityIds: [1] }),
  ]);
  const right = await expected(names(0, rows), 'SELECT unnest(list_concat(range(0, 10), [11]))');
  expect(await answers(table)).toEqual([right, right, right]);
  expect((await planScan(table.metadataLocation, undefined, { needs: 'count' })).count).toBeNull();
});

async function positions(table: ForeignTable, data: DataFile, deleted: string): Promise<DataFile> {
  return await table.file(
    `SELECT ${literal(data.location)} AS file_path, pos FROM (${deleted}) AS deleted(pos) ORDER BY pos`,
    '{file_path: 2147483546, pos: 2147483545}',
    { content: 'position-deletes', referencedDataFile: data.location },
  );
}

async function vector(table: ForeignTable, data: DataFile, deleted: string): Promise<DataFile> {
  const connection = await connectDuckdb();
  const set = new PositionSet(data.recordCount);
  for (const [row] of (await connection.runAndReadAll(deleted)).getRows()) set.add(Number(row));
  connection.closeSync();
  return await writeDeletionVector(data, set, `file://${table.folder}/data/${set.size}.puffin`);
}
