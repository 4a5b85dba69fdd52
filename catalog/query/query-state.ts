import type { Query } from '#prisma/generated/client.ts';
import { type ErrorRecord, toDailiesError } from '../error.ts';
import { typeName } from '../schemas/schema.ts';
import type { ResultColumn } from './child-protocol.ts';
import { StatementError } from './query-problem.ts';

/** What whoever asked can see of a query. */
export interface QueryState {
  id: string;
  sql: string;
  state: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  /** Null until the first rows are there; `type` as `typeName` writes it. */
  columns: { name: string; type: string }[] | null;
  /** Rows that can be read by now. */
  rowCount: number;
  elapsedMs: number | null;
  /** The snapshot of each table that is read, by name, ids as text. */
  snapshots: Record<string, string>;
  error: QueryErrorRecord | null;
  createdAt: Date;
}

/** `line` and `column` count from 1 and are there where the error has a place in the SQL. */
export interface QueryErrorRecord extends ErrorRecord {
  line?: number;
  column?: number;
}

export function queryError(thrown: unknown): QueryErrorRecord {
  if (thrown instanceof StatementError) {
    const { code, message, ...place } = thrown.problem;
    return { code, message, details: place, ...place };
  }
  return toDailiesError(thrown).toJSON();
}

export function storedState(row: Query): QueryState {
  return {
    id: row.id,
    sql: row.sql,
    state: row.state as QueryState['state'],
    columns: shownColumns(storedColumns(row)),
    rowCount: Number(row.rowCount ?? 0),
    elapsedMs: row.elapsedMs,
    snapshots: (row.snapshots as Record<string, string> | null) ?? {},
    error: row.error as QueryErrorRecord | null,
    createdAt: row.createdAt,
  };
}

/** The columns as `QueryService` stores them: their types whole. */
export function storedColumns(row: Query): ResultColumn[] | null {
  return row.columns as unknown as ResultColumn[] | null;
}

export function shownColumns(columns: readonly ResultColumn[] | null): QueryState['columns'] {
  return columns?.map(({ name, type }) => ({ name, type: typeName(type) })) ?? null;
}
