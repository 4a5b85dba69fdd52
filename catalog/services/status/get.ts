import { requireAccess } from '../../access/principal.ts';
import type { ErrorRecord } from '../../error.ts';
import { ownName, targetName } from '../../iceberg/tables/table-name.ts';
import { type ReplayRecord, readReplay } from '../pipeline/replay-record.ts';
import type { Scope } from '../scope.ts';
import { withWarnings } from '../source/source-warnings.ts';
import { readTableSnapshot, type TableSnapshot } from '../source/table-snapshot.ts';
import { readPosition } from '../table/freshness.ts';
import { type Lag, measureLag, type Reached, type SourceHead, worstLag } from './lag.ts';

/** The document of `dailies status`. */
export interface Status {
  url: string;
  sources: Record<string, SourceStatus>;
  /** With the last replay that was asked for, if any. */
  pipelines: Record<string, Flow & { replay?: ReplayRecord }>;
  /** By `<pipeline>/<kind>/<target>`. */
  sinks: Record<string, Flow>;
  /** Where another server's catalog is used. */
  catalog?: ExternalCatalogStatus;
  studio?: unknown;
}

export interface SourceStatus extends Flow {
  /** What threatens it while it still runs, the oldest first; `since` is ISO 8601. */
  warnings: { code: string; message: string; since: string }[];
  tables: Record<string, TableStatus>;
}

export interface TableStatus {
  state: string;
  rows: number;
  /** How far its snapshot is, while one is under way. */
  snapshot?: TableSnapshot;
  lastError: ErrorRecord | null;
}

export interface ExternalCatalogStatus {
  uri: string;
  /** False: the tables of one pipeline are committed one after the other, and may be seen apart for a moment. */
  commitsTogether: boolean;
}

export interface Flow {
  /** snapshotting | running | paused | failed */
  state: string;
  rows: number;
  lag: Lag;
  lastError: ErrorRecord | null;
}

/** A store that is asked where its history ends, while a status is put together. */
export interface AskedSource {
  head(signal: AbortSignal): Promise<string>;
  /** Bytes of history from `from` to `to`. */
  distance(from: string, to: string): number;
  close(): Promise<void>;
}

export interface StatusDeps extends Scope {
  url: string;
  now: () => Date;
  /** Throws where the source cannot be opened: its lag is then null. */
  openSource(name: string): Promise<AskedSource>;
  /** null where tables are in our own catalog. */
  catalog: ExternalCatalogStatus | null;
  /** The sample studio's addresses, null where there is none. */
  studio(): Promise<unknown | null>;
}

const askTimeoutMs = 2000;
const coverTimeoutMs = 2500;
const pollMs = 40;

/**
 * Asks each source where its history ends, gives the worker up to 2.5 s to cover that (it tells its positions twice a second), then tells the state of all
 * parts. Takes at most some five seconds.
 */
export async function getStatus(deps: StatusDeps, signal: AbortSignal): Promise<Status> {
  requireAccess(deps.who, 'pipeline.read', 'see the status');
  const names = (await deps.state.source.findMany({ select: { name: true } })).map((source) => source.name);
  const heads = new Map<string, SourceHead>();
  const opened: AskedSource[] = [];
  try {
    await Promise.all(
      names.map(async (name) => {
        const source = await askHead(deps, name, signal);
        if (source === null) return;
        opened.push(source.source);
        heads.set(name, { head: source.head, distance: source.source.distance.bind(source.source) });
      }),
    );
    const deadline = deps.now().getTime() + coverTimeoutMs;
    for (;;) {
      const status = await readStatus(deps, heads);
      if (isCovered(status) || deps.now().getTime() >= deadline || signal.aborted) {
        const studio = await deps.studio();
        return {
          ...status,
          ...(deps.catalog === null ? {} : { catalog: deps.catalog }),
          ...(studio === null ? {} : { studio }),
        };
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  } finally {
    await Promise.all(opened.map((source) => source.close().catch(() => undefined)));
  }
}

/** null for a source that does not answer in time: why is in its `lastError`, which the worker keeps. */
async function askHead(
  deps: StatusDeps,
  name: string,
  signal: AbortSignal,
): Promise<{ source: AskedSource; head: string } | null> {
  let source: AskedSource | null = null;
  try {
    source = await deps.openSource(name);
    return { source, head: await source.head(AbortSignal.any([signal, AbortSignal.timeout(askTimeoutMs)])) };
  } catch {
    await source?.close().catch(() => undefined);
    return null;
  }
}

function isCovered(status: Status): boolean {
  const flows = [...Object.values(status.sources), ...Object.values(status.pipelines), ...Object.values(status.sinks)];
  return flows.every((flow) => flow.state !== 'running' || flow.lag.bytes === null || flow.lag.bytes === 0);
}

async function readStatus({ state, url, now }: StatusDeps, heads: ReadonlyMap<string, SourceHead>): Promise<Status> {
  const byName = { orderBy: { name: 'asc' } } as const;
  const [sources, landed, pipelines] = await Promise.all([
    state.source.findMany({ ...byName, include: { tables: byName, warnings: withWarnings } }),
    state.dataTable.findMany({
      where: { pipeline: { not: null } },
      select: { name: true, pipeline: true, sources: true, rows: true },
    }),
    state.pipeline.findMany({ ...byName, include: { sinks: { orderBy: [{ kind: 'asc' }, { target: 'asc' }] } } }),
  ]);
  const status: Status = { url, sources: {}, pipelines: {}, sinks: {} };
  const whole = rowsOfWhole(landed, pipelines);
  for (const source of sources) {
    const rowsOf = (table: { name: string; rows: bigint | null }) =>
      Number(whole.get(`${source.name}.${table.name}`) ?? table.rows ?? 0);
    const tables = source.tables.map((table): [string, TableStatus] => {
      const snapshot = readTableSnapshot(table);
      const lastError = table.lastError as ErrorRecord | null;
      return [table.name, { state: table.state, rows: rowsOf(table), ...(snapshot ? { snapshot } : {}), lastError }];
    });
    const reached: Reached = {
      [source.name]: { position: source.position, timeMs: (source.coveredAt ?? source.sourceTime)?.getTime() ?? null },
    };
    status.sources[source.name] = {
      state: source.state,
      rows: source.tables.reduce((sum, table) => sum + rowsOf(table), 0),
      lag: measureLag(reached, heads, now()),
      lastError: source.lastError as ErrorRecord | null,
      warnings: source.warnings.map((warning) => ({ ...warning, since: warning.since.toISOString() })),
      tables: Object.fromEntries(tables),
    };
  }
  for (const pipeline of pipelines) {
    const sourceNames = [
      ...new Set((pipeline.spec as { from?: string[] }).from?.map((from) => from.split('.', 1)[0] ?? '')),
    ];
    const reachedBy = (position: unknown): Reached => {
      const known = readPosition(position);
      return Object.fromEntries(sourceNames.map((name) => [name, known[name] ?? { position: null, timeMs: null }]));
    };
    const shown = (own: string) => {
      if (pipeline.state === 'failed') return 'failed';
      return pipeline.desired === 'paused' && own !== 'failed' ? 'paused' : own;
    };
    const lags: Lag[] = [];
    // Where it goes on without some of its targets, its error is theirs alone.
    const isPartial = pipeline.state !== 'failed' && pipeline.sinks.some(({ state }) => state === 'failed');
    for (const sink of pipeline.sinks) {
      const lag = measureLag(reachedBy(sink.position), heads, now());
      if (!isPartial || sink.state !== 'failed') lags.push(lag);
      status.sinks[`${pipeline.name}/${sink.kind}/${sink.target}`] = {
        state: shown(sink.state),
        rows: Number(sink.rows),
        lag,
        lastError: (sink.lastError ?? (isPartial ? null : pipeline.lastError)) as ErrorRecord | null,
      };
    }
    const replay = readReplay(pipeline.replay);
    status.pipelines[pipeline.name] = {
      state: shown(pipeline.state),
      rows: pipeline.sinks.reduce((sum, sink) => sum + Number(sink.rows), 0),
      // Its sinks come forward by themselves; the pipeline is where its last one is.
      lag: lags.length > 0 ? worstLag(lags) : measureLag(reachedBy(pipeline.position), heads, now()),
      lastError: pipeline.lastError as ErrorRecord | null,
      ...(replay ? { replay } : {}),
    };
  }
  return status;
}

/**
 * Source table → rows, of those that a pipeline lands as they are: what it holds now. Of the others only the last snapshot
 * counted.
 */
function rowsOfWhole(
  landed: readonly { name: string; pipeline: string | null; sources: string[]; rows: bigint }[],
  pipelines: readonly { name: string; spec: unknown }[],
): Map<string, bigint> {
  const plain = new Map(pipelines.filter(({ spec }) => isPlain(spec)).map(({ name, spec }) => [name, spec]));
  return new Map(
    landed.flatMap(({ name, pipeline, sources: [only, ...others], rows }): [string, bigint][] =>
      pipeline !== null &&
      plain.has(pipeline) &&
      only !== undefined &&
      others.length === 0 &&
      !holdsChanges(plain.get(pipeline), name, only)
        ? [[only, rows]]
        : [],
    ),
  );
}

/** True for a table whose rows are changes, not those of its source. */
function holdsChanges(spec: unknown, table: string, source: string): boolean {
  const { to = [] } = spec as { to?: { mode?: unknown; table?: unknown }[] };
  const name = ownName(source);
  return to.some(
    (sink) => sink.mode === 'changes' && typeof sink.table === 'string' && targetName(sink.table, name) === table,
  );
}

function isPlain(spec: unknown): boolean {
  const { steps } = spec as { steps?: unknown[] };
  return steps === undefined || steps.length === 0;
}
