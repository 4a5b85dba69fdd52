import { randomUUID } from 'node:crypto';
import { askerName, type Principal } from '../access/principal.ts';
import type { AsOf } from './as-of.ts';
import type { QueryChild } from './child-pool.ts';
import type { ResultColumn } from './child-protocol.ts';
import { type BoundParameter, bindParameters } from './parameters.ts';
import { type QueryState, shownColumns } from './query-state.ts';

export interface QueryRequest {
  sql: string;
  /** Values of the `:name` parameters: plain JSON values, Dates, or `{type, value}` with a report's declared type. */
  parameters?: Record<string, unknown>;
  /** Tables are read as they were then; now if left out. */
  asOf?: AsOf;
  /** `catalog` marks samples that the product itself asks for. */
  origin: 'browser' | 'api' | 'report' | 'catalog';
}

/** A query that this process was given and whose end is not stored yet. */
export interface ActiveQuery {
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

/** Throws `invalid` for a parameter's value. */
export function newQuery(request: QueryRequest, who: Principal, createdAt: Date): ActiveQuery {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    id: randomUUID(),
    owner: askerName(who),
    sql: request.sql,
    parameters: bindParameters(request.parameters ?? {}),
    asOf: request.asOf ?? null,
    createdAt,
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

/** What is told of a query before its end is stored, so that its error and its columns are told with its end. */
export function activeState(query: ActiveQuery): QueryState {
  const { id, sql, rowCount, snapshots, createdAt } = query;
  return {
    id,
    sql,
    state: query.state === 'queued' ? 'queued' : 'running',
    columns: shownColumns(query.columns),
    rowCount,
    elapsedMs: elapsedOf(query),
    snapshots: { ...snapshots },
    error: null,
    createdAt,
  };
}

/** Milliseconds since it started to run, null if it has not. */
export function elapsedOf(query: ActiveQuery): number | null {
  return query.startedMs === null ? null : Math.round(performance.now() - query.startedMs);
}
