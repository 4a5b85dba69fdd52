import pg from 'pg';
import { type JobWithMetadata, PgBoss } from 'pg-boss';
import { z } from 'zod';
import { DailiesError, toDailiesError } from '#catalog/error.ts';
import type { State } from '#catalog/state/state.ts';
import { wait } from '#catalog/wait.ts';
import type { DestinationModule } from '../destination.ts';
import { Pace } from '../pace.ts';
import { Exclusive } from './exclusive.ts';
import { type NewDataReport, requestNewDataRuns } from './on-new-data.ts';
import { requestRun, runChannel } from './request-run.ts';
import { type ReportQueries, runReport } from './run-report.ts';
import { dueSlot } from './schedule.ts';

/**
 *     schedule, new data, a person                        pg-boss
 *        └─ requestRun ─► ReportRun (queued) ─► dispatch ─► job ─► runReport ─► succeeded | partial | failed
 *                            one a slot          by id     durable, tried again with back-off; a worker that
 *                                                          dies is missed by its heartbeat
 */
export interface ReportsDeps {
  state: State;
  databaseUrl: string;
  queries: ReportQueries;
  destinations: readonly DestinationModule[];
  home: string;
  googleUrl: string | null;
  airtableUrl: string | null;
  resolveSecrets<T>(spec: T): Promise<T>;
  log(level: 'info' | 'warn' | 'error', message: string, details?: Record<string, unknown>): void;
  pace?: Pace;
  /** Most attempts of a run, and the first pause between two; it doubles each time. */
  attempts?: number;
  retryDelaySeconds?: number;
}

const queue = 'report-run';
const runsAtOnce = 4;
const keptRuns = 500;
const heartbeatSeconds = 10;

const runJob = z.object({ runId: z.string() });
const schedules = z.union([
  z.object({ cron: z.string(), zone: z.string() }),
  z.object({ onNewData: z.array(z.string()) }),
]);

/** Schedules and runs all reports until closed. Several processes may: each slot is still one run. */
export async function startReports(deps: ReportsDeps): Promise<{ close(): Promise<void> }> {
  const attempts = deps.attempts ?? 5;
  const stop = new AbortController();
  const exclusive = new Exclusive(deps.databaseUrl);
  const pace = deps.pace ?? new Pace();
  const boss = new PgBoss({
    connectionString: deps.databaseUrl,
    schema: 'pgboss',
    application_name: 'dailies reports',
    max: 4,
    useListenNotify: true,
    schedule: false,
    superviseIntervalSeconds: 2,
    monitorIntervalSeconds: 2,
  });
  boss.on('error', (error) => deps.log('warn', 'The report queue met an error and goes on.', { error: error.message }));
  await boss.start();
  const retry = {
    retryLimit: attempts - 1,
    retryDelay: deps.retryDelaySeconds ?? 2,
    retryBackoff: true,
    retryDelayMax: 120,
    expireInSeconds: 4 * 3600,
    heartbeatSeconds,
  };
  await boss.createQueue(queue, { ...retry, notify: true });
  await boss.updateQueue(queue, { ...retry, notify: true });
  const { googleUrl, airtableUrl, home } = deps;
  const runDeps = { ...deps, exclusive, destinationDeps: { home, googleUrl, airtableUrl, pace } };
  const work = async ([job]: JobWithMetadata[]) => {
    if (job === undefined) return;
    const { runId } = runJob.parse(job.data);
    const attempt = { number: job.retryCount + 1, mayRetry: job.retryCount < job.retryLimit };
    const signal = AbortSignal.any([job.signal, stop.signal]);
    await runReport(runDeps, runId, attempt, signal);
    await forgetOldRuns(deps.state, runId);
  };
  const options = {
    localConcurrency: runsAtOnce,
    pollingIntervalSeconds: 1,
    notifyPollingIntervalSeconds: 1,
    includeMetadata: true,
  } as const;
  await boss.work(queue, options, work);

  const dispatch = () => dispatchRuns(deps.state, boss);
  const loops = [
    repeat(deps, stop.signal, 'the schedule', 1_000, () => requestScheduledRuns(deps, new Date())),
    repeat(deps, stop.signal, 'new data', 200, async () => {
      const begun = await requestNewDataRuns(deps.state, await newDataReports(deps.state), new Date());
      if (begun > 0) await dispatch();
    }),
    repeat(deps, stop.signal, 'queued runs', 1_000, dispatch),
    listen(deps, stop.signal, dispatch),
  ];
  return {
    async close() {
      stop.abort(new DailiesError('cancelled', 'The reports are being stopped.'));
      await Promise.all(loops);
      await boss.stop({ graceful: true, timeout: 20_000 });
      await exclusive.close();
    },
  };
}

/** Gives each run that waits, and each whose job is gone, a job of the run's own id: a second one is none. */
async function dispatchRuns(state: State, boss: PgBoss): Promise<void> {
  const open = await state.reportRun.findMany({
    where: { endedAt: null },
    select: { id: true, state: true },
    orderBy: { createdAt: 'asc' },
  });
  for (const run of open) {
    const isSent = run.state === 'queued' && (await boss.send(queue, { runId: run.id }, { id: run.id })) !== null;
    if (!isSent && (await isAbandoned(boss, run.id))) {
      const error = {
        code: 'internal',
        message: 'The worker ended during this run, and it was not begun again. Run the report once more.',
        details: {},
      };
      await state.reportRun.updateMany({
        where: { id: run.id, endedAt: null },
        data: { state: 'failed', endedAt: new Date(), error },
      });
    }
  }
}

/** True if no attempt of the run's job is going on or to come. */
async function isAbandoned(boss: PgBoss, runId: string): Promise<boolean> {
  const [job] = await boss.findJobs(queue, { id: runId });
  return job === undefined || job.state === 'failed' || job.state === 'cancelled' || job.state === 'completed';
}

async function requestScheduledRuns(deps: ReportsDeps, now: Date): Promise<void> {
  const reports = await deps.state.report.findMany({
    where: { isPaused: false },
    select: { name: true, schedule: true, updatedAt: true },
  });
  for (const report of reports) {
    const schedule = schedules.safeParse(report.schedule);
    if (!schedule.success || !('cron' in schedule.data)) continue;
    const last = await deps.state.reportRun.findFirst({
      where: { reportName: report.name, trigger: 'schedule' },
      orderBy: { createdAt: 'desc' },
      select: { createdAt: true },
    });
    const since = new Date(Math.max(report.updatedAt.getTime(), last?.createdAt.getTime() ?? 0));
    const slot = dueSlot(schedule.data, since, now);
    if (slot !== null) await requestRun(deps.state, report.name, 'schedule', { email: 'system' }, slot.toISOString());
  }
}

async function newDataReports(state: State): Promise<NewDataReport[]> {
  const reports = await state.report.findMany({
    where: { isPaused: false },
    select: { name: true, schedule: true },
  });
  return reports.flatMap(({ name, schedule }) => {
    const parsed = schedules.safeParse(schedule);
    return parsed.success && 'onNewData' in parsed.data ? [{ name, tables: parsed.data.onNewData }] : [];
  });
}

async function forgetOldRuns(state: State, runId: string): Promise<void> {
  const run = await state.reportRun.findUnique({ where: { id: runId }, select: { reportName: true } });
  if (run === null) return;
  const oldest = await state.reportRun.findMany({
    where: { reportName: run.reportName, endedAt: { not: null } },
    orderBy: { createdAt: 'desc' },
    skip: keptRuns,
    take: 100,
    select: { id: true },
  });
  if (oldest.length > 0) await state.reportRun.deleteMany({ where: { id: { in: oldest.map((one) => one.id) } } });
}

/** Does the work now and then each time the interval has passed, until aborted. A failure is told and the next turn tries again. */
async function repeat(
  deps: Pick<ReportsDeps, 'log'>,
  signal: AbortSignal,
  what: string,
  intervalMs: number,
  work: () => Promise<unknown>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await work();
    } catch (thrown) {
      if (signal.aborted) return;
      deps.log('warn', `Looking for ${what} failed and is tried again.`, { error: toDailiesError(thrown).message });
    }
    await wait(intervalMs, signal);
  }
}

/** Hands a requested run on at once; the repeated look is for words that were lost. */
async function listen(deps: ReportsDeps, signal: AbortSignal, dispatch: () => Promise<void>): Promise<void> {
  await repeat(deps, signal, 'requested runs', 2_000, async () => {
    const client = new pg.Client({ connectionString: deps.databaseUrl, application_name: 'dailies reports' });
    try {
      await client.connect();
      const ended = new Promise<void>((resolve) => {
        client.once('end', resolve);
        client.once('error', () => resolve());
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      client.on('notification', () => {
        dispatch().catch((thrown: unknown) => {
          deps.log('warn', 'A requested run waits for the next look.', { error: toDailiesError(thrown).message });
        });
      });
      await client.query(`LISTEN ${runChannel}`);
      await ended;
    } finally {
      await client.end();
    }
  });
}
