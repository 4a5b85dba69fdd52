import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { askerName, type Principal, requireAccess } from '../access/principal.ts';
import { DailiesError, toDailiesError } from '../error.ts';
import { IcebergCatalog } from '../iceberg/tables/catalog.ts';
import type { Row } from '../schemas/schema.ts';
import type { State } from '../state/state.ts';
import { type AsOf, scanTimeOf, storedAsOf } from './as-of.ts';
import { ChildPool, type QueryChild } from './child-pool.ts';
import type { ResultColumn } from './child-protocol.ts';
import { damagedFile } from './damaged-file.ts';
import { type Described, describeIn } from './describe-sql.ts';
import { holdReads, whileAlive } from './hold-reads.ts';
import type { JsonCell } from './json-values.ts';
import { type BoundParameter, bindParameters } from './parameters.ts';
import { defaultLimits, type QueryLimits } from './query-limits.ts';
import { type LocalFilesRule, type PlanTable, planTables, type QueryPlan, requireParameters } from './query-plan.ts';
import { noSuchQuery, QueryRecords } from './query-records.ts';
import {
  type QueryErrorRecord,
  type QueryState,
  queryError,
  shownColumns,
  storedColumns,
  storedState,
} from './query-state.ts';
import { type ExportFormat, exportFormats, ResultReader } from './result-reader.ts';
import { ResultStore } from './result-store.ts';
import type { TableNames } from './table-lookup.ts';

export interface QueryRequest {
  sql: string;
  /** Values of the `:name` parameters: plain JSON values, Dates, or `{type, value}` with a report's declared type. */
  parameters?: Record<string, unknown>;
  /** Tables are read as they were then; now if left out. */
  asOf?: AsOf;
  /** `catalog` marks samples that the product itself asks for. */
  origin: 'browser' | 'api' | 'report' | 'catalog';
}

export interface QueryDeps {
  state: State;
  catalog: TableNames;
  /** Folder for results, made if missing; several services may share it. */
  resultsDir: string;
  /** How a table is read; `planScan` of our own Iceberg tables if left out. */
  plan?: PlanTable;
  now?: () => Date;
  limits?: Partial<QueryLimits>;
}

interface ActiveQuery {
  id: string;
  owner: string;
  sql: string;
  parameters: BoundParameter[];
  asOf: AsOf | null;
  createdAt: Date;
  startedMs: number | null;
  state: QueryState['state'];
  columns: ResultColumn[] | null;
  rowCount: number;
  snapshots: Record<string, string>;
  child: QueryChild | null;
  /** Why it was stopped from outside, null if it was not. */
  stop: 'cancelled' | 'time' | null;
  /** Resolves when the final state is stored. */
  ended: Promise<void>;
  end: () => void;
}

const largestPage = 10_000;

/** Runs people's SELECTs, each in a locked process of its own, and keeps their results for who asked. */
export class QueryService {
  readonly #deps: QueryDeps;
  readonly #limits: QueryLimits;
  readonly #now: () => Date;
  readonly #localFiles: LocalFilesRule;
  readonly #records: QueryRecords;
  readonly #store: ResultStore;
  readonly #reader: ResultReader;
  readonly #pool: ChildPool;
  readonly #active = new Map<string, ActiveQuery>();
  readonly #queue: ActiveQuery[] = [];
  #housekeeping: Promise<void>;
  /** Why the housekeeping could not be done: whoever asks next is told, so that disks don't fill in silence. */
  #failure: unknown = null;
  #running = 0;
  #prunedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(deps: QueryDeps) {
    this.#deps = deps;
    this.#limits = { ...defaultLimits, ...deps.limits };
    this.#now = deps.now ?? (() => new Date());
    // Where another server's warehouse is, is for it to say; nothing of it is in our own home.
    this.#localFiles =
      deps.catalog instanceof IcebergCatalog
        ? { below: deps.catalog.warehouseLocation }
        : { notBelow: path.dirname(path.resolve(deps.resultsDir)) };
    this.#records = new QueryRecords(deps.state, this.#now);
    this.#store = new ResultStore(deps.resultsDir, this.#limits.kept, this.#now);
    fs.mkdirSync(this.#store.dir, { recursive: true });
    this.#reader = new ResultReader(this.#store.dir);
    const { memoryBytes, threads, warm } = this.#limits;
    const cwd = this.#store.dir;
    this.#pool = new ChildPool({ memoryBytes, threads, size: warm, cwd, compiledDir: path.join(cwd, '.compiled') });
    this.#housekeeping = this.#keepHouse(() => this.#cleanUp());
  }

  /**
   * Takes a statement; what is wrong with it shows in the query's state. Throws `forbidden`, `invalid` (a parameter's value),
   * `too_large`, and `query_limit` while too many wait.
   */
  async submit(request: QueryRequest, who: Principal): Promise<{ id: string }> {
    requireAccess(who, 'sql.run', 'run SQL');
    this.#throwFailure();
    if (request.sql.length > this.#limits.sqlLength) {
      throw new DailiesError('too_large', `The SQL is longer than ${this.#limits.sqlLength} characters.`);
    }
    if (this.#queue.length >= this.#limits.queued) {
      throw new DailiesError('query_limit', `${this.#queue.length} queries wait already: try again in a minute.`);
    }
    const query = this.#newQuery(request, who);
    await this.#store.begin(query.id);
    const { id, owner, sql, createdAt } = query;
    const { origin, parameters = {} } = request;
    try {
      await this.#records.create({ id, owner, sql, ...storedAsOf(query.asOf), createdAt, origin }, parameters);
    } catch (cause) {
      // Its folder is nobody's: as that of a query that has ended it goes with the oldest.
      await this.#store.end(id);
      throw cause;
    }
    this.#active.set(id, query);
    this.#queue.push(query);
    this.#startNext();
    return { id };
  }

  /** Throws `not_found` for a query that is not there or is somebody else's; so do all below. */
  async get(id: string, who: Principal): Promise<QueryState> {
    const active = this.#activeOf(id, who);
    if (active) return this.#stateOf(active);
    return storedState(await this.#records.find(id, askerName(who)));
  }

  /** Rows from `offset`, at most `limit` ≤ 10,000, as far as they are there by now. Values as in `jsonFromDuckdb`. */
  async rows(id: string, who: Principal, offset: number, limit: number): Promise<JsonCell[][]> {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new DailiesError('invalid', 'offset must be a whole number from 0.');
    if (!Number.isSafeInteger(limit) || limit < 0 || limit > largestPage) {
      throw new DailiesError('invalid', `limit must be a whole number from 0 to ${largestPage}.`);
    }
    const columns = await this.#columnsOf(id, who);
    if (columns === null) return [];
    const rows = await this.#reader.page(this.#store.pathOf(id), columns, offset, limit);
    if (rows.length === 0 && !this.#active.has(id)) await this.#requireKept(id);
    return rows;
  }

  /** Stops the query, its process gone when resolved; nothing happens to one that has ended. */
  async cancel(id: string, who: Principal): Promise<void> {
    const active = this.#activeOf(id, who);
    if (!active) {
      await this.#records.find(id, askerName(who));
      return;
    }
    await this.#stop(active, 'cancelled');
  }

  /** Resolves with the final state. Aborting the signal stops the waiting, not the query. */
  async wait(id: string, who: Principal, signal?: AbortSignal): Promise<QueryState> {
    const active = this.#activeOf(id, who);
    if (active) await untilAborted(active.ended, signal);
    for (;;) {
      const state = await this.get(id, who);
      if (state.state !== 'queued' && state.state !== 'running') return state;
      // Another process runs it: its state is in the database only.
      await untilAborted(new Promise<void>((resolve) => setTimeout(resolve, 200)), signal);
    }
  }

  /** Path of a file of the whole result. Throws `conflict` while it is not complete, `unsupported` for xlsx. */
  async resultFile(
    id: string,
    who: Principal,
    format: ExportFormat | 'xlsx',
    options: { bom?: boolean } = {},
  ): Promise<string> {
    const columns = await this.#completeColumns(id, who);
    if (!isExportFormat(format)) {
      throw new DailiesError(
        'unsupported',
        `Results cannot be had as ${format} yet: choose ${exportFormats.join(', ')}.`,
      );
    }
    return await this.#reader.file(this.#store.pathOf(id), columns, format, options.bom);
  }

  /** The whole result for a delivery, in order, in the value forms of `schema.ts`. Throws `conflict` while it is not complete. */
  async readBatches(id: string, who: Principal): Promise<{ columns: ResultColumn[]; batches: AsyncIterable<Row[]> }> {
    const columns = await this.#completeColumns(id, who);
    await this.#requireKept(id);
    return {
      columns,
      batches: this.#reader.batches(
        this.#store.pathOf(id),
        columns.map((column) => column.type),
      ),
    };
  }

  /**
   * What the statement would read and take, without running it. With `mayLackTables` names of tables that do not exist (yet)
   * are given as they stand. Throws `sql_invalid` and `sql_refused` with their place.
   */
  async describe(sql: string, options: { mayLackTables?: boolean } = {}): Promise<Described> {
    const child = await this.#pool.acquire();
    try {
      return await describeIn(child, sql, this.#deps.catalog, options.mayLackTables ?? false);
    } finally {
      this.#pool.release(child);
    }
  }

  /** Stops all queries and ends all processes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#active.values()].map((query) => this.#stop(query, 'cancelled')));
    await this.#pool.close();
    await this.#housekeeping;
    await this.#reader.close();
  }

  #newQuery(request: QueryRequest, who: Principal): ActiveQuery {
    if (this.#isClosed) throw new DailiesError('cancelled', 'The product is stopping.');
    const { promise, resolve } = Promise.withResolvers<void>();
    return {
      id: randomUUID(),
      owner: askerName(who),
      sql: request.sql,
      parameters: bindParameters(request.parameters ?? {}),
      asOf: request.asOf ?? null,
      createdAt: this.#now(),
      startedMs: null,
      state: 'queued',
      columns: null,
      rowCount: 0,
      snapshots: {},
      child: null,
      stop: null,
      ended: promise,
      end: resolve,
    };
  }

  #startNext(): void {
    while (this.#running < this.#limits.concurrent) {
      const query = this.#takeNext();
      if (query === undefined) return;
      this.#running++;
      void this.#work(query);
    }
  }

  /** In order, but first those of whoever has the fewest running: nobody waits behind one person's many. */
  #takeNext(): ActiveQuery | undefined {
    const runningOf = (owner: string) =>
      [...this.#active.values()].filter((query) => query.owner === owner && query.state === 'running').length;
    const [next] = this.#queue.toSorted((a, b) => runningOf(a.owner) - runningOf(b.owner));
    if (next !== undefined) this.#queue.splice(this.#queue.indexOf(next), 1);
    return next;
  }

  async #work(query: ActiveQuery): Promise<void> {
    query.state = 'running';
    query.startedMs = performance.now();
    const timer = setTimeout(() => void this.#stop(query, 'time'), this.#limits.timeMs);
    let error: QueryErrorRecord | null = null;
    try {
      // Both are over before the end is stored: a late "running" must not come after it.
      const over = await Promise.allSettled([this.#run(query), this.#records.start(query.id)]);
      for (const one of over) if (one.status === 'rejected') throw one.reason;
    } catch (thrown) {
      error = queryError(thrown);
    }
    clearTimeout(timer);
    query.child?.kill();
    // Who stops a query may rely on its process being gone; who waits for rows has no use for that.
    if (query.stop !== null) await query.child?.gone;
    this.#running--;
    await this.#finish(query, query.stop === null ? error : this.#stopError(query.stop));
    this.#startNext();
  }

  async #run(query: ActiveQuery): Promise<void> {
    const child = await this.#pool.acquire();
    query.child = child;
    if (query.stop !== null) return;
    const plan = await this.#prepare(query, child);
    const { tables, count, files } = plan;
    const { state, catalog } = this.#deps;
    const forMs = this.#limits.timeMs + 60_000;
    await using _held = await holdReads(plan, child, { state, catalog, forMs, now: this.#now() });
    const { sql, parameters } = query;
    const { tempBytes, resultBytes } = this.#limits;
    const resultDir = this.#store.pathOf(query.id);
    const running = child.run(
      { kind: 'run', sql, parameters, tables, count, files, resultDir, tempBytes, resultBytes },
      {
        columns: (columns) => {
          query.columns = columns;
        },
        part: (rows) => {
          query.rowCount += rows;
        },
      },
    );
    await running.catch(async (thrown: unknown) => {
      // Of a query that was stopped nobody asks why.
      throw (query.stop === null ? await damagedFile(plan.tableFiles) : null) ?? thrown;
    });
  }

  async #prepare(query: ActiveQuery, child: QueryChild): Promise<QueryPlan> {
    try {
      const analysis = await child.analyse(query.sql);
      requireParameters(analysis.parameters, query.parameters);
      const plan = await whileAlive(
        child,
        planTables(this.#deps.catalog, analysis, {
          asOf: query.asOf === null ? null : scanTimeOf(query.asOf),
          parameters: query.parameters,
          plan: this.#deps.plan,
          masks: { path: this.#store.masksOf(query.id), threads: this.#limits.threads },
          localFiles: this.#localFiles,
        }),
      );
      query.snapshots = plan.snapshots;
      return plan;
    } catch (thrown) {
      // A child whose statement turns out not to run has run nothing: it is as good as new.
      query.child = null;
      this.#pool.release(child);
      throw thrown;
    }
  }

  async #stop(query: ActiveQuery, reason: 'cancelled' | 'time'): Promise<void> {
    query.stop ??= reason;
    const waiting = this.#queue.indexOf(query);
    if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      await this.#finish(query, null);
      return;
    }
    query.child?.kill();
    await query.ended;
  }

  #stopError(stop: 'cancelled' | 'time'): QueryErrorRecord | null {
    if (stop === 'cancelled') return null;
    const seconds = this.#limits.timeMs / 1000;
    return new DailiesError(
      'query_limit',
      `The query ran longer than ${seconds} s and was stopped. Read fewer rows or aggregate earlier.`,
    ).toJSON();
  }

  /** Stores the final state, before anybody who waits goes on. */
  async #finish(query: ActiveQuery, error: QueryErrorRecord | null): Promise<void> {
    query.state = query.stop === 'cancelled' ? 'cancelled' : error === null ? 'succeeded' : 'failed';
    try {
      await this.#store.end(query.id);
      const { state, columns, rowCount, snapshots } = query;
      await this.#records.end(query.id, { state, columns, rowCount, snapshots, elapsedMs: elapsedOf(query), error });
    } catch (thrown) {
      this.#failure = thrown;
    }
    this.#active.delete(query.id);
    query.end();
    this.#housekeeping = this.#housekeeping.then(() => this.#keepHouse(() => this.#pruneSometimes()));
  }

  async #keepHouse(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#failure = thrown;
    }
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw toDailiesError(failure);
  }

  /** Looking through all results takes longer than a small query: not after each. */
  async #pruneSometimes(): Promise<void> {
    const now = performance.now();
    if (now - this.#prunedMs < this.#limits.kept.everyMs) return;
    this.#prunedMs = now;
    await this.#store.prune();
  }

  /** What an earlier life left: results beyond the retention, queries that nobody runs any more. */
  async #cleanUp(): Promise<void> {
    await this.#store.prune();
    await this.#records.forgetBefore(this.#limits.kept.historyMs);
    await this.#records.giveUpOrphans(this.#store, this.#limits.timeMs + 3_600_000);
  }

  #activeOf(id: string, who: Principal): ActiveQuery | null {
    const query = this.#active.get(id);
    if (query !== undefined && query.owner !== askerName(who)) throw noSuchQuery();
    return query ?? null;
  }

  async #columnsOf(id: string, who: Principal): Promise<ResultColumn[] | null> {
    const active = this.#activeOf(id, who);
    return active ? active.columns : storedColumns(await this.#records.find(id, askerName(who)));
  }

  async #completeColumns(id: string, who: Principal): Promise<ResultColumn[]> {
    const { state } = await this.get(id, who);
    if (state === 'queued' || state === 'running')
      throw new DailiesError('conflict', 'The query still runs: its result is not complete yet.');
    const columns = state === 'succeeded' ? await this.#columnsOf(id, who) : null;
    if (columns === null)
      throw new DailiesError(
        'conflict',
        `The query has no complete result: it ${state === 'failed' ? 'failed' : 'was cancelled'}.`,
      );
    return columns;
  }

  async #requireKept(id: string): Promise<void> {
    if ((await this.#store.stateOf(id)) === 'gone') {
      throw new DailiesError('not_found', 'The rows of this result are no longer kept: run the query again.');
    }
  }

  #stateOf(query: ActiveQuery): QueryState {
    const { id, sql, rowCount, snapshots, createdAt } = query;
    return {
      id,
      sql,
      // An end is told once it is stored, so that its error and its columns are told with it.
      state: query.state === 'queued' ? 'queued' : 'running',
      columns: shownColumns(query.columns),
      rowCount,
      elapsedMs: elapsedOf(query),
      snapshots: { ...snapshots },
      error: null,
      createdAt,
    };
  }
}

function elapsedOf(query: ActiveQuery): number | null {
  return query.startedMs === null ? null : Math.round(performance.now() - query.startedMs);
}

function isExportFormat(format: string): format is ExportFormat {
  return exportFormats.some((known) => known === format);
}

async function untilAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return await promise;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
