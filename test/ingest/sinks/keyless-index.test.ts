import { expect, test } from 'vitest';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import { createWarehouse, schemaOf, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { type Change, changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

/*
 * Rows of a table without a key that come in the commit which also empties its index: of a table that had none, or was
 * truncated. They are found when a later commit removes them.
 */
const target = 'production.movie';
const narrow = schemaOf({ id: 'long', title: 'string' }, []);
const wide = schemaOf({ id: 'long', title: 'string', n: 'int' }, []);

async function begin(sink: ReturnType<typeof openSink>, rows: Row[]): Promise<void> {
  await snapshot(sink, narrow, rows);
  await sink.commit(position(1), signal);
}

const insert = (...after: Row): Change => ({ op: 'c', after });
const remove = (...before: Row): Change => ({ op: 'd', before });

test.each<[string, Row[], [Schema, Change[]][], Row[]]>([
  [
    'a row that is changed behind a column that was added',
    [],
    [
      [narrow, [insert(1n, 'one')]],
      [wide, []],
      [wide, [remove(1n, 'one', null), insert(1n, 'changed', 1), insert(2n, 'two', 2)]],
    ],
    [[1n, 'changed', 1]],
  ],
  [
    'rows that come after a truncation behind a removal',
    [
      [1n, 'one'],
      [2n, 'two'],
    ],
    [
      [narrow, [remove(1n, 'one')]],
      [wide, []],
      [wide, [remove(2n, 'two', null), { op: 't' }, insert(3n, 'three', 3), insert(4n, 'four', 4)]],
      [wide, [remove(4n, 'four', 4)]],
    ],
    [[3n, 'three', 3]],
  ],
])('%s', async (_, rows, steps, later) => {
  await using warehouse = await createWarehouse();
  let sink = openSink(warehouse);
  await begin(sink, rows);
  for (const [schema, changes] of steps) await sink.write(changesOf(schema, changes), signal);
  await sink.commit(position(2), signal);
  const before = await warehouse.read(target);
  for (const isAnew of [false, true]) {
    if (isAnew) {
      await sink.close();
      sink = openSink(warehouse);
    }
    const [row = []] = isAnew ? await warehouse.read(target) : later;
    await sink.write(changesOf(wide, [remove(...row)]), signal);
    await sink.commit(position(isAnew ? 4 : 3), signal);
    const left = await warehouse.read(target);
    expect(left).toHaveLength(before.length - (isAnew ? Math.min(2, before.length) : 1));
    expect(sorted(left)).not.toContain(sorted([row])[0]);
  }
  await sink.close();
});
