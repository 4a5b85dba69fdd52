import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { readTable, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { rejectBad } from './reject-bad.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

/*
 * A row that is changed and comes under another key in one transaction, before the target has it as its source told: what
 * the second change leaves out is not in the target, for the row under the old key could not be read again either.
 */
const waiting = { timeout: 60_000, interval: 30 };

let setup: RuntimeSetup;
beforeEach(async () => {
  setup = await RuntimeSetup.open([rejectBad]);
  const plot = { name: 'plot', type: { kind: 'string' }, required: false } as const;
  setup.history.create('public.movie', { fields: [...movie.fields, plot], key: ['id'] });
  setup.history.tellsBefore = false;
});
afterEach(() => setup[Symbol.asyncDispose]());

const put = (...values: Row) => ({ table: 'public.movie', put: values });
const move = (id: number, ...values: Row) => ({ table: 'public.movie', remove: id, put: values });
const remove = (id: number) => ({ table: 'public.movie', remove: id });

async function start(steps: { kind: string }[] = []): Promise<void> {
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], steps, table: 'w.movie', kind: 'iceberg' });
}

async function lands(rows: readonly Row[]): Promise<void> {
  await vi.waitFor(async () => {
    expect((await setup.pipeline('all')).lastError).toBeNull();
    expect(sorted(await readTable(setup.catalog, 'w.movie'))).toEqual(sorted(rows));
  }, waiting);
}

test('of rows whose chunk is yet to come', async () => {
  setup.history.chunkRows = 1;
  setup.history.chunksAllowed = 1;
  setup.history.commit(...[1, 2, 3, 4, 5].map((id) => put(id, `film ${id}`, `plot ${id}`)));
  await start();
  await vi.waitFor(() => expect(setup.history.chunks).toHaveLength(1), waiting);
  setup.history.commit(
    put(2, 'changed', UNKNOWN),
    move(2, -2, 'moved', UNKNOWN),
    put(3, 'changed', UNKNOWN),
    move(3, -3, 'moved', UNKNOWN),
    put(-3, 'changed again', UNKNOWN),
    move(-3, -33, 'moved again', UNKNOWN),
    put(4, 'changed', UNKNOWN),
    put(4, 'changed again', UNKNOWN),
    remove(4),
    put(1, 'one', UNKNOWN),
    move(1, -1, 'one moved', UNKNOWN),
  );
  setup.history.chunksAllowed = 100;
  setup.history.wake();
  await lands([
    [-33, 'moved again', 'plot 3'],
    [-2, 'moved', 'plot 2'],
    [-1, 'one moved', 'plot 1'],
    [5, 'film 5', 'plot 5'],
  ]);
});

test('of rows whose last change was rejected, in the same transaction or before', async () => {
  setup.history.commit(...[1, 2, 3].map((id) => put(id, `film ${id}`, `plot ${id}`)), put(4, 'bad one', 'plot 4'));
  await start([{ kind: 'reject-bad' }]);
  await lands([1, 2, 3].map((id) => [id, `film ${id}`, `plot ${id}`]));
  setup.history.commit(
    put(1, 'bad', 'other 1'),
    move(1, -1, 'moved', UNKNOWN),
    move(-1, -11, 'moved again', UNKNOWN),
    put(2, 'bad', 'other 2'),
  );
  setup.history.commit(move(2, -2, 'moved', UNKNOWN));
  setup.history.commit(move(4, -4, 'moved', UNKNOWN), put(3, 'last', UNKNOWN));
  await lands([
    [-11, 'moved again', 'other 1'],
    [-4, 'moved', 'plot 4'],
    [-2, 'moved', 'other 2'],
    [3, 'last', 'plot 3'],
  ]);
  // They are resolved once what resolves them has landed.
  const open = () => setup.test.state.deadLetter.count({ where: { resolvedAt: null } });
  await vi.waitFor(async () => expect(await open()).toBe(0), waiting);
});
