import { readFile, rm } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { fromDuckdb, literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { ParquetJoiner } from '#catalog/iceberg/files/parquet-joiner.ts';
import { readThrift, writeThrift } from '#catalog/iceberg/files/thrift-compact.ts';
import { StatisticsCollector } from '#catalog/iceberg/manifests/column-statistics.ts';
import { createIcebergSchema } from '#catalog/iceberg/metadata/schema-evolution.ts';
import type { Row, Schema, Value } from '#catalog/schemas/schema.ts';
import { scratchPath } from '#catalog/scratch.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { openSink, position, signal } from '#test/ingest/sinks/sink-driver.ts';
import { snapshotFile } from '#test/ingest/sinks/snapshot-file.ts';
import { everyType, everyTypeRows } from './every-type.ts';
import { primitives, seedFor, valuesOf } from './format/typed-values.ts';
import { printedRows, readWithPyIceberg } from './pyiceberg.ts';
import { createWarehouse, sorted } from './warehouse.ts';

const joinable = primitives.filter(
  (type) =>
    !type.kind.endsWith('_ns') &&
    ParquetJoiner.canJoin(fileSchemaOf({ key: [], fields: [{ name: 'a', type, required: false }] })),
);

/** A schema, and rows of it in files; columns of a file may be NULL throughout, and numbers NaN. */
const files = fc.array(joinable, { minLength: 1, maxLength: 6 }).chain((types) => {
  const fields = types.map((type, index) => ({ name: `cölumn "${index}"`, type, required: false }));
  const row = fc.tuple(
    ...types.map((type) => {
      const isFloating = type.kind === 'float' || type.kind === 'double';
      return fc.oneof(
        { arbitrary: fc.constant(null), weight: 1 },
        { arbitrary: valuesOf(type), weight: 4 },
        ...(isFloating ? [{ arbitrary: fc.constant(Number.NaN), weight: 1 }] : []),
      );
    }),
  );
  const empty = fc.constant(types.map(() => null));
  const rows = fc.array(fc.oneof({ arbitrary: row, weight: 6 }, { arbitrary: empty, weight: 1 }), {
    minLength: 1,
    maxLength: 20,
  });
  return fc.record({
    schema: fc.constant<Schema>({ key: [], fields }),
    files: fc.array(rows, { minLength: 1, maxLength: 5 }),
  });
});

function fileSchemaOf(schema: Schema) {
  return { schema, iceberg: createIcebergSchema(schema).schema };
}

async function rowsOf(path: string, schema: Schema): Promise<{ rows: Row[]; ids: unknown[] }> {
  const connection = await connectDuckdb();
  try {
    const convert = schema.fields.map((field) => fromDuckdb(field.type));
    const reader = await connection.runAndReadAll(`SELECT * FROM read_parquet(${literal(path)})`);
    const elements = await connection.runAndReadAll(
      `SELECT name, field_id FROM parquet_schema(${literal(path)}) WHERE num_children IS NULL`,
    );
    const rows = reader.getRows().map((row) => row.map((value, index) => convert[index]?.(value) ?? null));
    return { rows, ids: elements.getRows() };
  } finally {
    connection.closeSync();
  }
}

test('joined files hold the rows of all, in order, under the field ids of the table, with the bounds of their values', async () => {
  const seed = seedFor('joined files');
  await fc.assert(
    fc.asyncProperty(files, async ({ schema, files: parts }) => {
      const fileSchema = fileSchemaOf(schema);
      const path = scratchPath('.parquet');
      const joiner = new ParquetJoiner(fileSchema, `file://${path}`);
      const collected = new StatisticsCollector(schema.fields, fileSchema.iceberg.fields);
      try {
        for (const part of parts) {
          expect(await joiner.append(await snapshotFile(schema, part as Row[]))).toBe(true);
          for (const row of part) collected.add(row as readonly Value[]);
        }
        const file = await joiner.finish();
        const all = parts.flat() as Row[];
        const read = await rowsOf(path, schema);
        expect(sorted(read.rows)).toEqual(sorted(all));
        expect(read.ids).toEqual(fileSchema.iceberg.fields.map(({ name, id }) => [name, BigInt(id)]));
        expect(file.recordCount).toBe(all.length);
        expect(file.sizeBytes).toBe((await readFile(path)).length);
        const wanted = collected.result();
        expect(file.valueCounts).toEqual(wanted.valueCounts);
        expect(file.nullCounts).toEqual(wanted.nullCounts);
        for (const [index, { type }] of schema.fields.entries()) {
          const id = fileSchema.iceberg.fields[index]?.id ?? 0;
          const hasNan = all.some((row) => Number.isNaN(row[index]));
          // Nothing is told of a column whose footer may not tell all.
          if (hasNan && !file.lowerBounds.has(id) && !file.upperBounds.has(id)) continue;
          if (type.kind === 'binary') continue;
          expect(file.lowerBounds.get(id)).toEqual(asBytes(wanted.lowerBounds.get(id)));
          expect(file.upperBounds.get(id)).toEqual(asBytes(wanted.upperBounds.get(id)));
        }
      } finally {
        await rm(path, { force: true });
      }
    }),
    // Making a failure smaller takes longer than a test may: it would only be told as late.
    { seed, numRuns: 60, endOnFailure: true },
  );
});

function asBytes(bytes: Uint8Array | undefined) {
  return bytes && expect.objectContaining({ ...bytes });
}

test('a footer that is read and written stays as it was', async () => {
  const parquet = Buffer.from(
    await snapshotFile({ key: [], fields: [{ name: 'a', type: { kind: 'string' }, required: false }] }, [
      ['x'],
      [null],
    ]),
  );
  const end = parquet.length - 8 - parquet.readUInt32LE(parquet.length - 8);
  const footer = parquet.subarray(end, parquet.length - 8);
  expect(writeThrift(readThrift(footer))).toEqual(footer);
  expect(() => readThrift(footer.subarray(0, footer.length - 3))).toThrow('torn');
});

test('a file whose columns are stored otherwise is left to another data file', async () => {
  const schemaWith = (kind: 'int' | 'long'): Schema => ({
    key: [],
    fields: [{ name: 'a', type: { kind }, required: false }],
  });
  const path = scratchPath('.parquet');
  const joiner = new ParquetJoiner(fileSchemaOf(schemaWith('long')), `file://${path}`);
  try {
    expect(await joiner.append(await snapshotFile(schemaWith('long'), [[1n]]))).toBe(true);
    expect(await joiner.append(await snapshotFile(schemaWith('int'), [[2]]))).toBe(false);
    expect((await joiner.finish()).recordCount).toBe(1);
    expect((await rowsOf(path, schemaWith('long'))).rows).toEqual([[1n]]);
  } finally {
    await rm(path, { force: true });
  }
});

describeWith('pyiceberg', 'PyIceberg through the REST catalog', () => {
  test.each([2, 3] as const)('reads a table of format %i whose files were joined', async (formatVersion) => {
    await using warehouse = await createWarehouse();
    const kept = everyType.fields.flatMap(({ type }, index) =>
      ['struct', 'list', 'map', 'fixed'].includes(type.kind) ? [] : [index],
    );
    const schema: Schema = { key: everyType.key, fields: kept.flatMap((index) => everyType.fields[index] ?? []) };
    const rows = everyTypeRows.map((row) => kept.map((index) => row[index] ?? null) as Row);
    expect(ParquetJoiner.canJoin(fileSchemaOf(schema))).toBe(true);
    const sink = openSink(warehouse, { formatVersion });
    const table = 'production.public.movie';
    await sink.beginChunks(table, schema, 1, signal);
    for (const row of rows) {
      const parquet = await snapshotFile(schema, [row]);
      expect(await sink.writeFile?.({ table, schema, rows: 1, parquet }, signal)).toBe(true);
    }
    await sink.endSnapshot(table, signal);
    await sink.commit(position(1), signal);
    await sink.close();
    expect(sorted(await warehouse.read('production.movie'))).toEqual(sorted(rows));
    const read = await readWithPyIceberg(warehouse.catalog, 'production.movie');
    const byText = (some: unknown[][]) => some.map((row) => JSON.stringify(row)).sort();
    expect(byText(read.rows)).toEqual(byText(printedRows(schema, rows)));
  });
});
