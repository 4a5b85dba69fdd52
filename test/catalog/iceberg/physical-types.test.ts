import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DataFile } from '#catalog/iceberg/manifests/manifest.ts';
import { decodeSingleValue } from '#catalog/iceberg/metadata/single-value.ts';
import { currentSnapshot } from '#catalog/iceberg/metadata/table-metadata.ts';
import { readLiveFiles } from '#catalog/iceberg/read/live-files.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import type { FieldType, Row } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { everyType, everyTypeRows } from './every-type.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from './warehouse.ts';

const name = 'production.movie';
const decimal = (precision: number, scale: number): FieldType => ({ kind: 'decimal', precision, scale });

/** Every type that DuckDB writes in another form than the specification names, also nested, beside some that it does not. */
const odd = schemaOf(
  {
    id: 'long',
    price: decimal(20, 3),
    vast: decimal(38, 10),
    code: { kind: 'fixed', length: 5 },
    instant: 'timestamptz_ns',
    local: 'timestamp_ns',
    title: 'string',
    ratio: 'double',
    ref: 'uuid',
    deal: { kind: 'struct', fields: [{ name: 'fee', type: decimal(25, 0), required: false }] },
    fees: { kind: 'list', element: decimal(19, 2) },
    rates: { kind: 'map', key: { kind: 'string' }, value: decimal(30, 5) },
  },
  ['id'],
);
const rows: Row[] = [
  [
    1n,
    -99_999_999_999_999_999_999n,
    10n ** 38n - 1n,
    Uint8Array.of(1, 2, 3, 4, 255),
    1_700_000_000_123_456_789n,
    -1n,
    'Ünï 🎬',
    Number.NaN,
    'c0ffee00-1234-4bcd-8def-0123456789ab',
    [-(10n ** 24n)],
    [1n, null, -5n],
    [
      ['EUR', 10n ** 29n],
      ['USD', null],
    ],
  ],
  [2n, 5n, -1n, new Uint8Array(5), 0n, 0n, '', 1.5, null, [null], [], []],
  [3n, ...new Array(11).fill(null)] as Row,
];

async function files(warehouse: TestWarehouse): Promise<DataFile[]> {
  const entry = await warehouse.catalog.load(name);
  const current = entry && currentSnapshot(entry.metadata);
  return current ? (await readLiveFiles(current)).files.map((file) => file.data.file) : [];
}

async function landed(warehouse: TestWarehouse) {
  const sink = openSink(warehouse, { formatVersion: 3 });
  await snapshot(sink, odd, rows);
  await sink.commit(position(1), signal);
  return sink;
}

describe('types that DuckDB writes otherwise', () => {
  test('come back as they were, also after updates', async () => {
    await using warehouse = await createWarehouse();
    const sink = await landed(warehouse);
    // DuckDB reads zoned instants in microseconds alone: nanoseconds are in the file, but not in its answers.
    const first = (rows[0] as Row).with(4, 1_700_000_000_123_456_000n);
    const changed = first.with(6, 'changed');
    await sink.write(changesOf(odd, [{ op: 'u', after: (rows[0] as Row).with(6, 'changed') }]), signal);
    await sink.commit(position(2), signal);
    await sink.close();
    expect(sorted(await warehouse.read(name))).toEqual(sorted([changed, ...rows.slice(1)]));
  });

  test('have counts and bounds, NaN in none of them', async () => {
    await using warehouse = await createWarehouse();
    await (await landed(warehouse)).close();
    const [file] = await files(warehouse);
    const bounds = (id: number, type: FieldType) =>
      [file?.lowerBounds.get(id), file?.upperBounds.get(id)].map((bytes) => bytes && decodeSingleValue(type, bytes));
    expect(bounds(2, decimal(20, 3))).toEqual([-99_999_999_999_999_999_999n, 5n]);
    expect(bounds(5, { kind: 'timestamptz_ns' })).toEqual([0n, 1_700_000_000_123_456_789n]);
    expect(bounds(8, { kind: 'double' })).toEqual([1.5, 1.5]);
    expect(file?.nanCounts.get(8)).toBe(1);
    expect(file?.nullCounts.get(4)).toBe(1);
    expect(file?.valueCounts.get(1)).toBe(3);
  });
});

describeWith('pyiceberg', 'in Parquet', (python) => {
  const describeFile = (file: DataFile | undefined) =>
    JSON.parse(
      execFileSync(python, [join(import.meta.dirname, 'parquet_types.py'), filePath(file?.location ?? '')], {
        encoding: 'utf8',
      }),
    ) as { columns: Record<string, [string, string, number]>; ids: Record<string, number>; rows: number };

  test('every type has the physical form that the specification names', async () => {
    await using warehouse = await createWarehouse();
    await (await landed(warehouse)).close();
    const { columns, ids, rows: count } = describeFile((await files(warehouse))[0]);
    const physical = Object.fromEntries(Object.entries(columns).map(([path, [type]]) => [path, type]));
    expect(physical).toEqual({
      id: 'INT64',
      price: 'FIXED_LEN_BYTE_ARRAY(9)',
      vast: 'FIXED_LEN_BYTE_ARRAY(16)',
      code: 'FIXED_LEN_BYTE_ARRAY(5)',
      instant: 'INT64',
      local: 'INT64',
      title: 'BYTE_ARRAY',
      ratio: 'DOUBLE',
      ref: 'FIXED_LEN_BYTE_ARRAY(16)',
      'deal.fee': 'FIXED_LEN_BYTE_ARRAY(11)',
      'fees.list.element': 'FIXED_LEN_BYTE_ARRAY(9)',
      'rates.key_value.key': 'BYTE_ARRAY',
      'rates.key_value.value': 'FIXED_LEN_BYTE_ARRAY(13)',
    });
    expect(columns.price?.[1]).toBe('Decimal(precision=20, scale=3)');
    expect(columns.instant?.[1]).toContain('isAdjustedToUTC=true, timeUnit=nanoseconds');
    expect(columns.local?.[1]).toContain('isAdjustedToUTC=false, timeUnit=nanoseconds');
    expect(columns.ref?.[1]).toBe('UUID');
    // A required column is required in the file, too.
    expect(columns.id?.[2]).toBe(0);
    expect(Object.values(ids)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14]);
    expect(count).toBe(3);
  });

  test('DuckDB writes the others so by itself', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse);
    const kept = everyType.fields.flatMap((field, index) =>
      field.type.kind === 'struct' || field.type.kind === 'list' ? [] : [{ field, index }],
    );
    const schema = { key: ['id'], fields: kept.map(({ field }) => field) };
    await snapshot(
      sink,
      schema,
      everyTypeRows.map((row) => kept.map(({ index }) => row[index] ?? null)),
    );
    await sink.commit(position(1), signal);
    await sink.close();
    const { columns } = describeFile((await files(warehouse))[0]);
    const shown = Object.fromEntries(Object.entries(columns).map(([path, [type, logical]]) => [path, [type, logical]]));
    expect(shown).toMatchObject({
      flag: ['BOOLEAN', 'None'],
      small: ['INT32', expect.anything()],
      price: ['INT32', 'Decimal(precision=9, scale=2)'],
      budget: ['INT64', 'Decimal(precision=18, scale=0)'],
      vast: ['FIXED_LEN_BYTE_ARRAY(16)', 'Decimal(precision=38, scale=10)'],
      day: ['INT32', 'Date'],
      hour: ['INT64', 'Time(isAdjustedToUTC=false, timeUnit=microseconds)'],
      local: ['INT64', expect.stringContaining('isAdjustedToUTC=false, timeUnit=microseconds')],
      instant: ['INT64', expect.stringContaining('isAdjustedToUTC=true, timeUnit=microseconds')],
      ref: ['FIXED_LEN_BYTE_ARRAY(16)', 'UUID'],
      raw: ['BYTE_ARRAY', 'None'],
    });
  });
});
