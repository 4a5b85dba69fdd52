import { requireAccess } from '../../access/principal.ts';
import type { Scope } from '../scope.ts';
import { type RunSummary, runParts, summarizeRun } from './list.ts';

/** Newest first, at most 500. */
export async function listRuns(scope: Scope, report: string, limit = 50): Promise<RunSummary[]> {
  requireAccess(scope.who, 'report.read', 'see reports');
  const runs = await scope.state.reportRun.findMany({
    where: { reportName: report },
    include: runParts,
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: Math.max(0, Math.min(limit, 500)),
  });
  return runs.map(summarizeRun);
}
