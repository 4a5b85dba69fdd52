import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DailiesError } from '#catalog/error.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

const waiting = { timeout: 60_000, interval: 30 };

let setup: RuntimeSetup;
beforeEach(async () => {
  setup = await RuntimeSetup.open();
  setup.history.create('public.movie', movie);
  setup.history.create('public.deal', movie);
});
afterEach(() => setup[Symbol.asyncDispose]());

const put = (id: number, title: string, table = 'public.movie') => ({ table, put: [id, title] });
const row = (id: number, title: string) => ({ id, title });
const lands = (target: string, rows: unknown[]) =>
  vi.waitFor(async () => expect(await setup.rows(target)).toEqual(rows), waiting);

test('a table that leaves a pipeline and comes back, and a target that is left and taken again, miss nothing', async () => {
  setup.history.commit(put(1, 'one'), put(1, 'deal', 'public.deal'));
  await setup.start();
  await setup.addSource();
  const both = ['s.public.movie', 's.public.deal'];
  await setup.setPipeline('all', { from: both, table: 'w.{table}' });
  await lands('w.movie', [row(1, 'one')]);
  await lands('w.deal', [row(1, 'deal')]);

  await setup.setPipeline('all', { from: ['s.public.movie'], table: 'w.{table}' });
  setup.history.commit(put(2, 'two'), put(2, 'second', 'public.deal'));
  await lands('w.movie', [row(1, 'one'), row(2, 'two')]);
  await setup.setPipeline('all', { from: both, table: 'w.{table}' });
  await lands('w.deal', [row(1, 'deal'), row(2, 'second')]);

  await setup.setPipeline('all', { from: both, table: 'x.{table}' });
  setup.history.commit(put(3, 'three'));
  await lands('x.movie', [row(1, 'one'), row(2, 'two'), row(3, 'three')]);
  await setup.setPipeline('all', { from: both, table: 'w.{table}' });
  await lands('w.movie', [row(1, 'one'), row(2, 'two'), row(3, 'three')]);
  // Nothing of it needed the tables to be read again.
  expect(setup.history.snapshots).toBe(2);
});

test('a table that no change reached for long goes on where the log still reaches, also with other tables beside it', async () => {
  setup.history.commit(put(1, 'deal', 'public.deal'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await lands('w.deal', [row(1, 'deal')]);
  for (let id = 1; id <= 5; id++) setup.history.commit(put(id, `film ${id}`));
  await vi.waitFor(async () => expect(await setup.rows('w.movie')).toHaveLength(5), waiting);
  await setup.restart({ maxBytes: 1 });
  await setup.log.trim('s');
  await setup.setPipeline('all', { from: ['s.public.deal'], table: 'w.{table}' });
  setup.history.commit(put(2, 'second', 'public.deal'));
  await lands('w.deal', [row(1, 'deal'), row(2, 'second')]);
  expect(setup.history.snapshots).toBe(2);
});

test('after the log is lost the tables come again whole, also where the first try to land them fails', async () => {
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], table: 'w.movie' });
  for (let id = 1; id <= 20; id++) setup.history.commit(put(id, `film ${id}`));
  await vi.waitFor(async () => expect(await setup.rows('w.movie')).toHaveLength(20), waiting);
  await setup.stop();
  await setup.loseLog();
  setup.history.commit(...Array.from({ length: 19 }, (_, i) => ({ table: 'public.movie', remove: i + 1 })));
  setup.faults.failCommit = new DailiesError('commit_conflict', 'Somebody else committed.');
  await setup.start();
  await lands('w.movie', [row(20, 'film 20')]);
  setup.history.commit(put(21, 'film 21'));
  await lands('w.movie', [row(20, 'film 20'), row(21, 'film 21')]);
});
