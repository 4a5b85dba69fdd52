import { describe, expect, test } from 'vitest';
import { encodeLong } from '#catalog/iceberg/manifests/bounds.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { column, ForeignTable, runRows } from './foreign-table.ts';

const ids = '{id: 1, name: 2}';
const plain = () => [column(1, 'id', 'long'), column(2, 'name', 'string')];
const rows = (names: Record<number, string | null>) =>
  Object.entries(names).map(([id, name]) => `{"id":${id},"name":${JSON.stringify(name)}}`);

describe('position deletes', () => {
  test('of several data files in one, some of them large, apply to files no newer', async () => {
    await using table = await ForeignTable.create(plain());
    const large = await table.file("SELECT range AS id, 'x' AS name FROM range(60000)", ids);
    const small = await table.file("SELECT range + 100000 AS id, 'y' AS name FROM range(3)", ids);
    const clean = await table.file("SELECT 200000 AS id, 'z' AS name", ids);
    await table.commit([large, small, clean]);
    const deletes = [...Array.from({ length: 59_998 }, (_, row) => [large, row] as const), [small, 1] as const];
    await table.commit([await table.positionDeletes(deletes)]);
    expect(await table.read()).toEqual(rows({ 59998: 'x', 59999: 'x', 100000: 'y', 100002: 'y', 200000: 'z' }).sort());
    await table.commit([
      await table.positionDeletes([
        [small, 0],
        [large, 59_999],
      ]),
    ]);
    expect(await table.read()).toEqual(rows({ 59998: 'x', 100002: 'y', 200000: 'z' }).sort());
    expect(await table.read({ snapshotId: 1000n })).toHaveLength(60_004);
  });

  test('written as Avro are refused by name', async () => {
    await using table = await ForeignTable.create(plain());
    const data = await table.file("SELECT 1 AS id, 'a' AS name", ids);
    await table.commit([data, await table.positionDeletes([[data, 0]], { format: 'avro' })]);
    await expect(table.read()).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('format avro'),
    });
  });
});

describe('equality deletes', () => {
  test('delete older rows with equal values, NULL being equal to NULL', async () => {
    await using table = await ForeignTable.create(plain());
    const first = await table.file("SELECT * FROM (VALUES (1, 'a'), (2, NULL), (3, 'c'), (4, 'd')) t(id, name)", ids);
    await table.commit([first]);
    const deletes = await table.file("SELECT * FROM (VALUES (NULL), ('c')) t(name)", '{name: 2}', {
      content: 'equality-deletes',
      equalityIds: [2],
    });
    const newer = await table.file("SELECT 5 AS id, 'c' AS name", ids);
    await table.commit([deletes, newer]);
    expect(await table.read()).toEqual(rows({ 1: 'a', 4: 'd', 5: 'c' }));
    const pairs = await table.file("SELECT * FROM (VALUES (5, 'c'), (4, 'x')) t(id, name)", ids, {
      content: 'equality-deletes',
      equalityIds: [1, 2],
    });
    await table.commit([pairs, await table.positionDeletes([[first, 0]])]);
    expect(await table.read()).toEqual(rows({ 4: 'd' }));
    expect(await table.read({ snapshotId: 2000n })).toEqual(rows({ 1: 'a', 4: 'd', 5: 'c' }));
  });

  test('of a partition apply to it alone, of an unpartitioned spec to all', async () => {
    await using table = await ForeignTable.create(plain(), {
      spec: [{ 'source-id': 2, 'field-id': 1000, name: 'name', transform: 'identity' }],
    });
    await table.change({
      'partition-specs': [...table.metadata['partition-specs'], { 'spec-id': 1, fields: [] }],
    });
    const file = (name: string) =>
      table.file(`SELECT * FROM (VALUES (1, '${name}'), (2, '${name}'), (3, '${name}')) t(id, name)`, ids, {
        partition: [name],
      });
    await table.commit([await file('a'), await file('b')]);
    const deletes = (id: number, specId: number, partition: string[]) =>
      table.file(`SELECT ${id} AS id`, '{id: 1}', { content: 'equality-deletes', equalityIds: [1], specId, partition });
    await table.commit([await deletes(1, 0, ['a']), await deletes(3, 1, [])]);
    expect(await table.read()).toEqual(['{"id":1,"name":"b"}', '{"id":2,"name":"a"}', '{"id":2,"name":"b"}']);
  });

  test('may compare a column that was dropped, or a field of a struct', async () => {
    const who = (name: string) => column(3, 'who', { type: 'struct', fields: [column(4, name, 'string')] });
    await using table = await ForeignTable.create([...plain(), who('given')]);
    const all = '{id: 1, name: 2, who: {__duckdb_field_id: 3, given: 4}}';
    const data = await table.file(
      "SELECT * FROM (VALUES (1, 'a', {'given': 'Ana'}), (2, 'b', {'given': 'Ben'}), (3, 'c', NULL)) t(id, name, who)",
      all,
    );
    await table.commit([data]);
    const dropped = await table.file("SELECT 'a' AS name", '{name: 2}', {
      content: 'equality-deletes',
      equalityIds: [2],
    });
    await table.evolve([column(1, 'id', 'long'), who('first')]);
    const nested = await table.file("SELECT {'first': 'Ben'} AS who", '{who: {__duckdb_field_id: 3, first: 4}}', {
      content: 'equality-deletes',
      equalityIds: [4],
    });
    await table.commit([dropped, nested]);
    expect(await table.read()).toEqual(['{"id":3,"who":null}']);
  });
});

describe('columns are matched by field id', () => {
  test('at any depth: renamed, reordered, added, dropped and added under an old name', async () => {
    const person = (base: number, first: string, isNew: boolean) => ({
      type: 'struct' as const,
      fields: [
        ...(isNew ? [column(base + 3, 'given', 'string')] : []),
        column(base + 1, first, 'string'),
        column(base + 2, 'age', isNew ? 'long' : 'int'),
      ],
    });
    const columns = (first: string, isNew: boolean) => [
      column(1, 'id', 'long'),
      column(2, 'who', person(10, first, isNew)),
      column(3, 'crew', {
        type: 'list',
        'element-id': 30,
        element: person(30, first, isNew),
        'element-required': false,
      }),
      column(4, 'roles', {
        type: 'map',
        'key-id': 40,
        key: 'string',
        'value-id': 50,
        value: person(50, first, isNew),
        'value-required': false,
      }),
    ];
    await using table = await ForeignTable.create(columns('given', false));
    const struct = (id: number, base: number, first: string) =>
      `{__duckdb_field_id: ${id}, ${first}: ${base + 1}, age: ${base + 2}}`;
    const fieldIds = (first: string) =>
      `{id: 1, who: ${struct(2, 10, first)}, crew: {__duckdb_field_id: 3, element: ${struct(30, 30, first)}}, roles: {__duckdb_field_id: 4, key: 40, value: ${struct(50, 50, first)}}}`;
    const select = (id: number, given: string, name: string) =>
      `SELECT ${id} AS id, {'${given}': '${name}', 'age': 30} AS who, [{'${given}': '${name}', 'age': 31}, NULL] AS crew, MAP {'lead': {'${given}': '${name}', 'age': 32}} AS roles`;
    await table.commit([
      await table.file(select(1, 'given', 'Ana'), fieldIds('given')),
      await table.file(
        `SELECT 2::BIGINT AS id, NULL::STRUCT(given VARCHAR, age INTEGER) AS who, NULL::STRUCT(given VARCHAR, age INTEGER)[] AS crew, NULL::MAP(VARCHAR, STRUCT(given VARCHAR, age INTEGER)) AS roles`,
        fieldIds('given'),
      ),
    ]);
    // `given` is a new field now, the old one is called `first`, and ages are long.
    await table.evolve(columns('first', true));
    await table.commit([await table.file(select(3, 'first', 'Cy'), fieldIds('first'))]);
    const item = (name: string, age: number) => ({ given: null, first: name, age });
    const row = (id: number, name: string) => ({
      id,
      who: item(name, 30),
      crew: [item(name, 31), null],
      roles: { lead: item(name, 32) },
    });
    expect((await table.read()).map((text) => JSON.parse(text))).toEqual([
      row(1, 'Ana'),
      { id: 2, who: null, crew: null, roles: null },
      row(3, 'Cy'),
    ]);
  });

  test('in files without ids, by the name mapping; what the partition tells need not be in the file', async () => {
    const mapping = [
      { 'field-id': 1, names: ['id', 'number'] },
      { 'field-id': 2, names: ['name'] },
      { 'field-id': 3, names: ['who'], fields: [{ 'field-id': 4, names: ['given', 'first'] }] },
    ];
    await using table = await ForeignTable.create(
      [...plain(), column(3, 'who', { type: 'struct', fields: [column(4, 'first', 'string')] })],
      {
        properties: { 'schema.name-mapping.default': JSON.stringify(mapping) },
        spec: [{ 'source-id': 2, 'field-id': 1000, name: 'name', transform: 'identity' }],
      },
    );
    const old = await table.file("SELECT 1 AS number, {'given': 'Ana'} AS who, 'other' AS stray", null, {
      partition: ['old'],
    });
    const own = await table.file(
      "SELECT 2 AS id, 'own' AS name, {'first': 'Ben'} AS who",
      '{id: 1, name: 2, who: {__duckdb_field_id: 3, first: 4}}',
      { partition: ['own'] },
    );
    await table.commit([old, own]);
    await table.commit([await table.positionDeletes([[own, 0]], { partition: ['own'] })]);
    expect(await table.read({ snapshotId: 1000n })).toEqual([
      '{"id":1,"name":"old","who":{"first":"Ana"}}',
      '{"id":2,"name":"own","who":{"first":"Ben"}}',
    ]);
    expect(await table.read()).toEqual(['{"id":1,"name":"old","who":{"first":"Ana"}}']);
  });

  test('that files lack have their initial default, nested ones too', async () => {
    await using table = await ForeignTable.create(
      [column(1, 'id', 'long'), column(2, 'who', { type: 'struct', fields: [column(3, 'first', 'string')] })],
      { formatVersion: 3 },
    );
    await table.commit([
      await table.file("SELECT 1 AS id, {'first': 'Ana'} AS who", '{id: 1, who: {__duckdb_field_id: 2, first: 3}}'),
    ]);
    await table.evolve([
      column(1, 'id', 'long'),
      column(2, 'who', {
        type: 'struct',
        fields: [column(3, 'first', 'string'), column(4, 'age', 'int', { 'initial-default': 7 })],
      }),
      column(5, 'budget', 'decimal(9, 2)', { 'initial-default': '12.50' }),
      column(6, 'since', 'timestamptz', { 'initial-default': '2026-01-02T03:04:05.000006+00:00' }),
      column(7, 'title', 'string', { 'initial-default': "it's" }),
    ]);
    await table.commit([]);
    expect(await table.read()).toEqual([
      `{"id":1,"who":{"first":"Ana","age":7},"budget":12.5,"since":"2026-01-02 03:04:05.000006+00","title":"it's"}`,
    ]);
  });

  test('whatever they are called, as DuckDB’s own columns too', async () => {
    await using table = await ForeignTable.create([
      column(1, 'file_row_number', 'long'),
      column(2, 'filename', 'string'),
      column(3, 'r', 'int'),
      column(4, 'c1', 'int'),
    ]);
    const data = await table.file(
      "SELECT range + 10 AS file_row_number, 'f' AS filename, 1 AS r, 2 AS c1 FROM range(3)",
      '{file_row_number: 1, filename: 2, r: 3, c1: 4}',
    );
    await table.commit([data, await table.positionDeletes([[data, 1]])]);
    expect(await table.read()).toEqual([
      '{"file_row_number":10,"filename":"f","r":1,"c1":2}',
      '{"file_row_number":12,"filename":"f","r":1,"c1":2}',
    ]);
  });
});

test('a data file in ORC is refused by name', async () => {
  await using table = await ForeignTable.create(plain());
  const data = await table.file("SELECT 1 AS id, 'a' AS name", ids, {
    format: 'orc',
    lowerBounds: new Map([[1, encodeLong(1n)]]),
  });
  await table.commit([data]);
  await expect(table.read()).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining(data.location),
  });
});

test('rows of format 3 have their ids and sequence numbers when asked, their own where they were moved', async () => {
  await using table = await ForeignTable.create(plain(), { formatVersion: 3 });
  const fresh = await table.file("SELECT range AS id, 'a' AS name FROM range(3)", ids, { firstRowId: 100n });
  await table.commit([fresh]);
  const moved = await table.file(
    "SELECT 9 AS id, 'b' AS name, 42::BIGINT AS _row_id, NULL::BIGINT AS _last_updated_sequence_number",
    '{id: 1, name: 2, _row_id: 2147483540, _last_updated_sequence_number: 2147483539}',
    { firstRowId: 200n },
  );
  await table.commit([moved]);
  await table.commit([await table.positionDeletes([[fresh, 1]])]);
  const { sql } = await planScan(table.metadataLocation, undefined, { hasLineage: true });
  expect(await runRows(sql)).toEqual([
    '{"id":0,"name":"a","_row_id":100,"_last_updated_sequence_number":1}',
    '{"id":2,"name":"a","_row_id":102,"_last_updated_sequence_number":1}',
    '{"id":9,"name":"b","_row_id":42,"_last_updated_sequence_number":2}',
  ]);
  expect(await table.read()).toHaveLength(3);
});
