import { describe, expect, test } from 'vitest';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { createWarehouse, schemaOf, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

const movie = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);
const name = 'production.movie';

describe('a table with a key', () => {
  test('exists once its snapshot is committed, an empty one too', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse);
    await sink.beginSnapshot('production.public.movie', movie, signal);
    expect(await sink.commit(position(1), signal)).toEqual([]);
    expect(await warehouse.catalog.list()).toEqual([]);
    await sink.endSnapshot('production.public.movie', signal);
    const [commit] = await sink.commit(position(2), signal);
    expect(commit).toMatchObject({ table: 'production.public.movie', rows: 0n });
    expect(await warehouse.catalog.list()).toEqual([name]);
    expect(await warehouse.read(name)).toEqual([]);
    expect(await sink.writtenUpTo('production.public.movie', signal)).toEqual(position(2));
    await sink.close();
  });

  test('has columns of any name but one, which is refused', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse);
    const odd = schemaOf({ id: 'long', filename: 'string', 'a"b': 'string' }, ['id']);
    await snapshot(sink, odd, [
      [1n, 'a', 'x'],
      [2n, 'b', 'y'],
    ]);
    await sink.commit(position(1), signal);
    await sink.write(
      changesOf(odd, [
        { op: 'u', after: [1n, 'c', UNKNOWN] },
        { op: 'd', before: [2n, UNKNOWN, UNKNOWN] },
      ]),
      signal,
    );
    await sink.commit(position(2), signal);
    expect(await warehouse.read(name)).toEqual([[1n, 'c', 'x']]);
    const refused = schemaOf({ id: 'long', file_row_number: 'string' }, ['id']);
    await expect(sink.write(changesOf(refused, []), signal)).rejects.toThrow(/"file_row_number" of production/);
    await sink.close();
  });

  test('follows inserts, updates, deletes, key changes and truncates, the position with them', async () => {
    await using warehouse = await createWarehouse();
    let sink = openSink(warehouse);
    await snapshot(sink, movie, [
      [1n, 'Alpha', 'a'],
      [2n, 'Beta', 'b'],
      [3n, 'Gamma', null],
    ]);
    await sink.commit(position(1), signal);
    await sink.write(
      changesOf(movie, [
        { op: 'u', after: [1n, 'Alpha 2', UNKNOWN] },
        { op: 'u', after: [1n, 'Alpha 3', UNKNOWN] },
        { op: 'd', before: [2n, UNKNOWN, UNKNOWN] },
        { op: 'c', after: [4n, 'Delta', 'd'] },
        { op: 'd', before: [3n, UNKNOWN, UNKNOWN] },
        { op: 'u', after: [4n, 'Delta', UNKNOWN] },
      ]),
      signal,
    );
    const [commit] = await sink.commit(position(2), signal);
    expect(commit?.rows).toBe(2n);
    await sink.close();
    const expected: Row[] = [
      [1n, 'Alpha 3', 'a'],
      [4n, 'Delta', 'd'],
    ];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));

    sink = openSink(warehouse);
    expect(await sink.writtenUpTo('production.public.movie', signal)).toEqual(position(2));
    // A key change is a delete and an insert, which keeps the value that the event left out.
    await sink.write(
      changesOf(movie, [
        { op: 'd', before: [1n, UNKNOWN, UNKNOWN] },
        { op: 'c', after: [10n, 'Alpha', UNKNOWN] },
        { op: 'u', after: [4n, 'Delta 2', UNKNOWN] },
      ]),
      signal,
    );
    await sink.commit(position(3), signal);
    expect(sorted(await warehouse.read(name))).toEqual(
      sorted([
        [10n, 'Alpha', 'a'],
        [4n, 'Delta 2', 'd'],
      ]),
    );
    await sink.write(changesOf(movie, [{ op: 't' }, { op: 'c', after: [5n, 'Epsilon', 'e'] }]), signal);
    await sink.commit(position(4), signal);
    expect(await warehouse.read(name)).toEqual([[5n, 'Epsilon', 'e']]);
    await sink.write(changesOf(movie, [{ op: 't' }]), signal);
    await sink.commit(position(5), signal);
    expect(await warehouse.read(name)).toEqual([]);
    await sink.close();
  });
});
