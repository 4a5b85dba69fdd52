import type { FieldType } from '../schemas/schema.ts';
import type { BoundParameter } from './parameters.ts';

/**
 * What server and query child say to each other over the IPC channel, all of it plain JSON.
 *
 *   server                       child
 *     │ ◄──────── ready ─────────  │  DuckDB is up
 *     │ ── analyse {sql} ───────►  │  parses, checks, executes nothing
 *     │ ◄─ analysed | failed ────  │  a child that has only analysed may be used again
 *     │ ── run {views, …} ──────►  │  locks itself, executes
 *     │ ◄──────── columns ───────  │
 *     │ ◄──────── part … ────────  │  a file of the result is complete
 *     │ ◄─── done | failed ──────  │  and the child ends
 */
export type ToChild = { kind: 'analyse'; sql: string } | RunRequest;

export interface RunRequest {
  kind: 'run';
  sql: string;
  parameters: BoundParameter[];
  /** The tables that the statement names, each as a view over its files. */
  views: { namespace: string; table: string; sql: string }[];
  /** Absolute paths: all that DuckDB may open. */
  files: string[];
  /** Absolute path of an existing folder: parts of the result and temporary files go there and nowhere else. */
  resultDir: string;
  tempBytes: number;
  resultBytes: number;
}

export type FromChild =
  | { kind: 'ready' }
  | { kind: 'analysed'; analysis: Analysis }
  | { kind: 'columns'; columns: ResultColumn[] }
  | { kind: 'part'; rows: number }
  | { kind: 'done' }
  | { kind: 'failed'; error: QueryProblem };

/** What a statement asks for, found without executing any of it. */
export interface Analysis {
  /** Tables as the text writes them, each once, with the place of the first mention. */
  tables: { namespace: string; table: string; at: Place | null }[];
  /** Names of `:name` parameters, in order of first mention. */
  parameters: string[];
}

/** Where in the text, both from 1; a column counts characters. */
export interface Place {
  line: number;
  column: number;
}

export interface QueryProblem {
  code: 'sql_invalid' | 'sql_refused' | 'query_limit' | 'internal';
  message: string;
  line?: number;
  column?: number;
}

export interface ResultColumn {
  name: string;
  type: FieldType;
}
