import type { Principal } from '#catalog/access/principal.ts';
import { DailiesError, type ErrorRecord, errorPolicy, toDailiesError } from '#catalog/error.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import type { State } from '#catalog/state/state.ts';

import { deliver, noProgress, type Outcome } from '../deliver.ts';
import type {
  DestinationDeps,
  DestinationModule,
  ReportResult,
  ResultColumn,
  ResultRow,
  RowError,
} from '../destination.ts';
import type { Exclusive } from './exclusive.ts';
import { openLedger } from './ledger.ts';
import { reportParameters } from './report-parameters.ts';

/** What a run needs of the query service (`catalog/query`); it reads with the rights of whom it is given. */
export interface ReportQueries {
  submit(
    request: { sql: string; parameters?: Record<string, unknown>; origin: 'report' },
    who: Principal,
  ): Promise<{ id: string }>;
  wait(id: string, who: Principal, signal: AbortSignal): Promise<QueryEnd>;
  cancel(id: string, who: Principal): Promise<unknown>;
  readBatches(
    id: string,
    who: Principal,
  ): Promise<{ columns: readonly ResultColumn[]; batches: AsyncIterable<readonly Row[]> }>;
  resultFile(id: string, who: Principal, format: 'csv' | 'parquet' | 'json'): Promise<string>;
}

export interface QueryEnd {
  state: string;
  rowCount: number;
  error: ErrorRecord | null;
}

export interface RunDeps {
  state: State;
  queries: ReportQueries;
  destinations: readonly DestinationModule[];
  destinationDeps: DestinationDeps;
  /** A copy of a delivery's text with its secrets filled in. */
  resolveSecrets<T>(spec: T): Promise<T>;
  exclusive: Exclusive;
}

/** Errors kept of one delivery; a run over a wrong key may have one for each row. */
const keptErrors = 200;

/**
 * One attempt of a run: the query as the report's owner, then each delivery that is not yet done. Everything that
 * happens is in the run's rows, durable before it resolves. May be repeated after any failure: deliveries are idempotent.
 *
 * @throws DailiesError of an error that passes by itself, where `mayRetry`: the run is then still going on.
 */
export async function runReport(
  deps: RunDeps,
  runId: string,
  attempt: { number: number; mayRetry: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { state } = deps;
  const run = await state.reportRun.findUnique({ where: { id: runId }, include: { report: true } });
  if (run === null || run.endedAt !== null) return;
  await state.$transaction([
    state.runAttempt.updateMany({
      where: { runId, endedAt: null },
      data: {
        endedAt: new Date(),
        error: { code: 'internal', message: 'The worker ended during this attempt.', details: {} },
      },
    }),
    state.runAttempt.upsert({
      where: { runId_number: { runId, number: attempt.number } },
      create: { runId, number: attempt.number },
      update: { startedAt: new Date(), endedAt: null },
    }),
    state.reportRun.update({
      where: { id: runId },
      data: { state: 'running', startedAt: run.startedAt ?? new Date() },
    }),
  ]);
  let failure: DailiesError | null;
  let delivered: Delivered[] = [];
  try {
    delivered = await deps.exclusive.run(`report/${run.reportName}`, signal, () =>
      attemptRun(deps, runId, run.report, signal),
    );
    failure = worst(delivered);
  } catch (thrown) {
    failure = signal.aborted
      ? new DailiesError('timeout', 'The worker was stopped during this attempt.', { cause: thrown })
      : toDailiesError(thrown);
  }
  const isRetried = failure !== null && attempt.mayRetry && errorPolicy[failure.code] === 'auto';
  const error = failure === null ? {} : { error: { ...failure.toJSON() } as object };
  const endedAt = new Date();
  await state.$transaction([
    state.runAttempt.update({
      where: { runId_number: { runId, number: attempt.number } },
      data: { endedAt, ...error },
    }),
    ...(isRetried
      ? []
      : [
          state.reportRun.update({
            where: { id: runId },
            data: { state: endState(failure, delivered), endedAt, ...error },
          }),
        ]),
  ]);
  if (isRetried && failure !== null) throw failure;
}

interface Delivered {
  state: 'succeeded' | 'partial' | 'failed';
  failure: DailiesError | null;
}

function worst(delivered: readonly Delivered[]): DailiesError | null {
  const failures = delivered.flatMap((one) => (one.failure === null ? [] : [one.failure]));
  return failures.find((failure) => errorPolicy[failure.code] === 'auto') ?? failures[0] ?? null;
}

function endState(failure: DailiesError | null, delivered: readonly Delivered[]): string {
  if (delivered.length === 0) return failure === null ? 'succeeded' : 'failed';
  if (delivered.every((one) => one.state === 'succeeded')) return 'succeeded';
  return delivered.every((one) => one.state === 'failed') ? 'failed' : 'partial';
}

/** A report as the state database has it. */
type StoredReport = NonNullable<Awaited<ReturnType<State['report']['findUnique']>>>;

async function attemptRun(
  deps: RunDeps,
  runId: string,
  report: StoredReport,
  signal: AbortSignal,
): Promise<Delivered[]> {
  const owner = await readOwner(deps.state, report.owner);
  const parameters = reportParameters(report.parameters);
  const { id } = await deps.queries.submit({ sql: report.sql, parameters, origin: 'report' }, owner);
  const end = await waitFor(deps.queries, id, owner, signal);
  await deps.state.reportRun.update({ where: { id: runId }, data: { rows: BigInt(end.rowCount) } });
  const { columns } = await deps.queries.readBatches(id, owner);
  const result: ReportResult = {
    report: report.name,
    run: runId,
    columns,
    rowCount: end.rowCount,
    batches: async function* () {
      const { batches } = await deps.queries.readBatches(id, owner);
      for await (const rows of batches) yield rows.map(wholeRow);
    },
    file: (format) => deps.queries.resultFile(id, owner, format),
  };
  const specs = Array.isArray(report.deliveries) ? report.deliveries : [];
  const delivered: Delivered[] = [];
  for (const [ordinal, spec] of specs.entries()) {
    delivered.push(await attemptDelivery(deps, runId, ordinal, spec, result, signal));
  }
  return delivered;
}

/** A query's result carries every value: only an event of a source may lack one. */
function wholeRow(row: Row): ResultRow {
  return row as ResultRow;
}

/** A report reads with its owner's rights as they are now; an owner whom nobody named has none. */
async function readOwner(state: State, email: string): Promise<Principal> {
  const person = await state.person.findUnique({ where: { email } });
  return { email, roles: person?.roles ?? [], kind: 'person' };
}

async function waitFor(queries: ReportQueries, id: string, owner: Principal, signal: AbortSignal): Promise<QueryEnd> {
  try {
    const end = await queries.wait(id, owner, signal);
    if (end.state === 'succeeded') return end;
    throw end.error === null
      ? new DailiesError('cancelled', "The report's query was cancelled.")
      : new DailiesError(end.error.code, end.error.message, { details: end.error.details });
  } catch (thrown) {
    if (signal.aborted) await queries.cancel(id, owner);
    throw thrown;
  }
}

/** One delivery; what went wrong with it is told, and leaves the others alone. Aborting ends them all. */
async function attemptDelivery(
  deps: RunDeps,
  runId: string,
  ordinal: number,
  spec: unknown,
  result: ReportResult,
  signal: AbortSignal,
): Promise<Delivered> {
  const { state } = deps;
  const before = await state.runDestination.findUnique({ where: { runId_ordinal: { runId, ordinal } } });
  if (before?.state === 'succeeded' || before?.state === 'partial') return { state: before.state, failure: null };
  const progress = noProgress();
  const save = (label: { kind: string; target: string }, now: string, failure: DailiesError | null) => {
    const data = { ...label, ...counts(progress, before), state: now, errors: told(progress.errors, failure) };
    return state.runDestination.upsert({
      where: { runId_ordinal: { runId, ordinal } },
      create: { runId, ordinal, ...data },
      update: data,
    });
  };
  let label = { kind: kindOf(spec), target: '' };
  try {
    const { module, config } = parseDelivery(deps.destinations, await deps.resolveSecrets(spec));
    label = { kind: module.id, target: module.target(config) };
    await save(label, 'running', null);
    await deps.exclusive.run(module.exclusive(config), signal, async () => {
      const destination = module.open(config, deps.destinationDeps);
      const ledger = openLedger(state, result.report, `${label.kind}/${label.target}`);
      try {
        await deliver(destination, result, ledger, progress, signal);
      } finally {
        await destination.close();
      }
    });
    const now = progress.errors.length === 0 ? 'succeeded' : 'partial';
    await save(label, now, null);
    return { state: now, failure: null };
  } catch (thrown) {
    signal.throwIfAborted();
    const failure = toDailiesError(thrown);
    await save(label, 'failed', failure);
    return { state: 'failed', failure };
  }
}

function kindOf(spec: unknown): string {
  return typeof spec === 'object' && spec !== null && 'kind' in spec ? String(spec.kind) : '';
}

function parseDelivery(destinations: readonly DestinationModule[], spec: unknown) {
  const module = destinations.find((one) => one.id === kindOf(spec));
  if (module === undefined) {
    const known = destinations.map((one) => one.id).join(', ');
    throw new DailiesError('unsupported', `There is no delivery of the kind ${kindOf(spec)}. There are ${known}.`);
  }
  const { kind: _, ...settings } = spec as { kind: string };
  const parsed = module.config.safeParse(settings);
  if (parsed.success) return { module, config: parsed.data };
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`.trim());
  throw new DailiesError('definition_invalid', `The delivery to ${module.title} is not right: ${problems.join('; ')}.`);
}

/** A run that was tried before has done part of its work then. */
function counts(progress: Outcome, before: Omit<Outcome, 'errors'> | null): Omit<Outcome, 'errors'> {
  return {
    delivered: progress.delivered,
    added: progress.added + (before?.added ?? 0),
    changed: progress.changed + (before?.changed ?? 0),
    removed: progress.removed + (before?.removed ?? 0),
    written: progress.written + (before?.written ?? 0),
  };
}

function told(errors: readonly RowError[], failure: DailiesError | null): { key: string; message: string }[] {
  const all = [...(failure === null ? [] : [{ key: '', message: failure.message }]), ...errors.slice(0, keptErrors)];
  const more = errors.length - keptErrors;
  return more > 0 ? [...all, { key: '', message: `${more} more rows were left out for like reasons.` }] : all;
}
