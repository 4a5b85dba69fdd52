import fs from 'node:fs';
import path from 'node:path';
import { askerName, type Principal, requireAccess } from '../access/principal.ts';
import { DailiesError } from '../error.ts';
import { IcebergCatalog } from '../iceberg/tables/catalog.ts';
import type { Row } from '../schemas/schema.ts';
import type { State } from '../state/state.ts';
import { unlessAborted } from '../wait.ts';
import { type ActiveQuery, activeState, newQuery, type QueryRequest } from './active-query.ts';
import { storedAsOf } from './as-of.ts';
import { ChildPool } from './child-pool.ts';
import type { ResultColumn } from './child-protocol.ts';
import { type Described, describeIn } from './describe-sql.ts';
import { Housekeeping } from './housekeeping.ts';
import type { JsonCell } from './json-values.ts';
import { defaultLimits, type QueryLimits } from './query-limits.ts';
import type { PlanTable } from './query-plan.ts';
import { noSuchQuery, QueryRecords } from './query-records.ts';
import { QueryRunner } from './query-runner.ts';
import { type QueryState, storedColumns, storedState } from './query-state.ts';
import { type ExportFormat, exportFormats, ResultReader } from './result-reader.ts';
import { ResultStore } from './result-store.ts';
import type { TableNames } from './table-lookup.ts';

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

const largestPage = 10_000;

/** Runs people's SELECTs, each in a locked process of its own, and keeps their results for who asked. */
export class QueryService {
  readonly #deps: QueryDeps;
  readonly #limits: QueryLimits;
  readonly #now: () => Date;
  readonly #records: QueryRecords;
  readonly #store: ResultStore;
  readonly #reader: ResultReader;
  readonly #pool: ChildPool;
  readonly #housekeeping: Housekeeping;
  readonly #runner: QueryRunner;
  #isClosed = false;

  constructor(deps: QueryDeps) {
    const { state, catalog, plan } = deps;
    const now = deps.now ?? (() => new Date());
    const limits = { ...defaultLimits, ...deps.limits };
    const records = new QueryRecords(state, now);
    const store = new ResultStore(deps.resultsDir, limits.kept, now);
    fs.mkdirSync(store.dir, { recursive: true });
    const { memoryBytes, threads, warm } = limits;
    const cwd = store.dir;
    const pool = new ChildPool({ memoryBytes, threads, size: warm, cwd, compiledDir: path.join(cwd, '.compiled') });
    const housekeeping = new Housekeeping(store, records, limits);
    // Where another server's warehouse is, is for it to say; nothing of it is in our own home.
    const localFiles =
      catalog instanceof IcebergCatalog
        ? { below: catalog.warehouseLocation }
        : { notBelow: path.dirname(path.resolve(deps.resultsDir)) };
    this.#deps = deps;
    this.#limits = limits;
    this.#now = now;
    this.#records = records;
    this.#store = store;
    this.#reader = new ResultReader(store.dir);
    this.#pool = pool;
    this.#housekeeping = housekeeping;
    this.#runner = new QueryRunner({
      state,
      catalog,
      plan,
      localFiles,
      limits,
      now,
      pool,
      store,
      records,
      housekeeping,
    });
    housekeeping.cleanUp();
  }

  /**
   * Takes a statement; what is wrong with it shows in the query's state. Throws `forbidden`, `invalid` (a parameter's value),
   * `too_large`, and `query_limit` while too many wait.
   */
  async submit(request: QueryRequest, who: Principal): Promise<{ id: string }> {
    requireAccess(who, 'sql.run', 'run SQL');
    this.#housekeeping.throwFailure();
    if (request.sql.length > this.#limits.sqlLength) {
      throw new DailiesError('too_large', `The SQL is longer than ${this.#limits.sqlLength} characters.`);
    }
    const { waiting } = this.#runner;
    if (waiting >= this.#limits.queued) {
      throw new DailiesError('query_limit', `${waiting} queries wait already: try again in a minute.`);
    }
    if (this.#isClosed) throw new DailiesError('cancelled', 'The product is stopping.');
    const query = newQuery(request, who, this.#now());
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
    this.#runner.add(query);
    return { id };
  }

  /** Throws `not_found` for a query that is not there or is somebody else's; so do all below. */
  async get(id: string, who: Principal): Promise<QueryState> {
    const active = this.#activeOf(id, who);
    if (active) return activeState(active);
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
    if (rows.length === 0 && !this.#runner.find(id)) await this.#requireKept(id);
    return rows;
  }

  /** Stops the query, its process gone when resolved; nothing happens to one that has ended. */
  async cancel(id: string, who: Principal): Promise<void> {
    const active = this.#activeOf(id, who);
    if (!active) {
      await this.#records.find(id, askerName(who));
      return;
    }
    await this.#runner.stop(active, 'cancelled');
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
    await this.#runner.close();
    await this.#pool.close();
    await this.#housekeeping.close();
    await this.#reader.close();
  }

  #activeOf(id: string, who: Principal): ActiveQuery | null {
    const query = this.#runner.find(id);
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
}

function isExportFormat(format: string): format is ExportFormat {
  return exportFormats.some((known) => known === format);
}

async function untilAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  await (signal === undefined ? promise : unlessAborted(promise, signal));
}
