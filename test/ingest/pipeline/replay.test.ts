import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { system } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import { replayPipeline } from '#catalog/services/pipeline/replay.ts';
import { readReplay } from '#catalog/services/pipeline/replay-record.ts';
import type { ProcessorModule } from '#ingest/processor.ts';
import { readTable, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

const waiting = { timeout: 60_000, interval: 30 };
/** Rejects titles that begin with `bad` as long as the graph is said to be without them; throws where it is said to be down. */
const graph = { isMended: false, isBroken: false };
const config = z.strictObject({});
const enrich: ProcessorModule<typeof config> = {
  kind: 'processor',
  id: 'enrich-title',
  title: 'Enrich',
  summary: 'Puts what the graph says behind the title.',
  config,
  example: {},
  open: () => ({
    bind: async (input) => ({
      output: input,
      consumes: [],
      apply: async (changes) => {
        if (graph.isBroken) throw new DailiesError('graphql_no_answer', 'The graph does not know movies.');
        const at = input.fields.findIndex(({ name }) => name === 'title');
        const isBad = (title: unknown) => !graph.isMended && String(title).startsWith('bad');
        const bad = changes.events.filter(({ after }) => after && isBad(after[at]));
        const error = new DailiesError('graphql_no_answer', 'The graph knows no such movie.').toJSON();
        const events = changes.events
          .filter((event) => !bad.includes(event))
          .map((event) => {
            const title = event.after?.[at];
            if (typeof title !== 'string' || !event.after) return event;
            return { ...event, after: event.after.with(at, `${title}${graph.isMended ? '!' : '?'}`) };
          });
        return { changes: { ...changes, events }, rejected: bad.map((event) => ({ event, error })) };
      },
    }),
    close: async () => {},
  }),
};

let setup: RuntimeSetup;
beforeEach(async () => {
  Object.assign(graph, { isMended: false, isBroken: false });
  setup = await RuntimeSetup.open([enrich]);
  setup.history.create('public.movie', movie);
});
afterEach(() => setup[Symbol.asyncDispose]());

const put = (id: number, title: string, table = 'public.movie') => ({ table, put: [id, title] });
const row = (id: number, title: string) => ({ id, title });
const lands = (target: string, rows: unknown[]) =>
  vi.waitFor(async () => expect(await setup.rows(target)).toEqual(rows), waiting);
const spec = { from: ['s.public.movie'], steps: [{ kind: 'enrich-title' }], table: 'w.{table}' };

async function ask(input: { from?: string; key?: string } = {}) {
  return replayPipeline({ state: setup.test.state, who: system }, 'all', input, {
    retained: (key) => setup.retained('all', key),
    now: () => new Date(),
  });
}

async function ends(state = 'done'): Promise<NonNullable<ReturnType<typeof readReplay>>> {
  const replay = await vi.waitFor(async () => {
    const record = readReplay((await setup.pipeline('all')).replay);
    expect(record?.state, setup.lines.join('\n')).toBe(state);
    return record;
  }, waiting);
  if (!replay) throw new Error('no replay');
  return replay;
}

test('what a step rejected or got wrong comes right, and every row stays as its newest change left it', async () => {
  setup.history.commit(put(1, 'one'), put(2, 'bad two'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', spec);
  await lands('w.movie', [row(1, 'one?')]);
  setup.history.commit(put(3, 'three'), put(4, 'bad four'));
  setup.history.commit(put(3, 'third'));
  setup.history.commit(put(5, 'five'));
  setup.history.commit({ table: 'public.movie', remove: 5 });
  await lands('w.movie', [row(1, 'one?'), row(3, 'third?')]);
  graph.isMended = true;
  await ask();
  await lands('w.movie', [row(1, 'one!'), row(2, 'bad two!'), row(3, 'third!'), row(4, 'bad four!')]);
  const { events } = await ends();
  expect(events).toBe(7);
  expect(await setup.test.state.deadLetter.count({ where: { resolvedAt: null } })).toBe(0);
  expect(setup.history.snapshots).toBe(1);
  setup.history.commit(put(6, 'six'));
  await vi.waitFor(async () => expect(await setup.rows('w.movie')).toHaveLength(5), waiting);
  for (const group of (await setup.log.groups('s')).keys()) expect(group).not.toContain('/replay/');
});

test('changes before the instant and of other keys stay as they are', async () => {
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', spec);
  await vi.waitFor(async () => expect(await setup.isLanded('w.movie')).toBe(true), waiting);
  setup.history.commit(put(1, 'one'));
  setup.history.commit(put(2, 'two'));
  await lands('w.movie', [row(1, 'one?'), row(2, 'two?')]);
  const landedMs = Date.now();
  await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(landedMs + 5), waiting);
  const from = new Date().toISOString();
  setup.history.commit(put(3, 'three'));
  setup.history.commit(put(4, 'four'));
  await lands('w.movie', [row(1, 'one?'), row(2, 'two?'), row(3, 'three?'), row(4, 'four?')]);
  graph.isMended = true;
  await ask({ from });
  await ends();
  await lands('w.movie', [row(1, 'one?'), row(2, 'two?'), row(3, 'three!'), row(4, 'four!')]);
  await ask({ key: '1' });
  await lands('w.movie', [row(1, 'one!'), row(2, 'two?'), row(3, 'three!'), row(4, 'four!')]);
  expect((await ends()).events).toBe(1);
  await ask({ key: '[2]' });
  await lands('w.movie', [row(1, 'one!'), row(2, 'two!'), row(3, 'three!'), row(4, 'four!')]);

  const oldest = (await setup.retained('all', null))[0]?.oldest ?? '';
  const before = new Date(Date.parse(oldest) - 1).toISOString();
  await expect(ask({ from: before })).rejects.toThrow(oldest);
  await expect(ask({ from: '2999-01-01T00:00:00Z' })).rejects.toThrow('has not come yet');
  await expect(ask({ from: '2026-01-01' })).rejects.toMatchObject({ code: 'invalid' });
  await expect(ask({ from: oldest })).resolves.toMatchObject({ from: oldest });
});

test('keys of several columns, with quotes, and a table without a key', async () => {
  const deal: Schema = {
    fields: [
      { name: 'title', type: { kind: 'string' }, required: true },
      { name: 'day', type: { kind: 'date' }, required: true },
    ],
    key: ['title', 'day'],
  };
  setup.history.create('public.deal', deal);
  setup.history.create('public.note', { ...movie, key: [] });
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { ...spec, from: ['s.public.deal', 's.public.note'], steps: [] });
  await vi.waitFor(async () => expect(await setup.isLanded('w.deal')).toBe(true), waiting);
  setup.history.commit({ table: 'public.deal', put: ['O\'Neil "x", 7', 20_000] });
  await vi.waitFor(async () => expect(await setup.rows('w.deal')).toHaveLength(1), waiting);
  await expect(ask({ key: 'x' })).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('title, day'),
  });
  const asked = await ask({ key: JSON.stringify(['O\'Neil "x", 7', '2024-10-04']) });
  expect(asked.leftOut).toEqual([{ table: 's.public.note', reason: expect.stringContaining('no key') }]);
  expect((await ends()).events).toBe(1);
  await ask({ key: JSON.stringify(['other', '2024-10-04']) });
  await vi.waitFor(async () => expect((await ends()).events).toBe(0), waiting);
  expect((await setup.pipeline('all')).state).toBe('running');
});

test('a replay that a step refuses is given up with its reason; the table and what comes stay right', async () => {
  setup.history.commit(put(1, 'one'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', spec);
  await lands('w.movie', [row(1, 'one?')]);
  graph.isBroken = true;
  await ask();
  const { error } = await ends('failed');
  expect(error?.message).toContain('The graph does not know movies');
  graph.isBroken = false;
  setup.history.commit(put(2, 'two'));
  await lands('w.movie', [row(1, 'one?'), row(2, 'two?')]);
  expect(await setup.pipeline('all')).toMatchObject({ state: 'running', lastError: null });
  await ask();
  await ends();
  await lands('w.movie', [row(1, 'one?'), row(2, 'two?')]);
});

test('a paused pipeline is replayed once it is resumed, a worker that was ended in between included', async () => {
  setup.history.commit(put(1, 'one'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', spec);
  await lands('w.movie', [row(1, 'one?')]);
  await setup.setDesired('all', 'paused');
  graph.isMended = true;
  expect(await ask()).toMatchObject({ waits: true });
  await setup.restart();
  expect(readReplay((await setup.pipeline('all')).replay)?.state).toBe('waiting');
  await setup.setDesired('all', 'running');
  await lands('w.movie', [row(1, 'one!')]);
  await ends();
});

test('older changes are given the shape that the table has by now', async () => {
  setup.history.commit(put(1, 'one'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', spec);
  await lands('w.movie', [row(1, 'one?')]);
  setup.history.commit(put(2, 'two'));
  await lands('w.movie', [row(1, 'one?'), row(2, 'two?')]);
  const wider: Schema = {
    ...movie,
    fields: [...movie.fields, { name: 'year', type: { kind: 'int' }, required: false }],
  };
  setup.history.alter('public.movie', wider, (old) => [...old, null]);
  setup.history.commit({ table: 'public.movie', put: [3, 'three', 1999] });
  setup.history.commit({ table: 'public.movie', put: [1, 'one', 1950] });
  await lands('w.movie', [
    { id: 1, title: 'one?', year: 1950 },
    expect.objectContaining({ id: 2, title: 'two?' }),
    { id: 3, title: 'three?', year: 1999 },
  ]);
  graph.isMended = true;
  await ask();
  await ends();
  const rows = await setup.rows('w.movie');
  expect(rows).toEqual([
    { id: 1, title: 'one!', year: 1950 },
    expect.objectContaining({ id: 2, title: 'two!' }),
    { id: 3, title: 'three!', year: 1999 },
  ]);
});

test.each([null, 2])(
  'an Iceberg table keeps its shape and its values, its snapshot in chunks of %s',
  async (chunkRows) => {
    setup.history.chunkRows = chunkRows;
    setup.history.commit(put(1, 'one'), put(2, 'two'), put(3, 'three'), put(4, 'four'));
    await setup.start();
    await setup.addSource();
    await setup.setPipeline('all', { ...spec, kind: 'iceberg' });
    const shows = (rows: Row[]) =>
      vi.waitFor(
        async () =>
          expect(sorted(await readTable(setup.catalog, 'w.movie')), setup.lines.join('\n')).toEqual(sorted(rows)),
        waiting,
      );
    await shows([
      [1, 'one?'],
      [2, 'two?'],
      [3, 'three?'],
      [4, 'four?'],
    ]);
    const wider: Schema = {
      ...movie,
      fields: [...movie.fields, { name: 'year', type: { kind: 'int' }, required: false }],
    };
    setup.history.commit({ table: 'public.movie', remove: 4 });
    setup.history.alter('public.movie', wider, (old) => [...old, 1900]);
    setup.history.commit(
      { table: 'public.movie', put: [1, 'first', 1950] },
      { table: 'public.movie', put: [5, 'bad five', 1955] },
    );
    await shows([
      [1, 'first?', 1950],
      [2, 'two?', null],
      [3, 'three?', null],
    ]);
    const ids = (await setup.catalog.load('w.movie'))?.metadata.schemas.at(-1)?.fields.map(({ id }) => id);
    graph.isMended = true;
    await ask();
    await ends();
    const [first, second, , fifth] = (await readTable(setup.catalog, 'w.movie')).toSorted(
      (a, b) => Number(a[0]) - Number(b[0]),
    );
    expect(first).toEqual([1, 'first!', 1950]);
    expect(second?.slice(0, 2)).toEqual([2, 'two!']);
    expect(fifth).toEqual([5, 'bad five!', 1955]);
    expect((await setup.catalog.load('w.movie'))?.metadata.schemas.at(-1)?.fields.map(({ id }) => id)).toEqual(ids);
    setup.history.commit({ table: 'public.movie', put: [6, 'six', 1966] });
    await vi.waitFor(async () => expect(await readTable(setup.catalog, 'w.movie')).toHaveLength(5), waiting);
    expect((await setup.pipeline('all')).lastError).toBeNull();
  },
);
