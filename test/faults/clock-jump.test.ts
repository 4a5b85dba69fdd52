import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { allEqual } from './deaths.ts';
import { Load, studioPipelines, studioTables } from './load.ts';
import { WorkerSetup } from './worker-setup.ts';

const hourMs = 3_600_000;
/** Ahead, back beyond where it was, ahead beyond what orphaned files and old states are kept for, and home again. */
const jumps = [2 * hourMs, -26 * hourMs, 200 * hourMs, -176 * hourMs];

let setup: WorkerSetup;
let load: Load;

beforeAll(async () => {
  setup = await WorkerSetup.open({ TEST_CLOCK_JUMPS: jumps.join() });
  await setup.source.query(studioTables);
  load = await Load.open(setup.source.url);
  await setup.define(['public.*'], studioPipelines);
});
afterAll(async () => {
  await load?.close();
  await setup?.[Symbol.asyncDispose]();
});

test('the clock of the machine jumps forward and back under load: nothing is lost, and how fresh tables are stays true', async () => {
  setup.start(undefined, ['--import', new URL('jumping-clock.ts', import.meta.url).href]);
  await setup.hasStarted();
  load.start();
  for (const [index] of jumps.entries()) {
    await load.transactions(30);
    await setup.signal('SIGUSR2', (lines) => lines.filter((line) => line.startsWith('clock ')).length > index);
    await load.transactions(30);
    // A commit after the jump: what came before it is there, and what comes is.
    await load.pause();
    await allEqual(setup);
    // Freshness is of the source's clock, which did not jump.
    const { coveredAt } = await vi.waitFor(async () => {
      const source = await setup.test.state.source.findUniqueOrThrow({ where: { name: 'production' } });
      // It is stored a moment after what it tells of has landed.
      expect(source.coveredAt).not.toBeNull();
      return source;
    }, 120_000);
    expect(Math.abs((coveredAt?.getTime() ?? 0) - Date.now())).toBeLessThan(hourMs);
    load.start();
  }
  await load.pause();
  expect(await setup.end('SIGTERM'), setup.lines.slice(-5).join('')).toBe('0');
  expect(await setup.test.state.deadLetter.count()).toBe(0);
  for (const target of ['production.movie', 'production.entry', 'released.movie']) {
    // Other readers refuse a history that goes back by more than a minute.
    const table = await setup.catalog.load(target);
    const metadata = JSON.parse(await readFile(fileURLToPath(table?.metadataLocation ?? ''), 'utf8'));
    const times: number[] = metadata['snapshot-log'].map((entry: { 'timestamp-ms': number }) => entry['timestamp-ms']);
    for (const [index, time] of times.entries())
      expect(time - (times[index - 1] ?? time), target).toBeGreaterThan(-60_000);
    expect(metadata['last-updated-ms'] - (times.at(-1) ?? 0)).toBeGreaterThan(-60_000);
  }
  // And a worker whose clock is right again goes on where that one stood.
  load.start();
  setup.start();
  await setup.hasStarted();
  await load.transactions(30);
  await load.pause();
  await allEqual(setup);
  expect(await setup.end('SIGTERM')).toBe('0');
}, 1_800_000);
