import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { known, readAll, recordings } from './topics.ts';

const recorded = ['postgres-json-schemas', 'postgres-avro', 'postgres-json', 'postgres-connect', 'postgres-text'];

describe.each(recorded)('%s', (recording) => {
  const isTyped = recording !== 'postgres-json';
  const int = (value: number) => (isTyped ? value : BigInt(value));

  test('a key change is a delete and a create, a delete knows its key, tombstones add nothing', async () => {
    const follower = await readAll(path.join(recordings, recording));
    const later = follower.eventsOf('matrix').filter(({ event }) => event.op !== 'r');
    expect(later.map(({ event }) => event.op)).toEqual(['d', 'c', 'd']);
    const [moved, created, gone] = later;
    expect(moved && known(moved, moved.event.before)).toEqual({ id: int(2) });
    expect(created && known(created, created.event.after)).toMatchObject({ id: int(6) });
    expect(gone && known(gone, gone.event.before)).toEqual({ id: int(5) });
  });

  test('a table without a key: whole old rows, all in one piece up to where the topic ended', async () => {
    const follower = await readAll(path.join(recordings, recording));
    expect(follower.eventsOf('bag').map(({ event }) => event.op)).toEqual(['r', 'r', 'u', 'u', 'd']);
    const [, , update, , removed] = follower.eventsOf('bag');
    expect(update && [known(update, update.event.before), known(update, update.event.after)]).toEqual([
      { a: int(1), b: 'x' },
      { a: int(1), b: 'y' },
    ]);
    expect(removed && known(removed, removed.event.before)).toEqual({ a: int(1), b: 'y' });
    const batches = follower.batches.filter(({ items }) =>
      items.some((item) => 'table' in item && item.table.endsWith('.bag')),
    );
    expect(batches.at(0)?.isComplete).toBe(false);
  });

  test('a new shape comes with its first row; a truncation empties the table', async () => {
    const follower = await readAll(path.join(recordings, recording));
    expect(follower.rowsOf('odd NAME')).toHaveLength(1);
    expect(follower.eventsOf('odd NAME').map(({ event }) => event.op)).toEqual(['r', 't', 'c']);
    const shapes = follower.eventsOf('toast').map(({ fields }) => fields.join());
    // Without types nobody tells that a column is gone.
    if (isTyped) expect(shapes.at(-1)).toBe('id,t,ta,ia,y,h,j,z');
    expect(shapes.at(-1)).toContain('z');
    expect(follower.rowsOf('last')).toHaveLength(3);
  });

  test('only tables are found: heartbeats, transactions and messages are none, and nothing is lacking', async () => {
    const { source } = await readAll(path.join(recordings, recording));
    const { signal } = new AbortController();
    expect(await source.check(signal)).toEqual([]);
    const tables = (await source.discover(signal)).map(({ name }) => name);
    expect(tables).toEqual(['public.bag', 'public.last', 'public.matrix', 'public.odd NAME', 'public.toast']);
  });
});

test('of MariaDB old rows are whole, the topic of schema changes is no table, transactions bear their GTID', async () => {
  for (const recording of ['mariadb-json-schemas', 'mariadb-avro']) {
    const follower = await readAll(path.join(recordings, recording));
    const update = follower.eventsOf('matrix').find(({ event }) => event.op === 'u');
    expect(update && known(update, update.event.before)).toMatchObject({ id: 2n, v: null });
    expect(update && known(update, update.event.after)).toMatchObject({ id: 2n, v: 'changed' });
    expect(update?.changes.transactions[update.event.tx]?.id).toMatch(/^0-1-\d+$/);
    expect(follower.rowsOf('matrix').map(({ id, z }) => [id, z])).toEqual([
      [18446744073709551615n, undefined],
      [4n, 5],
    ]);
    const { signal } = new AbortController();
    const tables = (await follower.source.discover(signal)).map(({ name }) => name);
    expect(tables).toEqual(['studio.bag', 'studio.last', 'studio.matrix']);
    const shape = follower.eventsOf('matrix').at(-1)?.changes.schema;
    expect(shape?.fields.find(({ name }) => name === 'z')).toMatchObject({ initialDefault: 4, required: false });
  }
});
