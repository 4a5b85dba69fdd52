import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DataFile } from '#catalog/iceberg/manifests/manifest.ts';
import { encodeSingleValue } from '#catalog/iceberg/metadata/single-value.ts';
import { parseTransform, transformer } from '#catalog/iceberg/metadata/transforms.ts';
import { fileFilter, filterField, type RowFilter } from '#catalog/iceberg/read/pruning.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import { column, ForeignTable } from './foreign-table.ts';

const ids = '{id: 1, name: 2}';

describe('a scan with a filter', () => {
  test('leaves out files whose partition or statistics rule it out, by transform and spec', async () => {
    await using table = await ForeignTable.create([column(1, 'id', 'long'), column(2, 'name', 'string')], {
      spec: [{ 'source-id': 2, 'field-id': 1000, name: 'first', transform: 'truncate[1]' }],
    });
    const file = async (from: number, name: string, partition: string) => {
      const long = { kind: 'long' } as const;
      return await table.file(`SELECT range + ${from} AS id, '${name}' AS name FROM range(10)`, ids, {
        partition: [partition],
        valueCounts: new Map([[1, 10]]),
        nullCounts: new Map([[1, 0]]),
        lowerBounds: new Map([[1, encodeSingleValue(long, BigInt(from))]]),
        upperBounds: new Map([[1, encodeSingleValue(long, BigInt(from + 9))]]),
      });
    };
    const files = [await file(0, 'ant', 'a'), await file(10, 'bee', 'b'), await file(20, 'cat', 'c')];
    await table.commit([files[0] ?? (await file(0, 'ant', 'a'))]);
    await table.commit(files.slice(1));
    const planned = async (
      filter: (field: (name: string) => NonNullable<ReturnType<typeof filterField>>) => RowFilter,
    ) => {
      const scan = await planScan(table.metadataLocation, undefined, {
        filter: (columns) =>
          filter((name) => {
            const field = filterField(columns, [name.toUpperCase()]);
            if (!field) throw new Error(`no column ${name}`);
            return field;
          }),
      });
      return scan.locations.map((location) => files.findIndex((candidate) => candidate.location === location));
    };
    expect(await planned(() => ({ op: 'unknown' }))).toEqual([0, 1, 2]);
    expect(await planned((field) => ({ op: 'compare', by: '=', field: field('name'), value: 'bear' }))).toEqual([1]);
    expect(await planned((field) => ({ op: 'compare', by: '>', field: field('name'), value: 'bz' }))).toEqual([1, 2]);
    expect(await planned((field) => ({ op: 'compare', by: '<', field: field('id'), value: 10n }))).toEqual([0]);
    expect(await planned((field) => ({ op: 'null', field: field('id') }))).toEqual([]);
    expect(
      await planned((field) => ({
        op: 'or',
        of: [
          { op: 'compare', by: '>=', field: field('id'), value: 25n },
          {
            op: 'and',
            of: [
              { op: 'compare', by: '=', field: field('name'), value: 'ant' },
              { op: 'compare', by: '=', field: field('id'), value: 11n },
            ],
          },
        ],
      })),
    ).toEqual([2]);
  });
});

test('no file that holds a fulfilling row is left out, whatever the type, values and transform', () => {
  const types: { type: FieldType; iceberg: string; values: fc.Arbitrary<Value>; transforms: string[] }[] = [
    {
      type: { kind: 'int' },
      iceberg: 'int',
      values: fc.integer({ min: -20, max: 20 }),
      transforms: ['identity', 'bucket[3]', 'truncate[4]', 'void'],
    },
    {
      type: { kind: 'long' },
      iceberg: 'long',
      values: fc.bigInt({ min: -20n, max: 20n }),
      transforms: ['identity', 'bucket[3]', 'truncate[4]'],
    },
    {
      type: { kind: 'decimal', precision: 9, scale: 2 },
      iceberg: 'decimal(9, 2)',
      values: fc.bigInt({ min: -500n, max: 500n }),
      transforms: ['identity', 'bucket[3]', 'truncate[50]'],
    },
    {
      type: { kind: 'string' },
      iceberg: 'string',
      values: fc.string({ maxLength: 3, unit: fc.constantFrom('a', 'b', 'ö', '😀', '\uffff') }),
      transforms: ['identity', 'bucket[3]', 'truncate[1]'],
    },
    {
      type: { kind: 'double' },
      iceberg: 'double',
      values: fc.constantFrom(-1.5, -0, 0, 2.25, Number.NaN, Number.POSITIVE_INFINITY),
      transforms: ['void'],
    },
    {
      type: { kind: 'date' },
      iceberg: 'date',
      values: fc.integer({ min: -400, max: 400 }),
      transforms: ['identity', 'year', 'month', 'day', 'bucket[3]'],
    },
    {
      type: { kind: 'timestamp' },
      iceberg: 'timestamp',
      values: fc.bigInt({ min: -90_000_000_000n, max: 90_000_000_000n }),
      transforms: ['identity', 'year', 'month', 'day', 'hour', 'bucket[3]'],
    },
  ];
  const arbitrary = fc.constantFrom(...types).chain(({ type, iceberg, values, transforms }) =>
    fc.record({
      type: fc.constant(type),
      iceberg: fc.constant(iceberg),
      transform: fc.constantFrom(...transforms),
      rows: fc.array(fc.option(values, { freq: 4 }), { minLength: 1, maxLength: 6 }),
      by: fc.constantFrom('=' as const, '<' as const, '<=' as const, '>' as const, '>=' as const),
      value: values.filter((value) => !Number.isNaN(value)),
      hasNanCounts: fc.boolean(),
    }),
  );
  const seed = Date.now() % 2 ** 31;
  console.log(`seed ${seed}`);
  fc.assert(
    fc.property(arbitrary, ({ type, iceberg, transform, rows, by, value, hasNanCounts }) => {
      const metadata = {
        schemas: [{ type: 'struct', 'schema-id': 0, fields: [column(1, 'x', iceberg)] }],
        'current-schema-id': 0,
        'partition-specs': [{ 'spec-id': 0, fields: [{ 'source-id': 1, 'field-id': 1000, name: 'p', transform }] }],
        'default-spec-id': 0,
      };
      const apply = transformer(parseTransform(transform), type);
      // One file for each partition of the rows.
      const filter = fileFilter(
        { op: 'compare', by, field: { id: 1, type }, value },
        metadata as unknown as Parameters<typeof fileFilter>[1],
      );
      for (const row of rows) {
        const same = rows.filter((other) => Object.is(apply(other), apply(row)));
        const file = fileOf(type, same, apply(row), hasNanCounts);
        if (same.some((other) => fulfils(type, other, by, value))) expect(filter.mayMatch(file)).toBe(true);
      }
    }),
    { seed, numRuns: 3000 },
  );
});

function fileOf(type: FieldType, rows: readonly Value[], partition: Value, hasNanCounts: boolean): DataFile {
  const present = rows.filter((row) => row !== null);
  const ordered = present.filter((row) => !Number.isNaN(row)).sort((a, b) => orderOf(type, a, b));
  const [lower = null] = ordered;
  const upper = ordered.at(-1) ?? null;
  const nans = present.length - ordered.length;
  return {
    specId: 0,
    partition: [partition],
    valueCounts: new Map([[1, rows.length]]),
    nullCounts: new Map([[1, rows.length - present.length]]),
    nanCounts: hasNanCounts ? new Map([[1, nans]]) : new Map(),
    lowerBounds: lower === null ? new Map() : new Map([[1, encodeSingleValue(type, lower)]]),
    upperBounds: upper === null ? new Map() : new Map([[1, encodeSingleValue(type, upper)]]),
  } as unknown as DataFile;
}

function orderOf(type: FieldType, a: Value, b: Value): number {
  if (type.kind === 'string') return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0;
}

/** As DuckDB compares: NULL fulfils nothing, NaN is above all, the two zeros are equal. */
function fulfils(type: FieldType, row: Value, by: '=' | '<' | '<=' | '>' | '>=', value: Value): boolean {
  if (row === null) return false;
  const order = Number.isNaN(row) ? 1 : orderOf(type, row, value);
  return { '=': order === 0, '<': order < 0, '<=': order <= 0, '>': order > 0, '>=': order >= 0 }[by];
}
