import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DailiesError } from '#catalog/error.ts';
import { rejectBad } from './reject-bad.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

/* Somebody touches the row of what has failed in the very moment that the state says so: the wish is heard each time. */
const waiting = { timeout: 60_000, interval: 30 };
const times = 12;

let setup: RuntimeSetup;
beforeEach(async () => {
  setup = await RuntimeSetup.open([rejectBad]);
  setup.history.create('public.movie', movie);
});
afterEach(() => setup[Symbol.asyncDispose]());

/** Looks again and again without a pause, until the row says so and the clock shows a later millisecond. */
async function hasFailed(look: () => Promise<{ state: string; updatedAt: Date }>): Promise<void> {
  const until = performance.now() + waiting.timeout;
  for (;;) {
    const { state, updatedAt } = await look();
    if (state === 'failed' && Date.now() > updatedAt.getTime()) return;
    if (performance.now() > until) throw new Error(`It is ${state}, not failed.\n${setup.lines.join('\n')}`);
  }
}
const told = (text: string) => setup.lines.filter((line) => line.includes(text)).length;

test('a pipeline is tried again', async () => {
  await setup.start();
  await setup.addSource();
  const steps = [{ kind: 'reject-bad', field: 'gone' }];
  setup.history.commit({ table: 'public.movie', put: [1, 'one'] });
  await setup.setPipeline('strict', { from: ['s.public.movie'], steps, table: 'w.movie' });
  for (let time = 1; time <= times; time++) {
    await vi.waitFor(() => expect(told('gone is gone')).toBe(time), waiting);
    await hasFailed(() => setup.pipeline('strict'));
    await setup.setDesired('strict', 'running');
  }
  await vi.waitFor(() => expect(told('gone is gone')).toBe(times + 1), waiting);
});

test('so is a source', async () => {
  const { source } = setup.test.state;
  setup.history.failNext = new DailiesError('source_refused', 'The password is wrong.');
  await setup.start();
  await setup.addSource();
  for (let time = 1; time <= times; time++) {
    await vi.waitFor(() => expect(told('password is wrong')).toBe(time), waiting);
    await hasFailed(() => source.findUniqueOrThrow({ where: { name: 's' } }));
    setup.history.failNext = new DailiesError('source_refused', 'The password is wrong.');
    await source.update({ where: { name: 's' }, data: { updatedAt: new Date() } });
    await setup.notify();
  }
  await vi.waitFor(() => expect(told('password is wrong')).toBe(times + 1), waiting);
});

test('a source that fails while the state database is away is said to be failed once that is back, and can go on then', async () => {
  await setup.start();
  await setup.addSource();
  const { state } = setup.test;
  const isIn = (wanted: string) => async () =>
    expect((await state.source.findUniqueOrThrow({ where: { name: 's' } })).state).toBe(wanted);
  await vi.waitFor(isIn('running'), waiting);
  await state.$executeRawUnsafe('ALTER TABLE "Source" RENAME TO "Away"');
  setup.history.failNext = new DailiesError('source_refused', 'The password is wrong.');
  setup.history.commit({ table: 'public.movie', put: [1, 'one'] });
  await vi.waitFor(() => expect(told('its failure could not be stored')).toBeGreaterThan(0), waiting);
  await state.$executeRawUnsafe('ALTER TABLE "Away" RENAME TO "Source"');
  await vi.waitFor(isIn('failed'), waiting);
  await state.source.update({ where: { name: 's' }, data: { updatedAt: new Date() } });
  await setup.notify();
  await vi.waitFor(isIn('running'), waiting);
});
