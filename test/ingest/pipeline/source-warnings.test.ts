import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import { getHome } from '#catalog/services/home/get.ts';
import { listSources } from '#catalog/services/source/list.ts';
import { resumeSource } from '#catalog/services/source/resume.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

const waiting = { timeout: 60_000, interval: 30 };
const behind = { code: 'slot_behind', message: '700 MB are kept, 324 MB are left.' };

let setup: RuntimeSetup;
beforeEach(async () => {
  setup = await RuntimeSetup.open();
  setup.history.create('public.movie', movie);
  setup.history.commit({ table: 'public.movie', put: [1, 'one'] });
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], table: 'w.movie' });
  await vi.waitFor(async () => expect(await setup.isLanded('w.movie')).toBe(true), waiting);
});
afterEach(() => setup[Symbol.asyncDispose]());

const scope = () => ({ state: setup.test.state, who: system });
const source = async () => (await listSources(scope()))[0];
const told = (word: string) => setup.lines.filter((line) => line.includes(word)).length;
const warned = (warnings: unknown[]) =>
  vi.waitFor(async () => expect((await source())?.warnings).toEqual(warnings), waiting);

test('a warning is kept with its beginning while it holds, over restarts, and told once when it begins and ends', async () => {
  setup.history.warnings = [behind];
  await warned([{ ...behind, since: expect.any(Date) }]);
  const since = (await source())?.warnings[0]?.since;
  setup.history.warnings = [{ ...behind, message: '800 MB are kept, 224 MB are left.' }];
  await warned([{ code: 'slot_behind', message: '800 MB are kept, 224 MB are left.', since }]);
  await setup.restart();
  await setup.setDesired('all', 'paused');
  const late = { code: 'other', message: 'Something else.' };
  setup.history.warnings = [{ ...behind, message: '900 MB are kept, 124 MB are left.' }, late];
  await warned([
    { code: 'slot_behind', message: '900 MB are kept, 124 MB are left.', since },
    { ...late, since: expect.any(Date) },
  ]);
  const { problems, isFresh } = await getHome(scope(), new Date());
  expect(isFresh).toBe(false);
  expect(problems).toMatchObject([
    { kind: 'source', name: 's', hasFailed: false, error: { code: 'slot_behind' } },
    { kind: 'source', name: 's', hasFailed: false, error: { code: 'other' } },
  ]);
  setup.history.warnings = [];
  await warned([]);
  await vi.waitFor(() => expect(told(' is over')).toBe(2), waiting);
  expect(told('warning: ')).toBe(2);
  expect(told('slot_behind is over')).toBe(1);
  expect((await source())?.state).toBe('running');
});

test('a source that has failed is asked, too, and to be warned is not to be resumed', async () => {
  setup.history.failNext = new DailiesError('source_refused', 'The password is wrong.');
  await vi.waitFor(async () => expect((await source())?.state).toBe('failed'), waiting);
  setup.history.warnings = [behind];
  await warned([{ ...behind, since: expect.any(Date) }]);
  setup.history.warnings = [{ ...behind, message: 'more' }];
  await warned([{ ...behind, message: 'more', since: expect.any(Date) }]);
  expect((await source())?.state).toBe('failed');
  await resumeSource(scope(), 's');
  await vi.waitFor(async () => expect((await source())?.state).toBe('running'), waiting);
});

test('a lost place is answered by reading all tables again without emptying one; lost again at once, a person is asked', async () => {
  setup.history.chunkRows = 1;
  setup.history.chunksAllowed = 0;
  const before = setup.history.snapshots;
  setup.history.failNext = new DailiesError('source_slot_lost', 'The slot is gone.');
  await vi.waitFor(async () => {
    expect(await source()).toMatchObject({ state: 'snapshotting', warnings: [{ code: 'read_again' }] });
  }, waiting);
  expect((await source())?.warnings[0]?.message).toMatch(/^The slot is gone\. All tables are being read again/);
  expect(await setup.rows('w.movie')).toEqual([{ id: 1, title: 'one' }]);
  setup.history.commit({ table: 'public.movie', put: [2, 'two'] });
  setup.history.chunksAllowed = Number.POSITIVE_INFINITY;
  setup.history.wake();
  await vi.waitFor(async () => {
    expect(await setup.rows('w.movie')).toEqual([
      { id: 1, title: 'one' },
      { id: 2, title: 'two' },
    ]);
    expect(await source()).toMatchObject({ state: 'running', lastError: null, warnings: [] });
  }, waiting);
  expect(setup.history.snapshots).toBe(before + 1);
  setup.history.failNext = new DailiesError('source_slot_lost', 'The slot is gone.');
  await vi.waitFor(async () => {
    expect(await source()).toMatchObject({ state: 'failed', lastError: { code: 'source_slot_lost' } });
  }, waiting);
  await resumeSource(scope(), 's');
  await vi.waitFor(async () => {
    expect(await source()).toMatchObject({ state: 'running', lastError: null });
    expect(setup.history.snapshots).toBe(before + 2);
  }, waiting);
});
