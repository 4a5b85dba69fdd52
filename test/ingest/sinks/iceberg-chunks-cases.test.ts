import { describe, expect, test } from 'vitest';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { Sink } from '#ingest/sink.ts';
import { printedRows, readWithPyIceberg } from '#test/catalog/iceberg/pyiceberg.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type Change, changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';
import { snapshotFile } from './snapshot-file.ts';

const table = 'production.public.movie';
const target = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);
const unknown = UNKNOWN as never;
const film = (id: number, title = `Film ${id}`, plot = `Plot ${id}`): Row => [BigInt(id), title, plot];

async function chunk(sink: Sink, rows: readonly Row[]): Promise<void> {
  const parquet = await snapshotFile(movie, rows);
  if (await sink.writeFile?.({ table, schema: movie, rows: rows.length, parquet }, signal)) return;
  const changes = rows.map((after): Change => ({ op: 'r', after }));
  await sink.write(changesOf(movie, changes), signal);
}

test('an update that leaves a value out of a row from before the snapshot has it read again', async () => {
  await using warehouse = await createWarehouse();
  const sink = openSink(warehouse);
  await snapshot(sink, movie, [film(1), film(2)]);
  await sink.commit(position(1), signal);
  await sink.beginChunks(table, movie, 2, signal);
  await sink.commit(position(2), signal);
  const update = (id: number): Change => ({ op: 'u', after: [BigInt(id), 'changed', unknown] });
  const moved: Change[] = [
    { op: 'd', before: [2n, unknown, unknown] },
    { op: 'c', after: [20n, 'moved', unknown] },
  ];
  expect(await sink.lacking(changesOf(movie, [update(1), update(1), update(7), ...moved]), signal)).toEqual([0, 2, 4]);
  await chunk(sink, [film(1), film(2)]);
  expect(await sink.lacking(changesOf(movie, [update(1), update(7), ...moved]), signal)).toEqual([1]);
  await sink.write(changesOf(movie, [update(1), ...moved]), signal);
  await sink.endSnapshot(table, signal);
  await sink.commit(position(3), signal);
  expect(sorted(await warehouse.read(target))).toEqual(sorted([film(1, 'changed'), film(20, 'moved', 'Plot 2')]));
  await sink.close();
});

test('a column whose type cannot follow is empty in rows from before until the snapshot ends', async () => {
  await using warehouse = await createWarehouse();
  let sink = openSink(warehouse);
  await snapshot(sink, movie, [film(1), film(2)]);
  await sink.commit(position(1), signal);
  const numbered = schemaOf({ id: 'long', title: 'int', plot: 'string' }, ['id']);
  await sink.beginChunks(table, numbered, 2, signal);
  await sink.write(changesOf(numbered, [{ op: 'r', after: [1n, 11, 'Plot 1'] }]), signal);
  await sink.commit(position(2), signal);
  expect(sorted(await warehouse.read(target))).toEqual(
    sorted([
      [1n, 11, 'Plot 1'],
      [2n, null, 'Plot 2'],
    ]),
  );
  await sink.close();
  sink = openSink(warehouse);
  expect(await sink.chunkedGeneration(table, signal)).toBe(2);
  await sink.endSnapshot(table, signal);
  await sink.commit(position(3), signal);
  expect(await warehouse.read(target)).toEqual([[1n, 11, 'Plot 1']]);
  expect(await sink.chunkedGeneration(table, signal)).toBeNull();
  await sink.close();
});

test('a snapshot that replaces the table takes the place of one in chunks, whose table was not seen', async () => {
  await using warehouse = await createWarehouse();
  const sink = openSink(warehouse);
  await sink.beginChunks(table, movie, 1, signal);
  await chunk(sink, [film(1)]);
  await sink.commit(position(1), signal);
  expect(await warehouse.catalog.list()).toEqual([]);
  expect(await warehouse.catalog.list(undefined, 'all')).toEqual([target]);
  await snapshot(sink, movie, [film(2)]);
  await sink.commit(position(2), signal);
  expect(await warehouse.catalog.list()).toEqual([target]);
  expect(await warehouse.read(target)).toEqual([film(2)]);
  await sink.close();
});

test('what a table was before its first snapshot had ended is no state of it', async () => {
  await using warehouse = await createWarehouse();
  let nowMs = Date.now();
  const sink = openSink(warehouse, { now: () => new Date(nowMs) });
  await sink.beginChunks(table, movie, 1, signal);
  await chunk(sink, [film(1)]);
  await sink.commit(position(1), signal);
  const during = nowMs;
  nowMs += 60_000;
  await chunk(sink, [film(2)]);
  await sink.endSnapshot(table, signal);
  await sink.commit(position(2), signal);
  await expect(warehouse.read(target, { timeMs: during })).rejects.toThrow(
    `The oldest state of the table that is kept is of ${new Date(nowMs).toISOString()}`,
  );
  expect(sorted(await warehouse.read(target, { timeMs: nowMs }))).toEqual(sorted([film(1), film(2)]));
  await sink.close();
});

test('rows without a key do not come in chunks', async () => {
  await using warehouse = await createWarehouse();
  const sink = openSink(warehouse);
  const line = schemaOf({ line: 'string' });
  await expect(sink.beginChunks(table, line, 1, signal)).rejects.toMatchObject({ code: 'source_protocol' });
  await sink.close();
});

describe('a table of changes', () => {
  const rowsOf = async (warehouse: TestWarehouse) =>
    (await warehouse.read(target))
      .sort((a, b) => Number((a[7] as bigint) - (b[7] as bigint)))
      .map((row) => ({ id: row[0], title: row[1], plot: row[2], op: row[3], before: row[4], unknown: row[8] }));

  test('has the rows of chunks between its changes, and is seen from the end of its first snapshot on', async () => {
    await using warehouse = await createWarehouse();
    let sink = openSink(warehouse, { mode: 'changes' });
    await sink.beginChunks(table, movie, 1, signal);
    await chunk(sink, [film(1)]);
    await sink.write(changesOf(movie, [{ op: 'u', after: [1n, 'changed', unknown] }]), signal);
    await sink.commit(position(1), signal);
    expect(await warehouse.catalog.locate(target)).toBeNull();
    await sink.close();
    sink = openSink(warehouse, { mode: 'changes' });
    await chunk(sink, [film(2)]);
    await sink.endSnapshot(table, signal);
    await sink.commit(position(2), signal);
    expect(await rowsOf(warehouse)).toMatchObject([
      { id: 1n, op: 'r', plot: 'Plot 1', unknown: null },
      { id: 1n, op: 'u', title: 'changed', plot: 'Plot 1', before: film(1), unknown: null },
      { id: 2n, op: 'r' },
    ]);
    await sink.close();
  });

  test('completes no row from what was told before the snapshot under way, also after a crash', async () => {
    await using warehouse = await createWarehouse();
    let sink = openSink(warehouse, { mode: 'changes' });
    await snapshot(sink, movie, [film(1), film(2)]);
    await sink.commit(position(1), signal);
    await sink.beginChunks(table, movie, 2, signal);
    await sink.commit(position(2), signal);
    await sink.close();
    sink = openSink(warehouse, { mode: 'changes' });
    await sink.write(changesOf(movie, [{ op: 'u', after: [1n, 'changed', unknown] }]), signal);
    await chunk(sink, [film(2, 'told again', 'new plot')]);
    await sink.write(changesOf(movie, [{ op: 'u', after: [2n, 'changed', unknown] }]), signal);
    await sink.endSnapshot(table, signal);
    await sink.commit(position(3), signal);
    expect((await rowsOf(warehouse)).slice(2)).toMatchObject([
      { id: 1n, op: 'u', plot: null, before: null, unknown: ['plot', 'before'] },
      { id: 2n, op: 'r', plot: 'new plot' },
      { id: 2n, op: 'u', plot: 'new plot', before: film(2, 'told again', 'new plot'), unknown: null },
    ]);
    await sink.close();
  });
});

describeWith('pyiceberg', 'PyIceberg through the REST catalog', () => {
  test.each([2, 3] as const)(
    'finds a table of format %i once its snapshot has ended, and again after another',
    async (formatVersion) => {
      await using warehouse = await createWarehouse();
      const sink = openSink(warehouse, { formatVersion });
      await sink.beginChunks(table, movie, 1, signal);
      await chunk(sink, [film(1), film(2), film(3)]);
      await sink.commit(position(1), signal);
      await expect(readWithPyIceberg(warehouse.catalog, target)).rejects.toThrow('NoSuchTableError');
      await sink.write(changesOf(movie, [{ op: 'u', after: film(2, 'changed') }]), signal);
      await sink.endSnapshot(table, signal);
      await sink.commit(position(2), signal);
      const printed = (rows: Row[]) =>
        printedRows(movie, rows)
          .map((row) => JSON.stringify(row))
          .sort();
      const read = async () => {
        const { rows } = await readWithPyIceberg(warehouse.catalog, target);
        return rows.map((row) => JSON.stringify(row)).sort();
      };
      expect(await read()).toEqual(printed([film(1), film(2, 'changed'), film(3)]));
      await sink.beginChunks(table, movie, 2, signal);
      await chunk(sink, [film(1), film(2, 'again')]);
      await sink.commit(position(3), signal);
      expect(await read()).toEqual(printed([film(1), film(2, 'again'), film(3)]));
      await sink.endSnapshot(table, signal);
      await sink.commit(position(4), signal);
      expect(await read()).toEqual(printed([film(1), film(2, 'again')]));
      await sink.close();
    },
  );
});
