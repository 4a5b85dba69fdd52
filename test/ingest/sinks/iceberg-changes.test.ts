import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { Sink } from '#ingest/sink.ts';
import { LastRows } from '#ingest/sinks/last-rows.ts';
import { createWarehouse, schemaOf, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { type Change, changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

const source = 'production.public.movie';
const name = 'production.movie_changes';
const movie = schemaOf({ id: 'long', title: 'string', status: 'string' }, ['id']);

const open = (warehouse: TestWarehouse, formatVersion: 2 | 3 = 2) =>
  openSink(warehouse, { table: name, mode: 'changes', formatVersion });

async function append(sink: Sink, schema: Schema, changes: readonly Change[], offset: number): Promise<void> {
  await sink.write(changesOf(schema, changes), signal);
  await sink.commit(position(offset), signal);
}

/** Rows as JSON texts; `select` is over the table of changes, named `changes`. */
async function query(warehouse: TestWarehouse, select: string): Promise<unknown[]> {
  const location = await warehouse.catalog.locate(name);
  if (location === null) throw new Error(`no table ${name}`);
  const { sql } = await planScan(location);
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(`WITH changes AS (${sql}) ${select}`);
    return reader.getRowsJson();
  } finally {
    connection.closeSync();
  }
}

const story = 'SELECT id, title, status, op, before.status FROM changes ORDER BY change_number';

describe('a table of changes', () => {
  test('holds every change in order, also one after a restart, with what was before', async () => {
    await using warehouse = await createWarehouse();
    let sink = open(warehouse);
    const old: Row = [1n, 'Alpha', 'draft'];
    await snapshot(sink, movie, [old, [2n, 'Beta', 'draft']]);
    await sink.commit(position(1), signal);
    await append(
      sink,
      movie,
      [
        { op: 'c', after: [3n, 'Gamma', 'draft'] },
        { op: 'u', before: old, after: [1n, 'Alpha', 'shooting'] },
        { op: 'u', before: [1n, 'Alpha', 'shooting'], after: [1n, 'Alpha', 'released'] },
      ],
      2,
    );
    await sink.close();
    sink = open(warehouse);
    expect(await sink.writtenUpTo(source, signal)).toEqual(position(2));
    await append(sink, movie, [{ op: 'd', before: [2n, UNKNOWN, UNKNOWN] }, { op: 't' }], 3);
    await sink.close();

    expect(await query(warehouse, story)).toEqual([
      ['1', 'Alpha', 'draft', 'r', null],
      ['2', 'Beta', 'draft', 'r', null],
      ['3', 'Gamma', 'draft', 'c', null],
      ['1', 'Alpha', 'shooting', 'u', 'draft'],
      ['1', 'Alpha', 'released', 'u', 'shooting'],
      ['2', 'Beta', 'draft', 'd', 'draft'],
      [null, null, null, 't', null],
    ]);
    expect(
      await query(warehouse, "SELECT change_number, source_position, unknown_columns FROM changes WHERE op = 'd'"),
    ).toEqual([['6', '0/1', null]]);
  });

  test('does not take a value that nobody told for NULL', async () => {
    await using warehouse = await createWarehouse();
    const sink = open(warehouse);
    await append(sink, movie, [{ op: 'u', after: [1n, UNKNOWN, null] }], 1);
    await append(sink, movie, [{ op: 'u', before: [1n, UNKNOWN, 'draft'], after: [1n, 'Alpha', null] }], 2);
    await sink.close();
    const unknown = 'SELECT title, before, unknown_columns FROM changes ORDER BY change_number';
    expect(await query(warehouse, unknown)).toEqual([
      [null, null, ['title', 'before']],
      ['Alpha', { id: '1', title: null, status: 'draft' }, ['before.title']],
    ]);
  });

  test.each([2, 3] as const)('knows the row before from its own history in format version %i', async (version) => {
    await using warehouse = await createWarehouse();
    const told = 'SELECT op, id, title, status, before, unknown_columns FROM changes ORDER BY change_number';
    const keyAlone = (id: bigint): Row => [id, UNKNOWN, UNKNOWN];
    let sink = open(warehouse, version);
    await snapshot(sink, movie, [
      [1n, 'Alpha', 'draft'],
      [2n, 'Beta', 'draft'],
    ]);
    // In the same commit as the snapshot, several of one row, and a row that comes back.
    await append(
      sink,
      movie,
      [
        { op: 'u', after: [1n, UNKNOWN, 'shooting'] },
        { op: 'u', after: [1n, 'Alpha 2', UNKNOWN] },
        { op: 'd', before: keyAlone(2n) },
        { op: 'c', after: [2n, 'Beta 2', 'draft'] },
      ],
      1,
    );
    await sink.close();
    sink = open(warehouse, version);
    // A change of the key, which leaves a value out, after a restart.
    await append(
      sink,
      movie,
      [
        { op: 'd', before: keyAlone(1n) },
        { op: 'c', after: [10n, UNKNOWN, 'wrapped'] },
      ],
      2,
    );
    await sink.close();
    const folders = (await readdir(warehouse.indexDir)).filter((folder) => folder.endsWith('-rows'));
    expect(folders).toHaveLength(1);
    await rm(join(warehouse.indexDir, folders[0] ?? ''), { recursive: true });
    sink = open(warehouse, version);
    await append(
      sink,
      movie,
      [
        { op: 'u', after: [10n, UNKNOWN, 'released'] },
        { op: 'd', before: keyAlone(2n) },
      ],
      3,
    );
    const wider = schemaOf({ id: 'long', status: 'string', title: 'string', year: 'int' }, ['id']);
    await append(sink, wider, [{ op: 'u', after: [10n, 'released', UNKNOWN, 1999] }], 4);
    await append(sink, wider, [{ op: 't' }, { op: 'u', after: [10n, 'lost', 'Alpha', 1999] }], 5);
    await sink.close();
    const row = (id: string, title: string, status: string) => ({ id, status, title, year: null });
    expect(await query(warehouse, told)).toEqual([
      ['r', '1', 'Alpha', 'draft', null, null],
      ['r', '2', 'Beta', 'draft', null, null],
      ['u', '1', 'Alpha', 'shooting', row('1', 'Alpha', 'draft'), null],
      ['u', '1', 'Alpha 2', 'shooting', row('1', 'Alpha', 'shooting'), null],
      ['d', '2', 'Beta', 'draft', row('2', 'Beta', 'draft'), null],
      ['c', '2', 'Beta 2', 'draft', null, null],
      ['d', '1', 'Alpha 2', 'shooting', row('1', 'Alpha 2', 'shooting'), null],
      ['c', '10', 'Alpha 2', 'wrapped', null, null],
      ['u', '10', 'Alpha 2', 'released', row('10', 'Alpha 2', 'wrapped'), null],
      ['d', '2', 'Beta 2', 'draft', row('2', 'Beta 2', 'draft'), null],
      ['u', '10', 'Alpha 2', 'released', row('10', 'Alpha 2', 'released'), null],
      ['t', null, null, null, null, null],
      ['u', '10', 'Alpha', 'lost', null, ['before']],
    ]);
  });

  test('does not take an older row for the last one where too many came in one commit', async () => {
    const rows = new LastRows(movie, { indexDir: '/none', ownColumns: 6, committed: async () => null, maxRows: 2 });
    const key = (name: string) => Buffer.from(name);
    rows.note(key('a'), [1n, 'a', null], 1n);
    rows.note(key('b'), [2n, 'b', null], 2n);
    expect(await rows.find(key('c'))).toBeNull();
    rows.note(key('a'), [1n, 'a 2', null], 3n);
    expect(await rows.find(key('a'))).toBe('unknown');
    expect(await rows.find(key('b'))).toEqual([2n, 'b', null]);
    await rows.settle(3n);
    expect(await rows.find(key('a'))).toBeNull();
  });

  test('keeps its history over a second snapshot; an unfinished one is void', async () => {
    await using warehouse = await createWarehouse();
    const sink = open(warehouse);
    await sink.beginSnapshot(source, movie, signal);
    await sink.write(changesOf(movie, [{ op: 'r', after: [9n, 'Void', 'draft'] }]), signal);
    expect(await sink.commit(position(1), signal)).toEqual([]);
    await snapshot(sink, movie, [[1n, 'Alpha', 'draft']]);
    await sink.commit(position(2), signal);
    await append(sink, movie, [{ op: 'd', before: [1n, 'Alpha', 'draft'] }], 3);
    await snapshot(sink, movie, [[2n, 'Beta', 'draft']]);
    const [commit] = await sink.commit(position(4), signal);
    expect(commit).toMatchObject({ table: source, rows: 3n });
    await sink.close();
    expect(await query(warehouse, story)).toEqual([
      ['1', 'Alpha', 'draft', 'r', null],
      ['1', 'Alpha', 'draft', 'd', 'draft'],
      ['2', 'Beta', 'draft', 'r', null],
    ]);
  });

  test('exists once the snapshot of an empty table is committed', async () => {
    await using warehouse = await createWarehouse();
    const sink = open(warehouse);
    await snapshot(sink, movie, []);
    await sink.commit(position(1), signal);
    await sink.close();
    expect(await warehouse.read(name)).toEqual([]);
  });

  test('follows added, dropped and widened columns, in `before` too, and loses nothing of dropped ones', async () => {
    await using warehouse = await createWarehouse();
    const sink = open(warehouse);
    const first = schemaOf({ id: 'int', title: 'string', status: 'string' }, ['id']);
    await append(sink, first, [{ op: 'd', before: [1, 'Alpha', 'draft'] }], 1);
    const second = schemaOf({ id: 'long', title: 'string', year: 'int' }, ['id']);
    await append(sink, second, [{ op: 'u', before: [2n, 'Beta', 1999], after: [2n, 'Beta', 2000] }], 2);
    await sink.close();
    expect(
      await query(
        warehouse,
        'SELECT id, status, year, before.id, before.status, before.year FROM changes ORDER BY change_number',
      ),
    ).toEqual([
      ['1', 'draft', null, '1', 'draft', null],
      ['2', null, 2000, '2', null, 1999],
    ]);
  });

  test('refuses a column that has one of its names, and a type that it cannot hold with the one before', async () => {
    await using warehouse = await createWarehouse();
    const sink = open(warehouse);
    const taken = schemaOf({ id: 'long', Op: 'string' }, ['id']);
    await expect(sink.write(changesOf(taken, []), signal)).rejects.toThrow(
      /"Op" of production.public.movie has a name that a table of changes has for itself.* Project it/,
    );
    await append(sink, movie, [{ op: 'c', after: [1n, 'Alpha', 'draft'] }], 1);
    const other = schemaOf({ id: 'long', title: 'string', status: 'date' }, ['id']);
    await expect(sink.write(changesOf(other, []), signal)).rejects.toMatchObject({
      code: 'schema_incompatible',
      message: expect.stringMatching(/"status" of production.public.movie changed its type from string to date/),
    });
    await sink.close();
  });

  test('is never replaced by rows, nor appended to a table of rows', async () => {
    await using warehouse = await createWarehouse();
    let sink = open(warehouse);
    await append(sink, movie, [{ op: 'c', after: [1n, 'Alpha', 'draft'] }], 1);
    await sink.close();
    sink = openSink(warehouse, { table: name });
    await expect(sink.writtenUpTo(source, signal)).rejects.toThrow(/movie_changes holds the changes of a table/);
    await sink.close();
    sink = openSink(warehouse, { table: 'production.movie' });
    await append(sink, movie, [{ op: 'c', after: [1n, 'Alpha', 'draft'] }], 1);
    await sink.close();
    sink = openSink(warehouse, { table: 'production.movie', mode: 'changes' });
    await expect(sink.writtenUpTo(source, signal)).rejects.toThrow(/production.movie holds rows, not changes/);
    await sink.close();
  });
});
