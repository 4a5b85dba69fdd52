import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { snapshotSource } from '#catalog/services/source/snapshot.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

const waiting = { timeout: 60_000, interval: 30 };

let setup: RuntimeSetup;
beforeEach(async () => {
  setup = await RuntimeSetup.open();
  setup.history.chunkRows = 2;
  setup.history.create('public.movie', movie);
});
afterEach(() => setup[Symbol.asyncDispose]());

const put = (id: number, title: string, table = 'public.movie') => ({ table, put: [id, title] });
const remove = (id: number, table = 'public.movie') => ({ table, remove: id });
const row = (id: number, title: string) => ({ id, title });
const lands = (target: string, rows: unknown[]) =>
  vi.waitFor(async () => expect(await setup.rows(target)).toEqual(rows), waiting);
const table = (name = 'public.movie') =>
  setup.test.state.sourceTable.findUniqueOrThrow({ where: { sourceName_name: { sourceName: 's', name } } });
const isDone = (name?: string) =>
  vi.waitFor(async () => expect(await table(name)).toMatchObject({ state: 'running', snapshot: null }), waiting);
function allow(chunks: number): void {
  setup.history.chunksAllowed = chunks;
  setup.history.wake();
}
/** Hands out these chunks and waits until they are durable. */
async function hand(chunks: number): Promise<void> {
  const read = setup.history.chunks.length + chunks;
  allow(chunks);
  await vi.waitFor(() => expect(setup.history.chunks).toHaveLength(read), waiting);
  const last = setup.history.chunks.at(-1);
  await vi.waitFor(async () => {
    const progress = await setup.log.snapshotProgress('s', `s.${last?.table}`);
    const [after] = JSON.parse(progress?.chunk?.cursor ?? '[""]') as [string];
    expect(after > (last?.after ?? '')).toBe(true);
  }, waiting);
}

const films = (count: number) => Array.from({ length: count }, (_, i) => put(i + 1, `film ${i + 1}`));

test('changes stand between the chunks, and a snapshot goes on after its last durable chunk', async () => {
  setup.history.commit(...films(9));
  setup.history.chunksAllowed = 0;
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await hand(2);
  await lands(
    'w.movie',
    [1, 2, 3, 4].map((id) => row(id, `film ${id}`)),
  );
  await vi.waitFor(async () => {
    const { state, snapshot } = await table();
    expect(state).toBe('snapshotting');
    expect(snapshot).toMatchObject({ rows: 4, estimatedRows: 9 });
    expect(await setup.pipeline('all')).toMatchObject({ state: 'snapshotting' });
  }, waiting);

  setup.history.commit(put(1, 'changed'), remove(2), put(8, 'ahead of its chunk'), remove(9));
  await vi.waitFor(async () => expect(await setup.rows('w.movie')).toContainEqual(row(1, 'changed')), waiting);
  await setup.restart();
  await hand(1);
  await setup.restart();
  allow(100);
  await isDone();
  const rest = [3, 4, 5, 6, 7].map((id) => row(id, `film ${id}`));
  await lands('w.movie', [row(1, 'changed'), ...rest, row(8, 'ahead of its chunk')]);
  // Each chunk was read once.
  const begins = setup.history.chunks.map(({ after }) => after);
  expect(begins).toEqual([...new Set(begins)]);
  expect(setup.history.snapshots).toBe(1);
  expect(await table()).toMatchObject({ generation: 1, rows: 8n });
  await vi.waitFor(async () => expect(await setup.pipeline('all')).toMatchObject({ state: 'running' }), waiting);
});

test('rows that nothing tells of any more are gone with the end of a new snapshot, and not before', async () => {
  setup.history.commit(...films(5));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await isDone();
  await lands(
    'w.movie',
    [1, 2, 3, 4, 5].map((id) => row(id, `film ${id}`)),
  );
  // A log that is lost takes with it that row 4 is gone.
  await setup.stop();
  await setup.loseLog();
  setup.history.commit(remove(4), put(5, 'changed'));
  setup.history.chunksAllowed = 0;
  await setup.start();
  await hand(1);
  setup.history.commit(put(3, 'told by the stream'));
  await vi.waitFor(
    async () => expect(await setup.rows('w.movie')).toContainEqual(row(3, 'told by the stream')),
    waiting,
  );
  expect(await setup.rows('w.movie')).toContainEqual(row(4, 'film 4'));
  allow(100);
  await isDone();
  await lands('w.movie', [row(1, 'film 1'), row(2, 'film 2'), row(3, 'told by the stream'), row(5, 'changed')]);
});

test('a table that comes to a running source, and one that is wished again, stop no other', async () => {
  setup.history.commit(...films(8));
  setup.history.chunksAllowed = 0;
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await hand(2);
  setup.history.create('public.late', movie);
  setup.history.commit(put(1, 'late', 'public.late'), put(1, 'changed'));
  // Found by the next look at the source's tables, or by its next start.
  await setup.restart();
  allow(2);
  await lands('w.late', [row(1, 'late')]);
  // Another snapshot of the table whose own is under way is taken once that has ended.
  const scope = { state: setup.test.state, who: system };
  expect(await snapshotSource(scope, 's', 'public.movie', () => true)).toEqual(['public.movie']);
  allow(100);
  await vi.waitFor(async () => expect(await table()).toMatchObject({ state: 'running' }), waiting);
  await isDone();
  expect((await table()).generation).toBeGreaterThan(1);
  await lands('w.movie', [row(1, 'changed'), ...[2, 3, 4, 5, 6, 7, 8].map((id) => row(id, `film ${id}`))]);
  const read = setup.history.chunks.filter(({ table: name }) => name === 'public.movie').map(({ after }) => after);
  // The one under way was finished, then the wished one was read from the start.
  expect(read.filter((after) => after === null)).toHaveLength(2);
  expect(read).toHaveLength(8);
});

test('a pipeline that comes while a snapshot is under way has the whole table, as does one that comes after', async () => {
  setup.history.commit(...films(7));
  setup.history.chunksAllowed = 0;
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await hand(2);
  setup.history.commit(put(2, 'changed'), remove(1));
  await setup.setPipeline('second', { from: ['s.public.movie'], table: 'w2.{table}' });
  await vi.waitFor(async () => expect(await setup.rows('w2.movie')).toContainEqual(row(2, 'changed')), waiting);
  allow(100);
  await isDone();
  await setup.setPipeline('third', { from: ['s.public.movie'], table: 'w3.{table}' });
  const rows = [row(2, 'changed'), ...[3, 4, 5, 6, 7].map((id) => row(id, `film ${id}`))];
  for (const target of ['w.movie', 'w2.movie', 'w3.movie']) await lands(target, rows);
  expect(setup.history.snapshots).toBe(1);
});

test('where the log no longer holds the begin of the snapshot under way, a pipeline that comes waits for the next', async () => {
  setup.history.commit(...films(6));
  setup.history.chunksAllowed = 0;
  await setup.start({ maxBytes: 1 });
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await hand(1);
  await lands('w.movie', [row(1, 'film 1'), row(2, 'film 2')]);
  // Its records go once every pipeline has passed them.
  await setup.restart({ maxBytes: 1 });
  await hand(1);
  await vi.waitFor(async () => {
    await setup.log.trim('s');
    expect(await setup.log.snapshotOf('s', 's.public.movie')).toBeNull();
  }, waiting);
  await setup.setPipeline('second', { from: ['s.public.movie'], table: 'w2.{table}' });
  await vi.waitFor(async () => expect((await table()).generation).toBe(2), waiting);
  allow(100);
  const rows = [1, 2, 3, 4, 5, 6].map((id) => row(id, `film ${id}`));
  await lands('w2.movie', rows);
  await isDone();
  await lands('w.movie', rows);
});
