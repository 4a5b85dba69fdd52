import { Cron } from 'croner';
import type { Report, ReportRun, RunAttempt, RunDestination } from '#prisma/generated/client.ts';
import { requireAccess } from '../../access/principal.ts';
import type { ErrorRecord } from '../../error.ts';
import type { Scope } from '../scope.ts';

export type Schedule = { cron: string; zone: string } | { onNewData: string[] };

export interface ReportSummary {
  name: string;
  title: string | null;
  owner: string;
  schedule: Schedule | null;
  isPaused: boolean;
  /** Next time by its cron schedule; null without one or while paused. */
  nextRunAt: Date | null;
  /** Warehouse tables that its SQL reads. */
  reads: string[];
  deliveries: { kind: string; target: string }[];
  lastRun: RunSummary | null;
}

export interface RunSummary {
  id: string;
  trigger: string;
  requestedBy: string;
  /** queued | running | succeeded | partial | failed */
  state: string;
  rows: number | null;
  error: ErrorRecord | null;
  createdAt: Date;
  startedAt: Date | null;
  endedAt: Date | null;
  attempts: { number: number; startedAt: Date; endedAt: Date | null; error: ErrorRecord | null }[];
  destinations: RunDestinationSummary[];
}

export interface RunDestinationSummary {
  kind: string;
  target: string;
  state: string;
  delivered: number;
  added: number;
  changed: number;
  removed: number;
  /** Write requests sent. */
  written: number;
  errors: { key: unknown; message: string }[];
}

export const runParts = {
  attempts: { orderBy: { number: 'asc' } },
  destinations: { orderBy: { ordinal: 'asc' } },
} as const;

export async function listReports(scope: Scope): Promise<ReportSummary[]> {
  requireAccess(scope.who, 'report.read', 'see reports');
  const reports = await scope.state.report.findMany({
    include: { runs: { orderBy: { createdAt: 'desc' }, take: 1, include: runParts } },
    orderBy: { name: 'asc' },
  });
  return reports.map((report) => summarizeReport(report, report.runs[0]));
}

type RunRow = ReportRun & { attempts: RunAttempt[]; destinations: RunDestination[] };

export function summarizeReport(report: Report, lastRun: RunRow | undefined): ReportSummary {
  const schedule = report.schedule as Schedule | null;
  const deliveries = report.deliveries as unknown as Record<string, unknown>[];
  return {
    name: report.name,
    title: report.title,
    owner: report.owner,
    schedule,
    isPaused: report.isPaused,
    nextRunAt: report.isPaused ? null : nextRun(schedule),
    reads: report.reads,
    deliveries: deliveries.map((delivery) => ({ kind: String(delivery.kind), target: deliveryTarget(delivery) })),
    lastRun: lastRun === undefined ? null : summarizeRun(lastRun),
  };
}

export function summarizeRun(run: RunRow): RunSummary {
  return {
    id: run.id,
    trigger: run.trigger,
    requestedBy: run.requestedBy,
    state: run.state,
    rows: run.rows === null ? null : Number(run.rows),
    error: run.error as ErrorRecord | null,
    createdAt: run.createdAt,
    startedAt: run.startedAt,
    endedAt: run.endedAt,
    attempts: run.attempts.map((attempt) => ({
      number: attempt.number,
      startedAt: attempt.startedAt,
      endedAt: attempt.endedAt,
      error: attempt.error as ErrorRecord | null,
    })),
    destinations: run.destinations.map((destination) => ({
      kind: destination.kind,
      target: destination.target,
      state: destination.state,
      delivered: destination.delivered,
      added: destination.added,
      changed: destination.changed,
      removed: destination.removed,
      written: destination.written,
      errors: destination.errors as unknown as { key: unknown; message: string }[],
    })),
  };
}

/** Where a delivery goes, in words made of its own settings: everything but credentials, modes and keys. */
function deliveryTarget(delivery: Record<string, unknown>): string {
  const { kind, credentials, mode, key, format, ...place } = delivery;
  return Object.values(place).map(String).join(' / ');
}

function nextRun(schedule: Schedule | null): Date | null {
  if (schedule === null || !('cron' in schedule)) return null;
  return new Cron(schedule.cron, { timezone: schedule.zone, paused: true }).nextRun();
}
