import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Row } from '#catalog/schemas/schema.ts';
import { filter } from '#ingest/processors/filter.ts';
import { project } from '#ingest/processors/project.ts';
import { readTable, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

/* What a table shows while its rows come anew through other steps: each key once, as the old steps or the new ones have it. */
const waiting = { timeout: 60_000, interval: 30 };
const target = 'w.movie';
const shape = {
  ...movie,
  fields: [...movie.fields, { name: 'note', type: { kind: 'string' } as const, required: false }],
};
const through = (where: string, fields: (string | object)[]) => ({
  from: ['s.public.movie'],
  steps: [
    { kind: 'filter', where },
    { kind: 'project', fields, evolve: false },
  ],
  table: 'w.{table}',
  kind: 'iceberg' as const,
});

let setup: RuntimeSetup;
beforeEach(async () => {
  setup = await RuntimeSetup.open([filter, project]);
  setup.history.create('public.movie', shape);
  setup.history.chunkRows = 2;
});
afterEach(() => setup[Symbol.asyncDispose]());

const put = (id: number, title: string, note: string | null = null) => ({
  table: 'public.movie',
  put: [id, title, note],
});
const shows = (rows: Row[]) =>
  vi.waitFor(
    async () => expect(sorted(await readTable(setup.catalog, target)), setup.lines.join('\n')).toEqual(sorted(rows)),
    waiting,
  );
const allow = (chunks: number) => {
  setup.history.chunksAllowed = chunks;
  setup.history.wake();
};
/** Waits until it is read. */
const allowOne = async () => {
  const read = setup.history.chunks.length + 1;
  allow(1);
  await vi.waitFor(() => expect(setup.history.chunks).toHaveLength(read), waiting);
};

test('chunks take the place of old rows key by key, changes at once, and what the new steps leave out is gone at the end', async () => {
  setup.history.commit(put(1, 'a'), put(2, 'b'), put(3, 'draft'), put(4, 'd'), put(5, 'e'), put(6, 'f'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('films', through("title <> 'draft'", ['id', 'title']));
  await shows([
    [1, 'a'],
    [2, 'b'],
    [4, 'd'],
    [5, 'e'],
    [6, 'f'],
  ]);

  allow(0);
  await setup.setPipeline(
    'films',
    through("title = 'draft' OR id < 3 OR id > 4", ['id', { path: 'title', as: 'title' }, 'note']),
  );
  await vi.waitFor(() => expect(setup.history.snapshots).toBe(2), waiting);
  setup.history.commit(put(2, 'b2', 'touched'));
  // Not yet read anew: 1, 4, 5, 6 as the old steps left them, without what those did not have.
  await shows([
    [1, 'a', null],
    [2, 'b2', 'touched'],
    [4, 'd', null],
    [5, 'e', null],
    [6, 'f', null],
  ]);
  await allowOne();
  setup.history.commit(put(6, 'f2', 'touched'));
  await shows([
    [1, 'a', null],
    [2, 'b2', 'touched'],
    [4, 'd', null],
    [5, 'e', null],
    [6, 'f2', 'touched'],
  ]);
  await allowOne();
  await shows([
    [1, 'a', null],
    [2, 'b2', 'touched'],
    [3, 'draft', null],
    [4, 'd', null],
    [5, 'e', null],
    [6, 'f2', 'touched'],
  ]);
  // A change that the new steps leave out takes the old row at once.
  setup.history.commit(put(4, 'd2'));
  await shows([
    [1, 'a', null],
    [2, 'b2', 'touched'],
    [3, 'draft', null],
    [5, 'e', null],
    [6, 'f2', 'touched'],
  ]);
  allow(Number.POSITIVE_INFINITY);
  await vi.waitFor(async () => {
    const { state } = await setup.test.state.sourceTable.findFirstOrThrow({ where: { name: 'public.movie' } });
    expect(state).toBe('running');
  }, waiting);
  await shows([
    [1, 'a', null],
    [2, 'b2', 'touched'],
    [3, 'draft', null],
    [5, 'e', null],
    [6, 'f2', 'touched'],
  ]);
});

test('rows that the new steps leave out and that nothing touches stay until the end, and go with it', async () => {
  setup.history.commit(put(1, 'a'), put(2, 'b'), put(3, 'c'), put(4, 'd'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('films', through('id > 0', ['id', 'title']));
  await shows([
    [1, 'a'],
    [2, 'b'],
    [3, 'c'],
    [4, 'd'],
  ]);
  allow(0);
  await setup.setPipeline('films', through('id > 2', ['id', 'title']));
  await vi.waitFor(() => expect(setup.history.snapshots).toBe(2), waiting);
  await allowOne();
  expect(setup.history.chunks).toHaveLength(3);
  setup.history.commit(put(4, 'd2'));
  await shows([
    [1, 'a'],
    [2, 'b'],
    [3, 'c'],
    [4, 'd2'],
  ]);
  allow(Number.POSITIVE_INFINITY);
  await shows([
    [3, 'c'],
    [4, 'd2'],
  ]);
});

test('a table without a key is replaced as a whole', async () => {
  setup.history.create('public.movie', { ...shape, key: [] });
  setup.history.commit(put(1, 'a'), put(2, 'b'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('films', through('id > 0', ['id', 'title']));
  await shows([
    [1, 'a'],
    [2, 'b'],
  ]);
  const seen = new Set<string>();
  const watching = new AbortController();
  const watched = (async () => {
    while (!watching.signal.aborted) seen.add(sorted(await readTable(setup.catalog, target)).join());
  })();
  await setup.setPipeline('films', through('id > 1', ['id', 'title', 'note']));
  await shows([[2, 'b', null]]);
  watching.abort();
  await watched;
  expect(
    [...seen].every(
      (rows) =>
        rows ===
          sorted([
            [1, 'a'],
            [2, 'b'],
          ]).join() || rows === sorted([[2, 'b', null]]).join(),
    ),
    [...seen].join(' / '),
  ).toBe(true);
});
