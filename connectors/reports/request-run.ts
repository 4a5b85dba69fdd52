import { randomUUID } from 'node:crypto';
import type { Principal } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import type { State } from '#catalog/state/state.ts';

export type RunTrigger = 'manual' | 'schedule' | 'new-data';

export const runChannel = 'dailies_report_run';

/**
 * Asks for a run of a report: durable when it resolves, begun by a worker soon after. One run a slot: asking again for the
 * same slot (the schedule's instant, the snapshots, a person's request) gives the same run.
 *
 * @throws DailiesError not_found
 */
export async function requestRun(
  state: State,
  reportName: string,
  trigger: RunTrigger,
  who: Pick<Principal, 'email'>,
  slot: string = randomUUID(),
): Promise<{ runId: string; isNew: boolean }> {
  return state.$transaction(async (tx) => {
    const report = await tx.report.findUnique({ where: { name: reportName }, select: { name: true } });
    if (report === null) {
      throw new DailiesError('not_found', `There is no report ${reportName}.`, { details: { report: reportName } });
    }
    const run = { id: randomUUID(), reportName, slot: `${trigger}:${slot}`, trigger, requestedBy: who.email };
    const { count } = await tx.reportRun.createMany({ data: [run], skipDuplicates: true });
    if (count === 0) {
      const there = await tx.reportRun.findUniqueOrThrow({
        where: { reportName_slot: { reportName, slot: run.slot } },
        select: { id: true },
      });
      return { runId: there.id, isNew: false };
    }
    await tx.$executeRaw`SELECT pg_notify(${runChannel}, ${run.id})`;
    return { runId: run.id, isNew: true };
  });
}
