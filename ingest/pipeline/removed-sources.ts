import { z } from 'zod';

import type { State } from '#catalog/state/state.ts';
import { stateError } from '#catalog/state/state-error.ts';
import { parseEntry } from './open-module.ts';
import { passingMemory } from './source-memory.ts';
import type { WorkerDeps } from './worker-deps.ts';

const prefix = 'source-removed:';
const retryAfterMs = 60_000;
const removed = z.object({ name: z.string(), kind: z.string(), spec: z.record(z.string(), z.unknown()) });

export type RemovedSource = z.infer<typeof removed> & { key: string };

/** Key → when this process last tried. */
const triedMs = new Map<string, number>();

/** Sources that were taken out of the definition and whose slot and publications are still in their databases. */
export async function removedSources(state: State): Promise<RemovedSource[]> {
  const rows = await state.setting.findMany({ where: { key: { startsWith: prefix } } });
  const nowMs = performance.now();
  return rows
    .filter((row) => nowMs - (triedMs.get(row.key) ?? Number.NEGATIVE_INFINITY) > retryAfterMs)
    .map((row) => ({ key: row.key, ...removed.parse(row.value) }));
}

/**
 * Removes what we made in the source's database and forgets it. Where that database does not answer it is tried again a
 * minute later, unless a source of the same name is there again, which takes over what it finds.
 */
export async function dropRemovedSource(deps: WorkerDeps, { key, name, kind, spec }: RemovedSource): Promise<void> {
  triedMs.set(key, performance.now());
  try {
    const entry = { ...spec, kind };
    const { module, config } = await parseEntry(
      deps.modules.sources,
      entry,
      (value) => deps.resolveSecrets(value),
      `The removed source ${name}`,
    );
    const source = module.open(config, { name, memory: passingMemory(), now: deps.now });
    try {
      await source.drop(AbortSignal.timeout(10_000));
    } finally {
      await source.close();
    }
  } catch (thrown) {
    deps.report(
      `source ${name}: removed, but what it made in its database is still there: ${stateError(thrown).message}`,
    );
    if ((await deps.state.source.count({ where: { name } })) === 0) return;
  }
  await deps.state.setting.deleteMany({ where: { key } });
  triedMs.delete(key);
}
