import type { Field, FieldType, Row, Schema, Value } from '#catalog/schemas/schema.ts';
import type { Change } from '#test/ingest/sinks/sink-driver.ts';
import { applyStep, type Step, type TableState } from './history.ts';
import { Random } from './random.ts';
import { anyValueOf, limitsOf, nullableValueOf } from './values.ts';

/** A table of the matrix: how it is to be written, and what happens to it. */
export interface MatrixTable {
  /** Without the namespace. */
  name: string;
  formatVersion: 2 | 3;
  /** As in a pipeline's definition; from the first step on. */
  partition: readonly string[];
  steps: readonly Step[];
}

export function finalState(table: MatrixTable): TableState {
  return stateOf(table.steps);
}

const primitives: readonly FieldType[] = [
  { kind: 'boolean' },
  { kind: 'int' },
  { kind: 'long' },
  { kind: 'float' },
  { kind: 'double' },
  { kind: 'decimal', precision: 9, scale: 2 },
  { kind: 'decimal', precision: 18, scale: 0 },
  { kind: 'decimal', precision: 38, scale: 10 },
  { kind: 'date' },
  { kind: 'time' },
  { kind: 'timestamp' },
  { kind: 'timestamptz' },
  { kind: 'string' },
  { kind: 'uuid' },
  { kind: 'binary' },
  { kind: 'fixed', length: 5 },
];

function nameOf(type: FieldType): string {
  return type.kind === 'decimal' ? `decimal_${type.precision}_${type.scale}` : `${type.kind}_value`;
}

function optional(name: string, type: FieldType): Field {
  return { name, type, required: false };
}

function structOf(types: readonly FieldType[]): FieldType {
  return { kind: 'struct', fields: types.map((type) => optional(nameOf(type), type)) };
}

function keyed(fields: readonly Field[]): Schema {
  return { fields: [{ name: 'id', type: { kind: 'long' }, required: true }, ...fields], key: ['id'] };
}

type Nesting = 'flat' | 'struct' | 'list' | 'map' | 'deep' | 'full';

const ordinary = primitives.filter((type) => type.kind !== 'time');

/** A column of each of the types, nested so. */
function schemaOf(nesting: Nesting, types: readonly FieldType[] = ordinary): Schema {
  switch (nesting) {
    case 'flat':
      return keyed(types.map((type) => optional(nameOf(type), type)));
    case 'struct':
      return keyed([
        optional('inner', structOf(types)),
        optional('outer', structIn('a', structIn('b', structOf(types)))),
      ]);
    case 'list':
      return keyed(types.map((type) => optional(nameOf(type), { kind: 'list', element: type })));
    case 'map':
      return keyed(types.map((type) => optional(nameOf(type), { kind: 'map', key: { kind: 'string' }, value: type })));
    case 'deep':
      return keyed([
        optional('ages', { kind: 'map', key: { kind: 'int' }, value: { kind: 'list', element: structOf(types) } }),
        optional('people', { kind: 'list', element: structOf(types) }),
        optional('grid', { kind: 'list', element: { kind: 'list', element: { kind: 'int' } } }),
        optional('credits', {
          kind: 'list',
          element: structIn('roles', {
            kind: 'list',
            element: structIn('fee', { kind: 'decimal', precision: 20, scale: 3 }),
          }),
        }),
      ]);
    case 'full':
      return keyed([
        required('ages', { kind: 'map', key: { kind: 'int' }, value: structOf(types) }),
        required('people', { kind: 'list', element: structOf(types) }),
        required('credits', {
          kind: 'list',
          element: {
            kind: 'struct',
            fields: [required('roles', { kind: 'list', element: structIn('fee', { kind: 'int' }) })],
          },
        }),
      ]);
  }
}

function required(name: string, type: FieldType): Field {
  return { name, type, required: true };
}

function structIn(name: string, type: FieldType): FieldType {
  return { kind: 'struct', fields: [optional(name, type)] };
}

/** Rows with each type's limits first, then NULLs, then any values. Ids count up from `start`. */
function rowsOf(schema: Schema, count: number, random: Random, start = 0): Row[] {
  const limits = schema.fields.map((field) => limitsOf(field.type));
  return Array.from({ length: count }, (_, index) =>
    schema.fields.map((field, at): Value => {
      if (field.name === 'id') return BigInt(start + index);
      const limit = start === 0 ? limits[at]?.[index] : undefined;
      if (limit !== undefined) return limit;
      return start === 0 && index === 8 && !field.required ? null : nullableValueOf(field.type, field.required, random);
    }),
  );
}

/** Updates, deletes and inserts of some rows of a table, each at most once. */
function changesOf(schema: Schema, rows: readonly Row[], share: number, random: Random): Change[] {
  const changes: Change[] = [];
  for (const row of rows) {
    if (!random.chance(share)) continue;
    if (random.chance(0.5)) changes.push({ op: 'd', before: row });
    else
      changes.push({
        op: 'u',
        after: schema.fields.map((field, at) => changed(schema, field, row[at] as Value, random)),
      });
  }
  const last = rows.length === 0 ? -1n : BigInt(rows.at(-1)?.[0] as bigint);
  for (const row of rowsOf(schema, 2, random, Number(last) + 1_000_000)) changes.push({ op: 'c', after: row });
  return changes;
}

function changed(schema: Schema, field: Field, old: Value, random: Random): Value {
  return schema.key.includes(field.name) ? old : nullableValueOf(field.type, field.required, random);
}

/** Each of these leaves other delete files behind. */
type Deletes = 'none' | 'some' | 'repeated' | 'all';

function history(schema: Schema, deletes: Deletes, random: Random, count = 30): Step[] {
  const steps: Step[] = [{ kind: 'snapshot', schema, rows: rowsOf(schema, count, random) }];
  const change = (share: number) => {
    const { rows } = stateOf(steps);
    steps.push({ kind: 'changes', schema, changes: changesOf(schema, rows, share, random) });
  };
  switch (deletes) {
    case 'none':
      break;
    case 'some':
      change(0.3);
      break;
    case 'repeated':
      for (let times = 0; times < 4; times++) change(0.3);
      break;
    case 'all':
      change(0.2);
      steps.push({
        kind: 'changes',
        schema,
        changes: stateOf(steps).rows.map((before) => ({ op: 'd', before })),
      });
      break;
  }
  return steps;
}

function stateOf(steps: readonly Step[]): TableState {
  const state = steps.reduce<TableState | null>(applyStep, null);
  if (state === null) throw new Error('no steps');
  return state;
}

/** Columns are added, dropped, put elsewhere, widened and made optional, within structs too, between changes. */
function evolution(random: Random): Step[] {
  const before: Schema = {
    key: ['id'],
    fields: [
      { name: 'id', type: { kind: 'int' }, required: true },
      { name: 'title', type: { kind: 'string' }, required: true },
      optional('gone', { kind: 'string' }),
      optional('size', { kind: 'int' }),
      optional('person', {
        kind: 'struct',
        fields: [
          optional('age', { kind: 'int' }),
          optional('name', { kind: 'string' }),
          optional('left', { kind: 'date' }),
        ],
      }),
      optional('sizes', { kind: 'list', element: { kind: 'int' } }),
    ],
  };
  const after: Schema = {
    key: ['id'],
    fields: [
      { name: 'id', type: { kind: 'int' }, required: true },
      optional('person', {
        kind: 'struct',
        fields: [
          optional('born', { kind: 'timestamptz' }),
          optional('name', { kind: 'string' }),
          optional('age', { kind: 'long' }),
        ],
      }),
      optional('size', { kind: 'long' }),
      optional('sizes', { kind: 'list', element: { kind: 'long' } }),
      optional('title', { kind: 'string' }),
      optional('tags', { kind: 'list', element: { kind: 'string' } }),
    ],
  };
  const rows = (schema: Schema, start: number, count: number): Row[] =>
    Array.from({ length: count }, (_, index) =>
      schema.fields.map((field) =>
        field.name === 'id' ? start + index : nullableValueOf(field.type, field.required, random),
      ),
    );
  const first = rows(before, 0, 20);
  return [
    { kind: 'snapshot', schema: before, rows: first },
    { kind: 'changes', schema: before, changes: first.slice(0, 4).map((row) => ({ op: 'd', before: row })) },
    {
      kind: 'changes',
      schema: after,
      changes: [
        ...rows(after, 4, 3).map((row): Change => ({ op: 'u', after: row })),
        ...rows(after, 100, 3).map((row): Change => ({ op: 'c', after: row })),
        { op: 'd', before: rows(after, 10, 1)[0] ?? null },
      ],
    },
  ];
}

/** The types whose columns each transform takes. */
const transforms: Readonly<Record<string, { kinds: readonly FieldType['kind'][]; print(column: string): string }>> = {
  identity: {
    kinds: ['boolean', 'int', 'long', 'decimal', 'date', 'timestamp', 'timestamptz', 'string', 'uuid', 'binary'],
    print: (column) => column,
  },
  bucket: {
    kinds: ['int', 'long', 'decimal', 'date', 'timestamp', 'timestamptz', 'string', 'uuid', 'binary', 'fixed'],
    print: (column) => `bucket(3, ${column})`,
  },
  truncate: { kinds: ['int', 'long', 'decimal', 'string', 'binary'], print: (column) => `truncate(4, ${column})` },
  year: { kinds: ['date', 'timestamp', 'timestamptz'], print: (column) => `year(${column})` },
  month: { kinds: ['date', 'timestamp', 'timestamptz'], print: (column) => `month(${column})` },
  day: { kinds: ['date', 'timestamp', 'timestamptz'], print: (column) => `day(${column})` },
  hour: { kinds: ['timestamp', 'timestamptz'], print: (column) => `hour(${column})` },
};

/** Rows move from one partition to another, and the way of partitioning changes twice, back to none. */
function partitionEvolution(random: Random): Step[] {
  const schema = keyed([optional('released', { kind: 'date' }), optional('title', { kind: 'string' })]);
  const steps: Step[] = [{ kind: 'snapshot', schema, rows: rowsOf(schema, 20, random) }];
  const change = () =>
    steps.push({ kind: 'changes', schema, changes: changesOf(schema, stateOf(steps).rows, 0.4, random) });
  change();
  steps.push({ kind: 'partition', partition: ['year(released)', 'bucket(4, id)'] });
  change();
  change();
  steps.push({ kind: 'partition', partition: ['truncate(2, title)'] });
  change();
  steps.push({ kind: 'partition', partition: [] });
  change();
  return steps;
}

function keyless(random: Random): Step[] {
  const schema: Schema = {
    key: [],
    fields: [
      optional('at', { kind: 'timestamptz' }),
      optional('line', { kind: 'string' }),
      optional('weight', { kind: 'double' }),
    ],
  };
  const rows = Array.from({ length: 12 }, () => schema.fields.map((field) => anyValueOf(field.type, random)));
  const doubled = [...rows, ...rows];
  return [
    { kind: 'snapshot', schema, rows: doubled },
    { kind: 'changes', schema, changes: rows.slice(0, 6).map((before) => ({ op: 'd', before })) },
  ];
}

/** Enough rows for several row groups, and more deletes than lie in one container of a bitmap. */
function large(random: Random): Step[] {
  const schema = keyed([
    optional('title', { kind: 'string' }),
    optional('fee', { kind: 'decimal', precision: 12, scale: 2 }),
  ]);
  const rows = Array.from({ length: 150_000 }, (_, id): Row => [BigInt(id), `Film ${id % 977}`, BigInt(id * 3)]);
  const gone = (id: bigint) => id % 7n === 3n || (id > 20_000n && id < 90_000n);
  return [
    { kind: 'snapshot', schema, rows },
    {
      kind: 'changes',
      schema,
      changes: rows.filter(([id]) => gone(id as bigint)).map((before) => ({ op: 'd', before })),
    },
    {
      kind: 'changes',
      schema,
      changes: changesOf(
        schema,
        rows.slice(0, 400).filter(([id]) => !gone(id as bigint)),
        0.3,
        random,
      ),
    },
  ];
}

/** All tables, the same for the same seed. */
export function matrixTables(seed: number): MatrixTable[] {
  const random = new Random(seed);
  const tables: MatrixTable[] = [];
  for (const formatVersion of [2, 3] as const) {
    const add = (name: string, steps: Step[], partition: string[] = []) =>
      tables.push({ name: `${name}_v${formatVersion}`, formatVersion, partition, steps });
    for (const nesting of ['flat', 'struct', 'list', 'map', 'deep', 'full'] as const) {
      add(`types_${nesting}`, history(schemaOf(nesting), nesting === 'flat' ? 'repeated' : 'some', random));
      add(`types_${nesting}_and_time`, history(schemaOf(nesting, primitives), 'none', random));
    }
    for (const deletes of ['none', 'all'] as const)
      add(`deletes_${deletes}`, history(schemaOf('flat'), deletes, random));
    if (formatVersion === 3) {
      add('nanoseconds', history(schemaOf('flat', [{ kind: 'timestamp_ns' }]), 'some', random));
      add('zoned_nanoseconds', history(schemaOf('flat', [{ kind: 'timestamptz_ns' }]), 'some', random));
    }
    add('empty', [{ kind: 'snapshot', schema: schemaOf('flat'), rows: [] }]);
    for (const [transform, { kinds, print }] of Object.entries(transforms)) {
      const schema = schemaOf(
        'flat',
        ordinary.filter((type) => kinds.includes(type.kind)),
      );
      const partition = schema.fields.slice(1).map((field) => print(field.name));
      add(`partition_${transform}`, history(schema, 'some', random, 14), partition);
    }
    const fixed = schemaOf('flat', [{ kind: 'fixed', length: 5 }]);
    add('partition_fixed', history(fixed, 'some', random, 14), ['fixed_value']);
    add('partition_two', history(schemaOf('flat'), 'repeated', random), ['month(date_value)', 'bucket(4, id)']);
    add('partition_evolution', partitionEvolution(random), ['month(released)']);
    add('evolution', evolution(random));
    add('keyless', keyless(random));
    add('large', large(random));
  }
  return tables;
}
