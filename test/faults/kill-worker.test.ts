import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Failpoint, failpoints } from '#catalog/failpoint.ts';
import { allEqual, type Death, surviveDeaths } from './deaths.ts';
import { Load, studioPipelines, studioTables } from './load.ts';
import { WorkerSetup } from './worker-setup.ts';

/*
 * The worker dies at every named point and at random under load. `movie` is upserted, deleted, truncated in part by key
 * and re-keyed; `entry` has no key and only grows, so that a row which came twice or never is seen for good.
 */
/** The first two within the snapshot of the first table. */
const early = new Map<Failpoint, number>([
  ['before-log-append', 3],
  ['after-log-append', 5],
]);
const deaths = [
  ...failpoints.map((point): Death => `${point}:${early.get(point) ?? 1}`),
  'after-data-files:3',
  'after-table-commit:3',
] as const;

let setup: WorkerSetup;
let load: Load;

beforeAll(async () => {
  setup = await WorkerSetup.open();
  await setup.source.query(studioTables);
  load = await Load.open(setup.source.url);
  await setup.define(['public.*'], studioPipelines);
});
afterEach(() => setup.end('SIGKILL'));
afterAll(async () => {
  await load?.close();
  await setup?.[Symbol.asyncDispose]();
});

test('killed at every named point, first within the snapshot, nothing is lost or doubled', async () => {
  await surviveDeaths(setup, load, deaths);
}, 1_800_000);

test('killed at random under load, nothing is lost or doubled, and a closed worker leaves nothing half done', async () => {
  load.start();
  for (const transactions of [60, 10, 100]) {
    setup.start();
    await setup.hasStarted();
    await load.transactions(transactions);
    expect(await setup.end('SIGKILL'), setup.lines.slice(-5).join('')).toBe('SIGKILL');
  }
  setup.start();
  await setup.hasStarted();
  await load.transactions(100);
  expect(await setup.end('SIGTERM'), setup.lines.slice(-5).join('')).toBe('0');
  await load.pause();
  setup.start();
  await allEqual(setup);
  expect(await setup.test.state.deadLetter.count()).toBe(0);
}, 1_800_000);
