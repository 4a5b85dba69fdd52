import type { NeededRows } from '../iceberg/read/scan.ts';
import type { FieldType } from '../schemas/schema.ts';
import type { BoundParameter } from './parameters.ts';
import type { TableFilter } from './table-filter.ts';
import type { TablePoint } from './table-point.ts';

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
  /** The SELECT of each table of the analysis, in its order, over the table's files. */
  tables: string[];
  /** The answer to a statement that counts a table's rows and does nothing else, where it is known without reading them. */
  count: string | null;
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
  /** Tables as the text writes them, each once for each way in which it is read. */
  tables: TableMention[];
  /** Names of `:name` parameters, in order of first mention. */
  parameters: string[];
}

/** A table that a statement names, and how it reads it. */
export interface TableMention {
  /** Levels of the namespace as the text writes them: one or two. */
  levels: string[];
  table: string;
  /** The place of the first mention. */
  at: Place | null;
  read: TableRead;
  /** What all rows fulfil that the statement needs of it; null for all of them. */
  filter: TableFilter | null;
  /** What the statement needs of the table's rows: all only where every place that reads it does. */
  needs: NeededRows;
  /** Where it needs all: names in lower case, those of all columns that it reads among them; null for all columns. */
  reads: string[] | null;
  /** True if the statement names a column of row lineage (`_row_id`), which tables show when they are asked for it. */
  wantsLineage: boolean;
}

/** As it is, or as of the whole query; as of a state of its own; what changed from one state to another, null for the last. */
export type TableRead =
  | { kind: 'now' }
  | { kind: 'at'; point: TablePoint }
  | { kind: 'changes'; from: TablePoint; to: TablePoint | null };

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
