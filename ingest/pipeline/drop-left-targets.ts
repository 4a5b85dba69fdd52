import { type LeftTargets, updateLeftTarget } from '#catalog/services/pipeline/left-targets.ts';
import { stateError } from '#catalog/state/state-error.ts';
import type { WorkerDeps } from './worker-deps.ts';

const retryAfterMs = 60_000;

/** Pipeline and target → when this process last tried. */
const triedMs = new Map<string, number>();

/**
 * Removes what pipelines have left behind where nobody ever saw it: the table of a first snapshot that was cut. What people
 * see stays. `notes` are from before it was asked which pipelines there are; `isLanding` tells of targets that a running pipeline has taken over. Where a catalog does not answer it is tried
 * again a minute later.
 */
export async function dropLeftTargets(
  deps: Pick<WorkerDeps, 'state' | 'modules' | 'sinkDeps' | 'report'>,
  notes: readonly LeftTargets[],
  isLanding: (kind: string, target: string) => boolean,
): Promise<void> {
  const { state, modules, sinkDeps, report } = deps;
  for (const { pipeline, targets } of notes) {
    for (const left of targets) {
      const { kind, target, location = null } = left;
      const id = `${pipeline} ${kind} ${target}`;
      if (performance.now() - (triedMs.get(id) ?? Number.NEGATIVE_INFINITY) < retryAfterMs) continue;
      triedMs.set(id, performance.now());
      try {
        const module = modules.sinks.find((candidate) => candidate.id === kind);
        const isDropped =
          !isLanding(kind, target) &&
          (await module?.dropUnseen?.({ target, pipeline, location }, sinkDeps, (at) =>
            updateLeftTarget(state, pipeline, left, { kind, target, location: at }),
          )) === true;
        if (isDropped) report(`pipeline ${pipeline}: ${target}, whose first snapshot had not ended, is dropped`);
        await updateLeftTarget(state, pipeline, left, null);
        triedMs.delete(id);
      } catch (thrown) {
        report(`pipeline ${pipeline}: ${target} could not be dropped: ${stateError(thrown).message}`);
      }
    }
  }
}
