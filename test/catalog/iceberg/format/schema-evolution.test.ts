import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type IcebergSchema, nestedFields, sameIcebergSchema } from '#catalog/iceberg/metadata/iceberg-schema.ts';
import { followSchema, mappedIds, nameMappingOf } from '#catalog/iceberg/metadata/name-mapping.ts';
import { carriedColumns, fromIcebergSchema, schemaProperties } from '#catalog/iceberg/metadata/schema-conversion.ts';
import {
  createIcebergSchema,
  evolveIcebergSchema,
  replaceIcebergSchema,
} from '#catalog/iceberg/metadata/schema-evolution.ts';
import type { Field, FieldType, Schema } from '#catalog/schemas/schema.ts';
import { allOptional, edits, idsOf, nested, SchemaHistory } from './schema-history.ts';
import { seedFor } from './typed-values.ts';

test('fields keep their ids through any history of changes, at any depth, and no id is used twice', () => {
  fc.assert(
    fc.property(
      fc.array(nested, { minLength: 1, maxLength: 4 }),
      fc.array(fc.array(edits, { minLength: 1, maxLength: 3 }), { maxLength: 8 }),
      (types, changes) => {
        const history = new SchemaHistory(types);
        let state = createIcebergSchema(history.schema());
        const idOfToken = new Map<number, number>();
        const seen = new Set<number>();
        const check = (before: ReadonlySet<number>) => {
          const ids = idsOf(state.schema);
          expect([...ids.keys()].sort()).toEqual([...history.tokens().keys()].sort());
          for (const [path, token] of history.tokens()) {
            const id = ids.get(path);
            const known = idOfToken.get(token);
            if (known === undefined) expect([path, before.has(id ?? 0)]).toEqual([path, false]);
            else expect([path, id]).toEqual([path, known]);
            idOfToken.set(token, id ?? 0);
          }
          const all = [...nestedFields(state.schema.fields)].map((field) => field.id);
          expect(new Set(all).size).toBe(all.length);
          expect(Math.max(...all)).toBeLessThanOrEqual(state.lastColumnId);
          for (const id of all) seen.add(id);
          const read = fromIcebergSchema(state.schema, {});
          expect(read.fields.map(({ name, type }) => [name, allOptional(type)])).toEqual(
            history.schema().fields.map(({ name, type }) => [name, allOptional(type)]),
          );
        };
        check(new Set());
        for (const change of changes) {
          const before = new Set(seen);
          const renames = history.change(change);
          state = evolveIcebergSchema(state, history.schema(), { renames });
          check(before);
          const again = evolveIcebergSchema(state, fromIcebergSchema(state.schema, {}));
          expect(sameIcebergSchema(again.schema, state.schema)).toBe(true);
        }
      },
    ),
    { seed: seedFor('schema evolution'), numRuns: 300 },
  );
});

function schemaOf(fields: Record<string, FieldType | [FieldType, Partial<Field>]>, key: string[] = []): Schema {
  return {
    fields: Object.entries(fields).map(([name, part]) => {
      const [type, more] = Array.isArray(part) ? part : [part, {}];
      return { name, type, required: key.includes(name), ...more };
    }),
    key,
  };
}

const int: FieldType = { kind: 'int' };
const text: FieldType = { kind: 'string' };

test('a change that rows cannot follow is refused naming the nested column', () => {
  const address = (zip: FieldType): FieldType => ({
    kind: 'list',
    element: { kind: 'struct', fields: [{ name: 'zip', type: zip, required: false }] },
  });
  const state = createIcebergSchema(schemaOf({ address: address(text) }));
  expect(() => evolveIcebergSchema(state, schemaOf({ address: address(int) }))).toThrow(
    /Column "address\.element\.zip" changed its type from string to int/,
  );
  const map = (key: FieldType): FieldType => ({ kind: 'map', key, value: int });
  const keyed = createIcebergSchema(schemaOf({ counts: map(int) }));
  expect(() => evolveIcebergSchema(keyed, schemaOf({ counts: map({ kind: 'long' }) }))).toThrow(/"counts" changed/);
  const replaced = replaceIcebergSchema(keyed, schemaOf({ counts: map({ kind: 'long' }) }));
  expect(replaced.schema.fields[0]?.id).toBeGreaterThan(keyed.lastColumnId);
  expect(() => evolveIcebergSchema(state, schemaOf({}), { partitionSources: new Set([1]) })).toThrow(
    /"address" is gone, and the table is partitioned or sorted by it/,
  );
  expect(() =>
    evolveIcebergSchema(state, schemaOf({ place: address(text) }), { renames: [{ from: ['adress'], to: ['place'] }] }),
  ).toThrow(/rename of "adress" to "place" names a column that is not there/);
});

test('format 3 widens days to timestamps unless they partition the table, and has nanoseconds', () => {
  const day = createIcebergSchema(schemaOf({ at: { kind: 'date' } }));
  const next = schemaOf({ at: { kind: 'timestamp' } });
  expect(evolveIcebergSchema(day, next, { formatVersion: 3 }).schema.fields[0]?.type).toBe('timestamp');
  expect(() => evolveIcebergSchema(day, next)).toThrow(/changed its type/);
  const rules = { formatVersion: 3 as const, partitionSources: new Set([1]) };
  expect(() => evolveIcebergSchema(day, next, rules)).toThrow(/changed its type/);
  expect(() => createIcebergSchema(schemaOf({ at: { kind: 'timestamp_ns' } }))).toThrow(/format version 3/);
  expect(
    createIcebergSchema(schemaOf({ at: { kind: 'timestamp_ns' } }), { formatVersion: 3 }).schema.fields[0]?.type,
  ).toBe('timestamp_ns');
});

test('an added column has its default in format 3, where it may be required, and none in format 2', () => {
  const state = createIcebergSchema(schemaOf({ id: int }, ['id']));
  const next = schemaOf(
    {
      id: int,
      rank: [
        { kind: 'decimal', precision: 9, scale: 2 },
        { initialDefault: 1420n, required: true },
      ],
    },
    ['id'],
  );
  const third = evolveIcebergSchema(state, next, { formatVersion: 3 });
  expect(third.schema.fields[1]).toMatchObject({
    required: true,
    'initial-default': '14.20',
    'write-default': '14.20',
  });
  expect(fromIcebergSchema(third.schema, {}).fields[1]).toMatchObject({ initialDefault: 1420n });
  const second = evolveIcebergSchema(state, next);
  expect(second.schema.fields[1]).toEqual({ id: 2, name: 'rank', required: false, type: 'decimal(9, 2)' });
  // The default stays through later changes, and with the type.
  const day = schemaOf({ id: int, at: [{ kind: 'date' }, { initialDefault: 19_700 }] }, ['id']);
  const dated = evolveIcebergSchema(state, day, { formatVersion: 3 });
  const widened = evolveIcebergSchema(dated, schemaOf({ id: int, at: { kind: 'timestamp' } }, ['id']), {
    formatVersion: 3,
  });
  expect(fromIcebergSchema(widened.schema, {}).fields[1]).toMatchObject({
    type: { kind: 'timestamp' },
    initialDefault: 19_700n * 86_400_000_000n,
  });
});

test('a key is told by identifier fields where they can, else by a property, and a nested one is none of ours', () => {
  const keyed = createIcebergSchema(schemaOf({ id: int, part: { kind: 'double' } }, ['id', 'part']));
  expect(keyed.schema['identifier-field-ids']).toBeUndefined();
  const properties = schemaProperties(
    schemaOf({ id: int, part: { kind: 'double' } }, ['id', 'part']),
    keyed.schema,
    {},
  );
  expect(fromIcebergSchema(keyed.schema, properties).key).toEqual(['id', 'part']);
  const foreign: IcebergSchema = {
    type: 'struct',
    'schema-id': 0,
    'identifier-field-ids': [1, 3],
    fields: [
      { id: 1, name: 'id', required: true, type: 'int' },
      {
        id: 2,
        name: 'in',
        required: true,
        type: { type: 'struct', fields: [{ id: 3, name: 'x', required: true, type: 'int' }] },
      },
    ],
  };
  expect(fromIcebergSchema(foreign, {}).key).toEqual([]);
  for (const text of ['["id"', '{}', '[1]', 'id']) {
    expect(() => fromIcebergSchema(keyed.schema, { 'dailies.key': text })).toThrow(/property dailies\.key is not/);
  }
});

test('columns of types that we cannot carry are left out by name, the others are read', () => {
  const foreign: IcebergSchema = {
    type: 'struct',
    'schema-id': 0,
    fields: [
      { id: 1, name: 'id', required: true, type: 'int' },
      { id: 2, name: 'payload', required: false, type: 'variant' },
      {
        id: 3,
        name: 'places',
        required: false,
        type: { type: 'list', 'element-id': 4, element: 'geometry(OGC:CRS84)', 'element-required': false },
      },
      { id: 5, name: 'nothing', required: false, type: 'unknown' },
      { id: 6, name: 'vast', required: false, type: 'decimal(40, 2)' },
    ],
  };
  expect(() => fromIcebergSchema(foreign, {})).toThrow(/"payload" has the Iceberg type variant/);
  const carried = carriedColumns(foreign);
  expect(carried.leftOut).toEqual([
    { column: 'payload', type: 'variant' },
    { column: 'places', type: 'geometry(OGC:CRS84)' },
    { column: 'vast', type: 'decimal(40, 2)' },
  ]);
  expect(fromIcebergSchema(carried.schema, {}).fields.map((field) => field.name)).toEqual(['id', 'nothing']);
});

test('a name mapping keeps old names, gains new ones, and gives a taken name to its new owner', () => {
  const before = createIcebergSchema(
    schemaOf({
      id: int,
      title: text,
      edge: { kind: 'struct', fields: [{ name: 'land', type: text, required: false }] },
    }),
  );
  const mapping = followSchema([], before.schema);
  const next = schemaOf({
    id: int,
    name: text,
    title: int,
    edge: { kind: 'struct', fields: [{ name: 'country', type: text, required: false }] },
  });
  const renames = [
    { from: ['title'], to: ['name'] },
    { from: ['edge', 'land'], to: ['edge', 'country'] },
  ];
  const after = evolveIcebergSchema(before, next, { renames });
  const properties = schemaProperties(next, after.schema, { 'schema.name-mapping.default': JSON.stringify(mapping) });
  const ids = mappedIds(nameMappingOf(properties) ?? []);
  expect(Object.fromEntries(ids)).toEqual({
    id: 1,
    name: 2,
    title: 5,
    edge: 3,
    'edge\0land': 4,
    'edge\0country': 4,
  });
  expect(() => nameMappingOf({ 'schema.name-mapping.default': '{' })).toThrow(/not a name mapping/);
});
