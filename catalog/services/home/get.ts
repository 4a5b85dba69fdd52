import { requireAccess } from '../../access/principal.ts';
import type { ErrorRecord } from '../../error.ts';
import type { Scope } from '../scope.ts';
import { summarizeTables } from '../table/list.ts';

/** What is this, and is it well: the first page. */
export interface Home {
  tableCount: number;
  rows: number;
  reportCount: number;
  /** True if no table is stale and nothing failed. */
  isFresh: boolean;
  /** The least fresh table that flows. */
  freshAsOf: Date | null;
  /** Tables behind by more than `staleAfterMs`, the stalest first. */
  stale: { table: string; freshAsOf: Date | null; pipeline: string | null }[];
  problems: Problem[];
  /** Newest first. */
  activity: Activity[];
}

export interface Problem {
  kind: 'source' | 'pipeline' | 'report';
  name: string;
  /** False for what threatens a source that still runs. */
  hasFailed: boolean;
  error: { code: string; message: string; details: Record<string, unknown> } | null;
}

/** Of a table its newest rows, of a report its last run. */
export type Activity =
  | { kind: 'table'; at: Date; table: string; rows: number }
  | { kind: 'run'; at: Date; report: string; state: string; rows: number | null; runId: string }
  | { kind: 'audit'; at: Date; actor: string; action: string; target: string };

export const staleAfterMs = 60_000;

export async function getHome(scope: Scope, now: Date): Promise<Home> {
  requireAccess(scope.who, 'catalog.read', 'see what is there');
  const { state } = scope;
  const isAdmin = scope.who.roles.includes('admin');
  const [tables, reports, sources, warnings, pipelines, audits] = await Promise.all([
    summarizeTables(state),
    state.report.findMany({
      select: { name: true, runs: { where: { endedAt: { not: null } }, orderBy: { createdAt: 'desc' }, take: 1 } },
    }),
    state.source.findMany({ where: { state: 'failed' } }),
    state.sourceWarning.findMany({ orderBy: [{ sourceName: 'asc' }, { since: 'asc' }] }),
    state.pipeline.findMany({ where: { state: 'failed' } }),
    state.auditEvent.findMany({
      where: isAdmin ? {} : { NOT: [{ action: { startsWith: 'secret.' } }, { action: { startsWith: 'token.' } }] },
      orderBy: { id: 'desc' },
      take: 20,
    }),
  ]);
  const flowing = tables.filter((table) => table.pipeline !== null && table.state !== 'paused');
  const age = (at: Date | null) => (at === null ? Number.MAX_SAFE_INTEGER : now.getTime() - at.getTime());
  const stale = flowing
    .filter((table) => age(table.freshAsOf) > staleAfterMs)
    .sort((a, b) => age(b.freshAsOf) - age(a.freshAsOf))
    .map(({ name, freshAsOf, pipeline }) => ({ table: name, freshAsOf, pipeline }));
  const problems: Problem[] = [
    ...sources.map((source) => problem('source', source.name, source.lastError)),
    ...warnings.map(
      ({ sourceName: name, code, message }): Problem => ({
        kind: 'source',
        name,
        hasFailed: false,
        error: { code, message, details: {} },
      }),
    ),
    ...pipelines.map((pipeline) => problem('pipeline', pipeline.name, pipeline.lastError)),
    ...reports.flatMap(({ name, runs: [last] }) =>
      last?.state === 'failed' ? [problem('report', name, last.error)] : [],
    ),
  ];
  const activity: Activity[] = [
    ...tables.map((table) => ({ kind: 'table' as const, at: table.changedAt, table: table.name, rows: table.rows })),
    ...reports
      .flatMap((report) => report.runs)
      .map((run) => ({
        kind: 'run' as const,
        at: run.endedAt ?? run.createdAt,
        report: run.reportName,
        state: run.state,
        rows: run.rows === null ? null : Number(run.rows),
        runId: run.id,
      })),
    ...audits.map(({ at, actor, action, target }) => ({ kind: 'audit' as const, at, actor, action, target })),
  ];
  const instants = flowing.flatMap((table) => (table.freshAsOf === null ? [] : [table.freshAsOf.getTime()]));
  return {
    tableCount: tables.length,
    rows: tables.reduce((sum, table) => sum + table.rows, 0),
    reportCount: reports.length,
    isFresh: stale.length === 0 && problems.length === 0,
    freshAsOf: instants.length === 0 ? null : new Date(Math.min(...instants)),
    stale,
    problems,
    activity: activity.sort((a, b) => b.at.getTime() - a.at.getTime()).slice(0, 30),
  };
}

function problem(kind: Problem['kind'], name: string, error: unknown): Problem {
  return { kind, name, hasFailed: true, error: error as ErrorRecord | null };
}
