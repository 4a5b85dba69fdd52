import { expect, test } from 'vitest';
import { applyUpdates } from '#catalog/iceberg/metadata/apply-updates.ts';
import { checkRequirements } from '#catalog/iceberg/metadata/check-requirements.ts';
import {
  parseTableMetadata,
  printTableMetadata,
  type Snapshot,
  type TableMetadata,
} from '#catalog/iceberg/metadata/table-metadata.ts';
import {
  type TableRequirement,
  type TableUpdate,
  tableRequirement,
  tableUpdate,
} from '#catalog/iceberg/metadata/table-updates.ts';

const uuid = '0d2a4cf4-53b4-4a39-9f6a-1f0a7d1b1c10';

const creation: TableUpdate[] = [
  { action: 'assign-uuid', uuid },
  { action: 'upgrade-format-version', 'format-version': 2 },
  {
    action: 'add-schema',
    schema: {
      type: 'struct',
      'schema-id': 7,
      'identifier-field-ids': [1],
      fields: [
        { id: 1, name: 'id', required: true, type: 'long' },
        {
          id: 2,
          name: 'place',
          required: false,
          type: { type: 'struct', fields: [{ id: 5, name: 'city', required: false, type: 'string' }] },
        },
      ],
    },
  },
  { action: 'set-current-schema', 'schema-id': -1 },
  {
    action: 'add-spec',
    spec: { fields: [{ 'source-id': 1, name: 'id_bucket', transform: 'bucket[16]' }] },
  },
  { action: 'set-default-spec', 'spec-id': -1 },
  { action: 'add-sort-order', 'sort-order': { 'order-id': 0, fields: [] } },
  { action: 'set-default-sort-order', 'sort-order-id': -1 },
  { action: 'set-location', location: 'file:///warehouse/ns/t/' },
  { action: 'set-properties', updates: { owner: 'me' } },
];

function snapshot(id: bigint, parent: bigint | null, more: Partial<Snapshot> = {}): Snapshot {
  return {
    'snapshot-id': id,
    'parent-snapshot-id': parent,
    'sequence-number': id,
    'timestamp-ms': 1000 + Number(id),
    'manifest-list': `file:///warehouse/ns/t/metadata/${id}.avro`,
    summary: { operation: 'append' },
    'schema-id': 0,
    ...more,
  };
}

function showing(id: bigint, parent: bigint | null, ref = 'main'): TableUpdate[] {
  return [
    { action: 'add-snapshot', snapshot: snapshot(id, parent) },
    { action: 'set-snapshot-ref', 'ref-name': ref, type: 'branch', 'snapshot-id': id },
  ];
}

function created(...more: TableUpdate[]): TableMetadata {
  return applyUpdates(null, [...creation, ...more], 1000);
}

test('updates make a table, whose metadata file is read back as it is', () => {
  const table = created(...showing(1n, null));
  expect(table).toMatchObject({
    'format-version': 2,
    'table-uuid': uuid,
    location: 'file:///warehouse/ns/t',
    'last-column-id': 5,
    'current-schema-id': 0,
    'default-spec-id': 0,
    'last-partition-id': 1000,
    'default-sort-order-id': 0,
    properties: { owner: 'me' },
    'current-snapshot-id': 1n,
    'last-sequence-number': 1n,
    'snapshot-log': [{ 'timestamp-ms': 1001, 'snapshot-id': 1n }],
    refs: { main: { 'snapshot-id': 1n, type: 'branch' } },
  });
  expect(parseTableMetadata(printTableMetadata(table), 'file:///t')).toEqual(table);
});

test('a table in the making lacks nothing, and what is not said of it is the specification’s default', () => {
  expect(() => applyUpdates(null, creation.slice(1), 1)).toThrow('assign-uuid');
  expect(() => applyUpdates(null, creation.slice(0, 2), 1)).toThrow('set-location');
  const plain = applyUpdates(null, [...creation.slice(0, 4), ...creation.slice(8)], 1);
  expect(plain['partition-specs']).toEqual([{ 'spec-id': 0, fields: [] }]);
  expect(plain['sort-orders']).toEqual([{ 'order-id': 0, fields: [] }]);
});

test('the base stays as it is and shares its snapshots', () => {
  const base = created(...showing(1n, null));
  const before = printTableMetadata(base);
  const next = applyUpdates(
    base,
    [
      ...showing(2n, 1n),
      { action: 'set-properties', updates: { a: '1' } },
      { action: 'remove-properties', removals: ['owner'] },
    ],
    5000,
  );
  expect(printTableMetadata(base)).toBe(before);
  expect(next.snapshots[0]).toBe(base.snapshots[0]);
  expect(next.properties).toEqual({ a: '1' });
  expect(next['last-updated-ms']).toBe(5000);
  expect(applyUpdates(base, [], 9000)).toBe(base);
});

test('a schema that is there already is found again, a new one follows with the next id', () => {
  const base = created();
  const [schema] = base.schemas;
  if (!schema) throw new Error('no schema');
  const wider = { ...schema, fields: [...schema.fields, { id: 6, name: 'note', required: false, type: 'string' }] };
  const next = applyUpdates(
    base,
    [
      { action: 'add-schema', schema: wider },
      { action: 'set-current-schema', 'schema-id': -1 },
      { action: 'add-schema', schema: { ...schema, 'schema-id': 99 } },
    ],
    1,
  );
  expect(next.schemas.map((each) => each['schema-id'])).toEqual([0, 1]);
  expect(next['current-schema-id']).toBe(1);
  expect(next['last-column-id']).toBe(6);
  const back = applyUpdates(
    next,
    [
      { action: 'add-schema', schema },
      { action: 'set-current-schema', 'schema-id': -1 },
      { action: 'remove-schemas', 'schema-ids': [1] },
    ],
    1,
  );
  expect(back.schemas.map((each) => each['schema-id'])).toEqual([0]);
  expect(() => applyUpdates(next, [{ action: 'remove-schemas', 'schema-ids': [1] }], 1)).toThrow('current schema');
  expect(() => applyUpdates(next, [{ action: 'set-current-schema', 'schema-id': 5 }], 1)).toThrow('unknown schema: 5');
});

test.each([
  [
    'an id used twice',
    [
      { id: 1, name: 'a' },
      { id: 1, name: 'b' },
    ],
    '"a" and "b"',
  ],
  [
    'a name used twice',
    [
      { id: 1, name: 'a' },
      { id: 2, name: 'a' },
    ],
    'two columns "a"',
  ],
  ['a type of version 3', [{ id: 1, name: 'a', type: 'timestamp_ns' }], 'Invalid schema for v2'],
  ['a default of version 3', [{ id: 1, name: 'a', 'initial-default': 1 }], 'Invalid schema for v2'],
])('a schema with %s is refused', (_what, fields, message) => {
  const schema = {
    type: 'struct' as const,
    'schema-id': 1,
    fields: fields.map((field) => ({ required: false, type: 'int', ...field })),
  };
  expect(() => applyUpdates(created(), [{ action: 'add-schema', schema }], 1)).toThrow(message);
});

test('partition fields keep their ids through all specs; a spec that is there is found again', () => {
  const base = created();
  const both: TableUpdate = {
    action: 'add-spec',
    spec: {
      fields: [
        { 'source-id': 5, name: 'city', transform: 'identity' },
        { 'source-id': 1, name: 'id_bucket', transform: 'bucket[16]' },
      ],
    },
  };
  const next = applyUpdates(base, [both, { action: 'set-default-spec', 'spec-id': -1 }], 1);
  expect(next['partition-specs'].at(-1)).toEqual({
    'spec-id': 1,
    fields: [
      { 'source-id': 5, name: 'city', transform: 'identity', 'field-id': 1001 },
      { 'source-id': 1, name: 'id_bucket', transform: 'bucket[16]', 'field-id': 1000 },
    ],
  });
  expect(next['last-partition-id']).toBe(1001);
  const again = applyUpdates(next, [both, { action: 'set-default-spec', 'spec-id': -1 }], 1);
  expect(again['partition-specs'].length).toBe(2);
  expect(again['default-spec-id']).toBe(1);
  expect(() => applyUpdates(next, [{ action: 'remove-partition-specs', 'spec-ids': [1] }], 1)).toThrow('default');
  const lost: TableUpdate = {
    action: 'add-spec',
    spec: { fields: [{ 'source-id': 77, name: 'x', transform: 'identity' }] },
  };
  expect(() => applyUpdates(base, [lost], 1)).toThrow('no field 77');
});

test('a sort order gets an id of its own', () => {
  const order: TableUpdate = {
    action: 'add-sort-order',
    'sort-order': {
      'order-id': 9,
      fields: [{ 'source-id': 1, transform: 'identity', direction: 'asc', 'null-order': 'nulls-first' }],
    },
  };
  const next = applyUpdates(created(), [order, { action: 'set-default-sort-order', 'sort-order-id': -1 }], 1);
  expect(next['default-sort-order-id']).toBe(1);
  expect(applyUpdates(next, [order], 1)['sort-orders'].length).toBe(2);
});

test('branches and tags move apart from what the table shows', () => {
  const base = created(...showing(1n, null), ...showing(2n, 1n));
  expect(base['snapshot-log'].map((entry) => entry['snapshot-id'])).toEqual([2n]);
  const next = applyUpdates(
    base,
    [
      ...showing(3n, 2n, 'audit'),
      {
        action: 'set-snapshot-ref',
        'ref-name': 'end-of-year',
        type: 'tag',
        'snapshot-id': 1n,
        'max-ref-age-ms': 60_000n,
      },
    ],
    1,
  );
  expect(next['current-snapshot-id']).toBe(2n);
  expect(next.refs).toEqual({
    main: { 'snapshot-id': 2n, type: 'branch' },
    audit: { 'snapshot-id': 3n, type: 'branch' },
    'end-of-year': { 'snapshot-id': 1n, type: 'tag', 'max-ref-age-ms': 60_000n },
  });
  const back = applyUpdates(
    next,
    [{ action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': 1n }],
    7000,
  );
  expect(back['snapshot-log'].at(-1)).toEqual({ 'timestamp-ms': 7000, 'snapshot-id': 1n });
  expect(() =>
    applyUpdates(next, [{ action: 'set-snapshot-ref', 'ref-name': 'x', type: 'tag', 'snapshot-id': 9n }], 1),
  ).toThrow('unknown snapshot: 9');
  const gone = applyUpdates(next, [{ action: 'remove-snapshots', 'snapshot-ids': [1n] }], 1);
  expect(Object.keys(gone.refs)).toEqual(['main', 'audit']);
  expect(gone.snapshots.map((each) => each['snapshot-id'])).toEqual([2n, 3n]);
  const empty = applyUpdates(next, [{ action: 'remove-snapshot-ref', 'ref-name': 'main' }], 1);
  expect(empty['current-snapshot-id']).toBeNull();
});

test('a snapshot prepared before another came is a conflict, one with a known id is refused', () => {
  const base = created(...showing(5n, null));
  const stale = snapshot(6n, 5n, { 'sequence-number': 5n });
  expect(() => applyUpdates(base, [{ action: 'add-snapshot', snapshot: stale }], 1)).toThrow(
    expect.objectContaining({ code: 'commit_conflict' }),
  );
  expect(() => applyUpdates(base, [{ action: 'add-snapshot', snapshot: snapshot(5n, null) }], 1)).toThrow(
    expect.objectContaining({ code: 'invalid' }),
  );
});

test('format version 3 counts row ids on, and no version goes down', () => {
  const base = applyUpdates(created(), [{ action: 'upgrade-format-version', 'format-version': 3 }], 1);
  expect(base['next-row-id']).toBe(0n);
  let id = 10n;
  const add = (first: bigint | null, added: bigint | null): TableUpdate => ({
    action: 'add-snapshot',
    snapshot: snapshot(++id, null, {
      'first-row-id': first,
      'added-rows': added,
    }),
  });
  const next = applyUpdates(base, [add(0n, 10n)], 1);
  expect(next['next-row-id']).toBe(10n);
  expect(applyUpdates(next, [add(10n, 5n)], 1)['next-row-id']).toBe(15n);
  expect(() => applyUpdates(next, [add(9n, 5n)], 1)).toThrow(expect.objectContaining({ code: 'commit_conflict' }));
  expect(() => applyUpdates(next, [add(null, null)], 1)).toThrow('first-row-id is null');
  expect(() => applyUpdates(base, [{ action: 'upgrade-format-version', 'format-version': 2 }], 1)).toThrow('downgrade');
});

test('statistics belong to one snapshot and go with it', () => {
  const file = {
    'snapshot-id': 1n,
    'statistics-path': 'file:///warehouse/ns/t/metadata/s.puffin',
    'file-size-in-bytes': 10n,
    'file-footer-size-in-bytes': 5n,
    'blob-metadata': [],
  };
  const base = created(
    ...showing(1n, null),
    ...showing(2n, 1n),
    { action: 'set-statistics', statistics: file },
    { action: 'set-statistics', statistics: { ...file, 'file-size-in-bytes': 11n } },
    { action: 'set-partition-statistics', 'partition-statistics': file },
  );
  expect(base.statistics?.map((each) => each['file-size-in-bytes'])).toEqual([11n]);
  const next = applyUpdates(base, [{ action: 'remove-snapshots', 'snapshot-ids': [1n] }], 1);
  expect([next.statistics, next['partition-statistics']]).toEqual([[], []]);
});

test('requirements hold of the table as it is, or the commit is a conflict that says which', () => {
  const base = created(...showing(1n, null));
  const holds = (requirement: TableRequirement, table: TableMetadata | null = base) => {
    try {
      checkRequirements('ns.t', table, [requirement]);
      return 'holds';
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'commit_conflict' });
      return thrown instanceof Error
        ? thrown.message.replace(/^Requirement failed: (.*)\. Cannot commit to ns\.t\.$/, '$1')
        : '';
    }
  };
  const cases: [TableRequirement, string, (TableMetadata | null)?][] = [
    [{ type: 'assert-create' }, 'holds', null],
    [{ type: 'assert-create' }, 'table already exists'],
    [{ type: 'assert-table-uuid', uuid: uuid.toUpperCase() }, 'holds'],
    [{ type: 'assert-table-uuid', uuid: 'other' }, `UUID does not match: expected other != ${uuid}`],
    [{ type: 'assert-table-uuid', uuid }, 'the table does not exist', null],
    [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': 1n }, 'holds'],
    [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': 2n }, 'branch main has changed: expected id 2 != 1'],
    [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': null }, 'branch main was created concurrently'],
    [{ type: 'assert-ref-snapshot-id', ref: 'x', 'snapshot-id': null }, 'holds'],
    [{ type: 'assert-ref-snapshot-id', ref: 'x', 'snapshot-id': 1n }, 'branch or tag x is missing, expected 1'],
    [{ type: 'assert-ref-snapshot-id', ref: 'constructor', 'snapshot-id': null }, 'holds'],
    [{ type: 'assert-last-assigned-field-id', 'last-assigned-field-id': 5 }, 'holds'],
    [
      { type: 'assert-last-assigned-field-id', 'last-assigned-field-id': 4 },
      'last assigned field id changed: expected id 4 != 5',
    ],
    [{ type: 'assert-current-schema-id', 'current-schema-id': 3 }, 'current schema changed: expected id 3 != 0'],
    [
      { type: 'assert-last-assigned-partition-id', 'last-assigned-partition-id': 999 },
      'last assigned partition id changed: expected id 999 != 1000',
    ],
    [{ type: 'assert-default-spec-id', 'default-spec-id': 1 }, 'default partition spec changed: expected id 1 != 0'],
    [
      { type: 'assert-default-sort-order-id', 'default-sort-order-id': 1 },
      'default sort order changed: expected id 1 != 0',
    ],
  ];
  for (const [requirement, outcome, table] of cases) expect(holds(requirement, table)).toBe(outcome);
});

test('both are read from what a client sends, whatever the size of an id; unknown ones are not', () => {
  expect(
    tableUpdate.parse({ action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': 3 }),
  ).toMatchObject({ 'snapshot-id': 3n });
  expect(
    tableRequirement.parse({ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': 8_000_000_000_000_000_001n }),
  ).toMatchObject({ 'snapshot-id': 8_000_000_000_000_000_001n });
  expect(tableUpdate.safeParse({ action: 'set-fire' }).success).toBe(false);
  expect(tableRequirement.safeParse({ type: 'assert-luck' }).success).toBe(false);
});
