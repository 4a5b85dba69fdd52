import { expect, test } from 'vitest';
import type { Rename } from '#catalog/iceberg/metadata/schema-evolution.ts';
import { currentSnapshot, schemaOf as icebergSchemaOf } from '#catalog/iceberg/metadata/table-metadata.ts';
import { readLiveFiles } from '#catalog/iceberg/read/live-files.ts';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import { type FieldType, type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { printedRows, readWithPyIceberg } from '../pyiceberg.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from '../warehouse.ts';
import { rewriteAll } from './rewrite-all.ts';

const name = 'production.movie';
const text: FieldType = { kind: 'string' };
const int: FieldType = { kind: 'int' };

function struct(fields: Record<string, FieldType>): FieldType {
  return {
    kind: 'struct',
    fields: Object.entries(fields).map(([field, type]) => ({ name: field, type, required: false })),
  };
}

interface Step {
  schema: Schema;
  renames?: Rename[];
  upserts: Row[];
}

/** Commits each step; returns the snapshot of each. */
async function land(warehouse: TestWarehouse, steps: readonly Step[], formatVersion: 2 | 3): Promise<bigint[]> {
  const deps = { catalog: warehouse.catalog, indexDir: warehouse.indexDir, now: () => new Date() };
  const writer = await TableWriter.open(name, deps, { formatVersion, partition: null });
  const snapshots: bigint[] = [];
  for (const { schema, renames = [], upserts } of steps) {
    await writer.evolve(schema, { renames });
    for (const row of upserts) await writer.upsert(row, false);
    await commitTables(warehouse.catalog, [writer], {}, async () => {});
    const snapshot = writer.metadata && currentSnapshot(writer.metadata);
    if (snapshot) snapshots.push(snapshot['snapshot-id']);
  }
  await writer.close();
  return snapshots;
}

async function dataFiles(warehouse: TestWarehouse): Promise<number> {
  const entry = await warehouse.catalog.load(name);
  const snapshot = entry && currentSnapshot(entry.metadata);
  return snapshot ? (await readLiveFiles(snapshot)).files.length : 0;
}

const before = schemaOf(
  {
    id: 'long',
    title: text,
    size: int,
    edge: struct({ country: text, gone: int, rating: { kind: 'float' } }),
    parts: { kind: 'list', element: struct({ name: text, minutes: int }) },
  },
  ['id'],
);

// Every change that there is, at the top, in a struct and in a list's structs.
const after = schemaOf(
  {
    title_original: text,
    id: 'long',
    edge: struct({ added: text, rating: { kind: 'double' }, land: text }),
    size: 'long',
    parts: { kind: 'list', element: struct({ minutes: { kind: 'long' }, label: text, cut: { kind: 'boolean' } }) },
  },
  ['id'],
);

const renames: Rename[] = [
  { from: ['title'], to: ['title_original'] },
  { from: ['edge', 'country'], to: ['edge', 'land'] },
  { from: ['parts', 'element', 'name'], to: ['parts', 'element', 'label'] },
];

const steps: Step[] = [
  {
    schema: before,
    upserts: [
      [1n, 'Metropolis', 7, ['DE', 1, 1.5], [['Act I', 40], null]],
      [2n, 'Nosferatu', null, null, []],
      [3n, 'Faust', -1, [null, null, null], null],
    ],
  },
  {
    schema: after,
    renames,
    upserts: [
      ['Nosferatu', 2n, ['x', 2.5, 'DE'], 1n << 40n, [[94n, 'Whole', true]]],
      ['M', 4n, null, null, null],
    ],
  },
];

const rowsBefore = steps[0]?.upserts ?? [];
const rowsAfter: Row[] = [
  ['Metropolis', 1n, [null, 1.5, 'DE'], 7n, [[40n, 'Act I', null], null]],
  ['Faust', 3n, [null, null, null], -1n, null],
  ...(steps[1]?.upserts ?? []),
];

test.each([2, 3] as const)(
  'rows of before a change of the schema have their values under the new names and types, format %i',
  async (formatVersion) => {
    await using warehouse = await createWarehouse();
    const [first = 0n] = await land(warehouse, steps, formatVersion);
    expect(sorted(await warehouse.read(name))).toEqual(sorted(rowsAfter));
    // Readers of the old snapshot have what they had.
    expect(sorted(await warehouse.read(name, { snapshotId: first }))).toEqual(sorted(rowsBefore));
    const entry = await warehouse.catalog.load(name);
    const ids = entry && icebergSchemaOf(entry.metadata).fields.map((field) => [field.name, field.id]);
    expect(ids).toEqual([
      ['title_original', 2],
      ['id', 1],
      ['edge', 4],
      ['size', 3],
      ['parts', 8],
    ]);
  },
);

test.each([2, 3] as const)(
  'rows that are rewritten after such changes keep all of it, format %i',
  async (formatVersion) => {
    await using warehouse = await createWarehouse();
    await land(warehouse, steps, formatVersion);
    await rewriteAll(warehouse, name);
    expect(await dataFiles(warehouse)).toBe(1);
    expect(sorted(await warehouse.read(name))).toEqual(sorted(rowsAfter));
  },
);

test('values that a change does not carry are the old row’s, under the new names', async () => {
  await using warehouse = await createWarehouse();
  const untold: Step = {
    schema: after,
    upserts: [
      ['Metropolis, restored', 1n, UNKNOWN, 8n, UNKNOWN],
      [UNKNOWN, 2n, UNKNOWN, UNKNOWN, UNKNOWN],
    ],
  };
  await land(warehouse, [...steps, untold], 2);
  const expected = rowsAfter.map((row) => (row[1] === 1n ? ['Metropolis, restored', 1n, row[2], 8n, row[4]] : row));
  expect(sorted(await warehouse.read(name))).toEqual(sorted(expected as Row[]));
});

test('a nested field that was dropped and is there again has none of its old values', async () => {
  await using warehouse = await createWarehouse();
  const full = schemaOf({ id: 'long', edge: struct({ a: text, b: int }) }, ['id']);
  const dropped = schemaOf({ id: 'long', edge: struct({ a: text }) }, ['id']);
  await land(
    warehouse,
    [
      { schema: full, upserts: [[1n, ['x', 7]]] },
      { schema: dropped, upserts: [[2n, ['y']]] },
      { schema: full, upserts: [[3n, ['z', 9]]] },
    ],
    2,
  );
  const expected: Row[] = [
    [1n, ['x', null]],
    [2n, ['y', null]],
    [3n, ['z', 9]],
  ];
  expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
  await rewriteAll(warehouse, name);
  expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
});

test('rows that wait for their commit follow a change of nested columns', async () => {
  await using warehouse = await createWarehouse();
  const first = schemaOf(
    { id: 'long', edge: struct({ a: text, b: int }), list: { kind: 'list', element: struct({ a: int }) } },
    ['id'],
  );
  const next = schemaOf(
    {
      id: 'long',
      list: { kind: 'list', element: struct({ c: text, a: { kind: 'long' } }) },
      edge: struct({ b: { kind: 'long' }, c: text, a: text }),
    },
    ['id'],
  );
  const deps = { catalog: warehouse.catalog, indexDir: warehouse.indexDir, now: () => new Date() };
  const writer = await TableWriter.open(name, deps);
  await writer.evolve(first);
  await writer.upsert([1n, ['x', 7], [[1], null]], true);
  await writer.evolve(next);
  await writer.upsert([2n, null, [8n, 'c', 'y']], true);
  await commitTables(warehouse.catalog, [writer], {}, async () => {});
  await writer.close();
  expect(sorted(await warehouse.read(name))).toEqual(
    sorted([
      [1n, [[null, 1n], null], [7n, null, 'x']],
      [2n, null, [8n, 'c', 'y']],
    ]),
  );
});

test('rows without a key are found after a change of nested columns', async () => {
  await using warehouse = await createWarehouse();
  const first = schemaOf({ line: text, edge: struct({ a: text, b: int }) });
  const next = schemaOf({ line: text, edge: struct({ b: int, c: text, a: text }) });
  const deps = { catalog: warehouse.catalog, indexDir: warehouse.indexDir, now: () => new Date() };
  const writer = await TableWriter.open(name, deps);
  const commit = () => commitTables(warehouse.catalog, [writer], {}, async () => {});
  await writer.evolve(first);
  for (const line of ['one', 'two', 'three']) await writer.upsert([line, [line, 1]], true);
  await commit();
  await writer.remove(['one', ['one', 1]]);
  await commit();
  await writer.evolve(next);
  await writer.remove(['two', [1, null, 'two']]);
  await commit();
  await writer.close();
  expect(await warehouse.read(name)).toEqual([['three', [1, null, 'three']]]);
});

test('two columns that change their names with each other keep their values apart', async () => {
  await using warehouse = await createWarehouse();
  const schema = schemaOf({ id: 'long', a: text, b: text }, ['id']);
  const swapped = schemaOf({ id: 'long', b: text, a: text }, ['id']);
  await land(
    warehouse,
    [
      { schema, upserts: [[1n, 'was a', 'was b']] },
      {
        schema: swapped,
        renames: [
          { from: ['a'], to: ['b'] },
          { from: ['b'], to: ['a'] },
        ],
        upserts: [],
      },
    ],
    2,
  );
  expect(await warehouse.read(name)).toEqual([[1n, 'was a', 'was b']]);
});

const idAlone = schemaOf({ id: 'long' }, ['id']);
const withDefaults: Schema = {
  key: ['id'],
  fields: [
    ...idAlone.fields,
    { name: 'rank', type: { kind: 'decimal', precision: 20, scale: 2 }, required: false, initialDefault: -1420n },
    { name: 'at', type: { kind: 'timestamptz' }, required: false, initialDefault: 1_510_871_468_123_456n },
    { name: 'note', type: text, required: false, initialDefault: "it's “new”" },
    { name: 'raw', type: { kind: 'binary' }, required: false, initialDefault: Uint8Array.of(0, 255) },
  ],
};
const defaultSteps: Step[] = [
  { schema: idAlone, upserts: [[1n]] },
  { schema: withDefaults, upserts: [[2n, null, null, null, null]] },
];
const defaultRows: Row[] = [
  [1n, -1420n, 1_510_871_468_123_456n, "it's “new”", Uint8Array.of(0, 255)],
  [2n, null, null, null, null],
];

test('old rows hold an added column’s default in format 3, new ones what they were given', async () => {
  await using warehouse = await createWarehouse();
  await land(warehouse, defaultSteps, 3);
  expect(sorted(await warehouse.read(name))).toEqual(sorted(defaultRows));
  await rewriteAll(warehouse, name);
  expect(await dataFiles(warehouse)).toBe(1);
  expect(sorted(await warehouse.read(name))).toEqual(sorted(defaultRows));
});

describeWith('pyiceberg', 'PyIceberg after a change of the schema', () => {
  test.each([2, 3] as const)('reads all rows, format %i', async (formatVersion) => {
    await using warehouse = await createWarehouse();
    await land(warehouse, steps, formatVersion);
    const table = await readWithPyIceberg(warehouse.catalog, name);
    const byText = (rows: readonly unknown[][]) => rows.map((row) => JSON.stringify(row)).sort();
    // PyIceberg 0.12 reads a NULL list of structs as an empty one.
    const read = rowsAfter.map((row) => row.with(4, row[4] ?? []));
    expect(byText(table.rows)).toEqual(byText(printedRows(after, read)));
  });

  test('reads the defaults of added columns', async () => {
    await using warehouse = await createWarehouse();
    await land(warehouse, defaultSteps, 3);
    const table = await readWithPyIceberg(warehouse.catalog, name);
    const byId = (rows: readonly unknown[][]) => rows.toSorted((a, b) => Number(a[0]) - Number(b[0]));
    expect(byId(table.rows)).toEqual(printedRows(withDefaults, defaultRows));
  });
});

test('a column that the table is sorted by cannot go: engines could not load the table', async () => {
  await using warehouse = await createWarehouse();
  const schema = schemaOf({ id: 'long', title: text }, ['id']);
  await land(warehouse, [{ schema, upserts: [[1n, 'M']] }], 2);
  const entry = await warehouse.catalog.load(name);
  await warehouse.catalog.commit([
    {
      name,
      base: entry,
      requirements: [],
      updates: [
        {
          action: 'add-sort-order',
          'sort-order': {
            fields: [{ 'source-id': 2, transform: 'identity', direction: 'asc', 'null-order': 'nulls-first' }],
          },
        },
        { action: 'set-default-sort-order', 'sort-order-id': -1 },
      ],
    },
  ]);
  const gone = { schema: schemaOf({ id: 'long' }, ['id']), upserts: [] };
  await expect(land(warehouse, [gone], 2)).rejects.toThrow(
    /"title" is gone, and the table is partitioned or sorted by it/,
  );
});
