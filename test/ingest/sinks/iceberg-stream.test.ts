import { describe, expect, test } from 'vitest';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { createWarehouse, schemaOf, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

/* What a source's stream may bring within one commit, in both formats. */
const name = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);
const unknown = UNKNOWN as never;
const film = (id: number, title = `Film ${id}`): Row => [BigInt(id), title, `plot ${id}`];

describe.each([2, 3] as const)('within one commit of format %i', (formatVersion) => {
  test('a change of the schema keeps what came before and after it', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse, { formatVersion });
    await snapshot(sink, movie, [film(1), film(2), film(3)]);
    await sink.commit(position(1), signal);
    const wider = schemaOf({ id: 'long', title: 'string', plot: 'string', minutes: 'int' }, ['id']);
    const narrower = schemaOf({ id: 'long', title: 'string', minutes: 'int' }, ['id']);
    await sink.write(changesOf(movie, [{ op: 'u', after: [1n, 'Before', unknown] }]), signal);
    await sink.write(
      changesOf(wider, [
        { op: 'u', after: [2n, 'Between', unknown, 90] },
        { op: 'c', after: [4n, 'New', 'plot 4', 100] },
      ]),
      signal,
    );
    await sink.write(
      changesOf(narrower, [
        { op: 'u', after: [4n, 'New and changed', 101] },
        { op: 'd', before: [3n, unknown, unknown] },
      ]),
      signal,
    );
    await sink.commit(position(2), signal);
    await sink.write(changesOf(narrower, [{ op: 'u', after: [1n, 'After', 1] }]), signal);
    await sink.commit(position(3), signal);
    await sink.close();
    const expected: Row[] = [
      [1n, 'After', 1],
      [2n, 'Between', 90],
      [4n, 'New and changed', 101],
    ];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
  });

  test('rows read again from the source overlap with its changes and are no doubles', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse, { formatVersion });
    await snapshot(sink, movie, [film(1), film(2)]);
    await sink.commit(position(1), signal);
    await sink.write(
      changesOf(movie, [
        { op: 'c', after: film(3) },
        { op: 'r', after: film(3) },
        { op: 'r', after: film(1, 'Read again') },
        { op: 'u', after: film(2, 'Changed') },
        { op: 'r', after: film(2, 'Changed') },
        { op: 'd', before: [3n, unknown, unknown] },
        { op: 'r', after: film(4) },
        { op: 'u', after: [4n, 'Changed', unknown] },
      ]),
      signal,
    );
    const [commit] = await sink.commit(position(2), signal);
    await sink.close();
    expect(commit?.rows).toBe(3n);
    const expected = [film(1, 'Read again'), film(2, 'Changed'), film(4, 'Changed')];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
  });

  test('rows without a key are matched whole, doubles counted', async () => {
    await using warehouse = await createWarehouse();
    const log = schemaOf({ line: 'string', size: 'double' });
    const sink = openSink(warehouse, { formatVersion });
    const same: Row = ['same', Number.NaN];
    await snapshot(sink, log, [same, same, same, ['other', null]]);
    await sink.commit(position(1), signal);
    await sink.write(
      changesOf(log, [
        { op: 'd', before: same },
        { op: 'c', after: ['new', 1] },
        { op: 'u', before: ['new', 1], after: ['newer', unknown] },
        { op: 'u', before: ['other', null], after: ['other', 2] },
        // Where the source does not tell the whole old row, nothing can be matched.
        { op: 'd', before: [unknown, null] },
      ]),
      signal,
    );
    await sink.commit(position(2), signal);
    await sink.write(changesOf(log, [{ op: 'd', before: same }]), signal);
    await sink.commit(position(3), signal);
    await sink.close();
    const expected: Row[] = [same, ['newer', 1], ['other', 2]];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
  });
});
