import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { leftTargets, noteLeftTargets } from '#catalog/services/pipeline/left-targets.ts';
import { readTable } from '#test/catalog/iceberg/warehouse.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

/* A pipeline that goes away while its first snapshot is under way: nobody has seen the table yet. */
const waiting = { timeout: 60_000, interval: 30 };
const target = 'w.movie';
const spec = { from: ['s.public.movie'], table: 'w.{table}', kind: 'iceberg' as const };

let setup: RuntimeSetup;
beforeEach(async () => {
  setup = await RuntimeSetup.open();
  setup.history.create('public.movie', movie);
  setup.history.chunkRows = 2;
  setup.history.commit(...[1, 2, 3, 4, 5].map((id) => ({ table: 'public.movie', put: [id, `film ${id}`] })));
});
afterEach(() => setup[Symbol.asyncDispose]());

async function begin(): Promise<void> {
  setup.history.chunksAllowed = 1;
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('films', spec);
  await vi.waitFor(async () => expect(await setup.catalog.list(undefined, 'all')).toEqual([target]), waiting);
  expect(await setup.catalog.list()).toEqual([]);
  expect((await files()).length).toBeGreaterThan(1);
}

/** As `apply` does it. */
async function remove(name: string): Promise<void> {
  await setup.test.state.$transaction(async (tx) => {
    const { sinks } = await tx.pipeline.delete({ where: { name }, include: { sinks: true } });
    await noteLeftTargets(tx, name, sinks);
  });
  await setup.notify();
}

async function files(): Promise<string[]> {
  const entries = await readdir(join(setup.warehouse, 'tables'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

const isGone = () =>
  vi.waitFor(async () => {
    expect(await leftTargets(setup.test.state), setup.lines.join('\n')).toEqual([]);
    expect(await setup.catalog.list(undefined, 'all')).toEqual([]);
    expect(await files()).toEqual([]);
    expect(await readdir(setup.indexDir)).toEqual([]);
  }, waiting);

async function finish(table = target): Promise<void> {
  setup.history.chunksAllowed = Number.POSITIVE_INFINITY;
  setup.history.wake();
  await vi.waitFor(async () => expect(await readTable(setup.catalog, table)).toHaveLength(5), waiting);
}

test('removed, it takes the table and its files with it; a later one of the name lands whole', async () => {
  await begin();
  await remove('films');
  await isGone();
  await setup.setPipeline('films', spec);
  await finish();
});

test('removed while no worker runs, it goes with the next start', async () => {
  await begin();
  await setup.stop();
  await remove('films');
  await setup.start();
  await isGone();
});

test('one that lands elsewhere from now on leaves nothing where it was', async () => {
  await begin();
  await setup.setPipeline('films', { ...spec, table: 'other.{table}' });
  await vi.waitFor(async () => expect(await setup.catalog.list(undefined, 'all')).toEqual(['other.movie']), waiting);
  await finish('other.movie');
  await vi.waitFor(async () => expect(await leftTargets(setup.test.state)).toEqual([]), waiting);
  expect(await setup.catalog.list(undefined, 'all')).toEqual(['other.movie']);
});

test('one that is there again before the worker has looked keeps its table, and what people see stays', async () => {
  await begin();
  await setup.test.state.$transaction(async (tx) => {
    const { sinks, spec: kept } = await tx.pipeline.delete({ where: { name: 'films' }, include: { sinks: true } });
    await noteLeftTargets(tx, 'films', sinks);
    await tx.pipeline.create({ data: { name: 'films', spec: kept as object } });
  });
  await setup.notify();
  await vi.waitFor(async () => expect(await leftTargets(setup.test.state)).toEqual([]), waiting);
  await finish();
  await remove('films');
  await vi.waitFor(async () => expect(await leftTargets(setup.test.state)).toEqual([]), waiting);
  expect(await readTable(setup.catalog, target)).toHaveLength(5);
});
