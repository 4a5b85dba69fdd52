import { expect, test } from 'vitest';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { decodeSingleValue } from '#catalog/iceberg/metadata/single-value.ts';
import { currentSnapshot } from '#catalog/iceberg/metadata/table-metadata.ts';
import { readLiveFiles } from '#catalog/iceberg/read/live-files.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import type { FieldType, Row, Schema } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { snapshotFile } from '#test/ingest/sinks/snapshot-file.ts';
import { rewriteAll } from './format/rewrite-all.ts';
import { printedRows, readWithPyIceberg } from './pyiceberg.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from './warehouse.ts';

const name = 'production.movie';
const float: FieldType = { kind: 'float' };
const double: FieldType = { kind: 'double' };
const struct = (type: FieldType): FieldType => ({
  kind: 'struct',
  fields: [{ name: 'of "it"', type, required: false }],
});

/** Floating-point values wherever a type can hold them. */
const everywhere = {
  id: 'long',
  f: float,
  d: double,
  same: double,
  s: struct(double),
  l: { kind: 'list', element: float },
  deep: { kind: 'list', element: struct({ kind: 'list', element: double }) },
  m: { kind: 'map', key: { kind: 'string' }, value: struct(double) },
  k: { kind: 'map', key: double, value: { kind: 'int' } },
} satisfies Parameters<typeof schemaOf>[0];

const schemas: [string, Schema][] = [
  ['DuckDB writes', schemaOf(everywhere, ['id'])],
  ['we write ourselves', schemaOf({ ...everywhere, price: { kind: 'decimal', precision: 20, scale: 3 } }, ['id'])],
  ['are joined', schemaOf({ id: 'long', f: float, d: double, same: double }, ['id'])],
];

/** Few different values, which is what makes a dictionary; both zeros in every column but `same`. */
const values = [0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, null, -0, 0];

function rowsOf(schema: Schema, from: number, to: number): Row[] {
  return Array.from({ length: to - from }, (_, at) => {
    const id = from + at;
    const value = values[id % values.length] ?? null;
    const zero = id % 2 === 0 ? -0 : 0;
    const row: Row = [
      BigInt(id),
      value,
      value,
      -0,
      [value],
      [value, zero],
      [[[zero, value]]],
      [['a', [zero]]],
      [[zero, 1]],
      7n,
    ];
    return row.slice(0, schema.fields.length);
  });
}

/** The rows of a snapshot's files, of changes to it in files of their own, and of a rewrite of all. */
async function land(warehouse: TestWarehouse, schema: Schema): Promise<Row[]> {
  const sink = openSink(warehouse);
  const table = 'production.public.movie';
  await sink.beginChunks(table, schema, 1, signal);
  for (const from of [0, 100, 200]) {
    const rows = rowsOf(schema, from, from + 100);
    const parquet = await snapshotFile(schema, rows);
    const isTaken = await sink.writeFile?.({ table, schema, rows: rows.length, parquet }, signal);
    expect(isTaken).toBe(true);
  }
  await sink.endSnapshot(table, signal);
  await sink.commit(position(1), signal);
  const added = rowsOf(schema, 300, 600).map((after) => ({ op: 'c' as const, after }));
  await sink.write(changesOf(schema, added), signal);
  await sink.commit(position(2), signal);
  await sink.close();
  return rowsOf(schema, 0, 600);
}

async function countWhere(warehouse: TestWarehouse, condition: string): Promise<number> {
  const scan = await planScan((await warehouse.catalog.locate(name)) ?? '');
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(`SELECT count(*) FROM (${scan.sql}) WHERE ${condition}`);
    return Number(reader.getRows()[0]?.[0]);
  } finally {
    connection.closeSync();
  }
}

test.each(schemas)('files that %s keep the sign of every zero, before and after a rewrite', async (_, schema) => {
  await using warehouse = await createWarehouse();
  const rows = await land(warehouse, schema);
  expect(sorted(await warehouse.read(name))).toEqual(sorted(rows));
  await rewriteAll(warehouse, name);
  expect(sorted(await warehouse.read(name))).toEqual(sorted(rows));
});

test.each(schemas)('files that %s are found by either zero, and their bounds hold both', async (_, schema) => {
  await using warehouse = await createWarehouse();
  const rows = await land(warehouse, schema);
  const zeros = rows.filter((row) => row[2] === 0).length;
  for (const zero of ['0', "'-0'::DOUBLE"]) {
    expect(await countWhere(warehouse, `d = ${zero}`)).toBe(zeros);
    expect(await countWhere(warehouse, `same = ${zero}`)).toBe(600);
  }
  const entry = await warehouse.catalog.load(name);
  const current = entry && currentSnapshot(entry.metadata);
  const { files } = current ? await readLiveFiles(current) : { files: [] };
  expect(files.length).toBeGreaterThan(1);
  for (const { data } of files) {
    const bounds = [data.file.lowerBounds.get(4), data.file.upperBounds.get(4)];
    expect(bounds.map((bytes) => bytes && decodeSingleValue(double, bytes))).toEqual([-0, 0]);
  }
});

test('columns of positive zeros are found by the negative one', async () => {
  await using warehouse = await createWarehouse();
  const schema = schemaOf({ id: 'long', d: double }, ['id']);
  const sink = openSink(warehouse);
  const rows = Array.from({ length: 300 }, (_, id): Row => [BigInt(id), id % 2 === 0 ? 0 : 5]);
  await snapshot(sink, schema, rows);
  await sink.commit(position(1), signal);
  await sink.close();
  expect(await countWhere(warehouse, "d = '-0'::DOUBLE")).toBe(150);
});

describeWith('pyiceberg', 'PyIceberg', () => {
  test.each(schemas)('reads the same zeros from files that %s', async (_, schema) => {
    await using warehouse = await createWarehouse();
    const rows = await land(warehouse, schema);
    const text = (list: readonly unknown[]) => list.map((row) => JSON.stringify(row)).sort();
    const before = await readWithPyIceberg(warehouse.catalog, name);
    expect(text(before.rows)).toEqual(text(printedRows(schema, rows)));
    await rewriteAll(warehouse, name);
    const after = await readWithPyIceberg(warehouse.catalog, name, 'same == 0.0');
    expect(text(after.rows)).toEqual(text(printedRows(schema, rows)));
  });
});
