import { DailiesError } from '../error.ts';
import type { State } from '../state/state.ts';
import { type ActiveQuery, elapsedOf } from './active-query.ts';
import { scanTimeOf } from './as-of.ts';
import type { ChildPool, QueryChild } from './child-pool.ts';
import { damagedFile } from './damaged-file.ts';
import { holdReads, whileAlive } from './hold-reads.ts';
import type { Housekeeping } from './housekeeping.ts';
import type { QueryLimits } from './query-limits.ts';
import { type LocalFilesRule, type PlanTable, planTables, type QueryPlan, requireParameters } from './query-plan.ts';
import type { QueryRecords } from './query-records.ts';
import { type QueryErrorRecord, queryError } from './query-state.ts';
import type { ResultStore } from './result-store.ts';
import type { TableNames } from './table-lookup.ts';

export interface RunnerDeps {
  state: State;
  catalog: TableNames;
  plan: PlanTable | undefined;
  localFiles: LocalFilesRule;
  limits: QueryLimits;
  now: () => Date;
  pool: ChildPool;
  store: ResultStore;
  records: QueryRecords;
  housekeeping: Housekeeping;
}

/** Runs queries, some at once and others in their turn, each from its place in the queue to its stored end. */
export class QueryRunner {
  readonly #deps: RunnerDeps;
  readonly #active = new Map<string, ActiveQuery>();
  readonly #queue: ActiveQuery[] = [];
  #running = 0;

  constructor(deps: RunnerDeps) {
    this.#deps = deps;
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.#queue.length;
  }

  find(id: string): ActiveQuery | undefined {
    return this.#active.get(id);
  }

  /** Takes a query that has its folder and its record. */
  add(query: ActiveQuery): void {
    this.#active.set(query.id, query);
    this.#queue.push(query);
    this.#startNext();
  }

  /** Resolves when its end is stored, its process gone. */
  async stop(query: ActiveQuery, reason: 'cancelled' | 'time'): Promise<void> {
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

  /** Stops all. */
  async close(): Promise<void> {
    await Promise.all([...this.#active.values()].map((query) => this.stop(query, 'cancelled')));
  }

  #startNext(): void {
    while (this.#running < this.#deps.limits.concurrent) {
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
    const timer = setTimeout(() => void this.stop(query, 'time'), this.#deps.limits.timeMs);
    let error: QueryErrorRecord | null = null;
    try {
      // Both are over before the end is stored: a late "running" must not come after it.
      const over = await Promise.allSettled([this.#run(query), this.#deps.records.start(query.id)]);
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
    const child = await this.#deps.pool.acquire();
    query.child = child;
    if (query.stop !== null) return;
    const plan = await this.#prepare(query, child);
    const { tables, count, files } = plan;
    const { state, catalog, limits, store, now } = this.#deps;
    const forMs = limits.timeMs + 60_000;
    await using _held = await holdReads(plan, child, { state, catalog, forMs, now: now() });
    const { sql, parameters } = query;
    const { tempBytes, resultBytes } = limits;
    const resultDir = store.pathOf(query.id);
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
    const { catalog, plan: planTable, localFiles, limits, store, pool } = this.#deps;
    try {
      const analysis = await child.analyse(query.sql);
      requireParameters(analysis.parameters, query.parameters);
      const plan = await whileAlive(
        child,
        planTables(catalog, analysis, {
          asOf: query.asOf === null ? null : scanTimeOf(query.asOf),
          parameters: query.parameters,
          plan: planTable,
          masks: { path: store.masksOf(query.id), threads: limits.threads },
          localFiles,
        }),
      );
      query.snapshots = plan.snapshots;
      return plan;
    } catch (thrown) {
      // A child whose statement turns out not to run has run nothing: it is as good as new.
      query.child = null;
      pool.release(child);
      throw thrown;
    }
  }

  #stopError(stop: 'cancelled' | 'time'): QueryErrorRecord | null {
    if (stop === 'cancelled') return null;
    const seconds = this.#deps.limits.timeMs / 1000;
    return new DailiesError(
      'query_limit',
      `The query ran longer than ${seconds} s and was stopped. Read fewer rows or aggregate earlier.`,
    ).toJSON();
  }

  /** Stores the final state, before anybody who waits goes on. */
  async #finish(query: ActiveQuery, error: QueryErrorRecord | null): Promise<void> {
    const { store, records, housekeeping } = this.#deps;
    query.state = query.stop === 'cancelled' ? 'cancelled' : error === null ? 'succeeded' : 'failed';
    await housekeeping.attempt(async () => {
      await store.end(query.id);
      const { state, columns, rowCount, snapshots } = query;
      await records.end(query.id, { state, columns, rowCount, snapshots, elapsedMs: elapsedOf(query), error });
    });
    this.#active.delete(query.id);
    query.end();
    housekeeping.pruneSometimes();
  }
}
