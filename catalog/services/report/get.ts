import { requireAccess } from '../../access/principal.ts';
import { DailiesError } from '../../error.ts';
import { nearestName } from '../nearest-name.ts';
import type { Scope } from '../scope.ts';
import { type ReportSummary, type RunSummary, runParts, summarizeReport, summarizeRun } from './list.ts';

export interface ReportDetail extends ReportSummary {
  sql: string;
  parameters: Record<string, { type: string; default?: unknown }>;
  /** As in the definition, credentials as references. */
  deliverySpecs: Record<string, unknown>[];
  /** Newest first, at most 50. */
  runs: RunSummary[];
  /** Whether who asks may change, pause and run it. */
  mayWrite: boolean;
}

export async function getReport(scope: Scope, name: string): Promise<ReportDetail> {
  requireAccess(scope.who, 'report.read', 'see reports');
  const report = await scope.state.report.findUnique({
    where: { name },
    include: { runs: { orderBy: { createdAt: 'desc' }, take: 50, include: runParts } },
  });
  if (report === null) throw await unknownReport(scope, name);
  return {
    ...summarizeReport(report, report.runs[0]),
    sql: report.sql,
    parameters: report.parameters as ReportDetail['parameters'],
    deliverySpecs: report.deliveries as unknown as Record<string, unknown>[],
    runs: report.runs.map(summarizeRun),
    mayWrite: mayWriteReport(scope, report.owner),
  };
}

/** One run of a report, for whoever polls it. */
export async function getRun(scope: Scope, report: string, id: string): Promise<RunSummary> {
  requireAccess(scope.who, 'report.read', 'see reports');
  const run = await scope.state.reportRun.findFirst({ where: { id, reportName: report }, include: runParts });
  if (run === null)
    throw new DailiesError('not_found', `The report ${report} has no run ${id}.`, { details: { report } });
  return summarizeRun(run);
}

/** A report reads with its owner's rights: nobody but the owner and admins may change what it does. */
export function mayWriteReport({ who }: Pick<Scope, 'who'>, owner: string): boolean {
  return (
    who.roles.includes('admin') ||
    (who.email === owner && who.roles.some((role) => role === 'analyst' || role === 'owner'))
  );
}

export async function unknownReport({ state }: Pick<Scope, 'state'>, name: string): Promise<DailiesError> {
  const reports = await state.report.findMany({ select: { name: true } });
  const near = nearestName(
    name,
    reports.map((report) => report.name),
  );
  return new DailiesError('not_found', `There is no report ${name}.${near === null ? '' : ` Did you mean ${near}?`}`, {
    details: { report: name },
  });
}
