import { expect } from 'vitest';
import type { Failpoint } from '#catalog/failpoint.ts';
import { compared, type Load } from './load.ts';
import type { WorkerSetup } from './worker-setup.ts';

/** Where a worker dies, and at which time that it comes there. */
export type Death = `${Failpoint}:${number}`;

/** A worker dies under load at each place in turn; one that lives makes everything equal and ends in order. */
export async function surviveDeaths(setup: WorkerSetup, load: Load, deaths: readonly Death[]): Promise<void> {
  for (const death of deaths) {
    setup.start(death);
    load.start();
    expect(await setup.exited(), `${death}\n${setup.lines.join('')}`).toBe('SIGKILL');
    await load.pause();
  }
  setup.start();
  await allEqual(setup);
  expect(await setup.end('SIGTERM')).toBe('0');
}

/** Resolves when source and warehouse hold the same rows. */
export async function allEqual(setup: WorkerSetup): Promise<void> {
  for (const { target, source, warehouse } of compared) await setup.becomesEqual(target, source, warehouse);
}
