import type { Row, Schema } from '#catalog/schemas/schema.ts';

/** Debezium's operations: create, update, delete, read (by a snapshot), truncate. */
export type Op = 'c' | 'u' | 'd' | 'r' | 't';

/**
 * One change to one row. `before` is null for c and r; for u and d it holds at least the key (other values may be
 * UNKNOWN), or is null for a u whose key did not change and whose source told no old row. `after` is null for d and t. A key change is two events, d then c.
 */
export interface ChangeEvent {
  op: Op;
  before: Row | null;
  after: Row | null;
  /** Index into the transactions of the batch. */
  tx: number;
}

/** A committed transaction of the source. */
export interface Transaction {
  /** The source's own id of it. */
  id: string;
  /** Position just after its commit: two transactions compare by this, never by where their events stand. */
  position: SourcePosition;
  /** Commit time, microseconds since 1970 UTC. */
  timeMicros: bigint;
}

/** A place in a source's history, in the source's own notation (`0/16B3748` for Postgres); only the source compares two. */
export type SourcePosition = string;

/**
 * Consecutive changes of one table that share a schema, in source order. Without events it announces the schema, where the
 * source tells of it before there are rows: it alone may say what became of columns (`Field.formerName`). Where values that
 * have landed cannot become a column's announced type, the source reads the table again: a snapshot-begin of it follows.
 */
export interface TableChanges {
  /** source.schema.table */
  table: string;
  schema: Schema;
  events: ChangeEvent[];
  transactions: readonly Transaction[];
}

/**
 * What a source hands over at once, and what one record of a log holds. Items stand in source order for each table; two
 * tables' items within a batch may be reordered, for a batch is applied as a whole.
 */
export interface Batch {
  items: BatchItem[];
  /** Position after the last transaction that is complete with this batch; restart from here loses nothing. */
  position: SourcePosition;
  /** Commit time of that transaction, or when the source was known to be idle at `position`; microseconds UTC. */
  timeMicros: bigint;
  /**
   * False while more of a transaction or of a table's snapshot follows: nothing of it may become visible before it ends.
   * Of a snapshot that is chunked only what is between two chunks is so whole.
   */
  isComplete: boolean;
}

/**
 * Rows of a snapshot, each an op r without a transaction of its own, as a Parquet file: column `c0`, `c1`, … holds the
 * schema's first, second, … field in the DuckDB type that carries it (`duckdbTypeName`).
 */
export interface SnapshotRows {
  /** source.schema.table */
  table: string;
  schema: Schema;
  rows: number;
  parquet: Uint8Array;
}

export type BatchItem =
  | { kind: 'changes'; changes: TableChanges }
  | { kind: 'snapshot-rows'; snapshotRows: SnapshotRows }
  /**
   * Rows of `table` follow as op r or as files until its snapshot-end; an earlier unfinished snapshot of it is void.
   *
   * Not chunked: all rows have this schema, no change of the table stands between them, and what is cut before its end is
   * void. Chunked: changes of the table stand between the chunks, and both are applied in their order, by key; rows and
   * changes have their own schemas, which may differ from this one. It is not void after a crash or a restart but goes on,
   * without another snapshot-begin, under the same generation.
   */
  | { kind: 'snapshot-begin'; table: string; schema: Schema; generation: number; isChunked: boolean }
  | SnapshotChunk
  /**
   * Not chunked: the rows since snapshot-begin are the whole table as of this batch's position. Chunked: keys that neither a
   * chunk nor a change has touched since snapshot-begin do not exist any more.
   */
  | { kind: 'snapshot-end'; table: string; generation: number; rows: number };

/** Closes a chunk of a chunked snapshot: it stands in the same batch as the chunk's last rows, and that batch is complete. */
export interface SnapshotChunk {
  kind: 'snapshot-chunk';
  /** source.schema.table */
  table: string;
  generation: number;
  /** The source's own text, after which reading goes on. It holds values of keys: no line of an operator's log has it. */
  cursor: string;
  /** Of the snapshot so far. */
  rows: number;
  /** How many rows the source takes the table to have; null where it cannot tell. */
  estimatedRows: number | null;
}

/** True for changes without events: they say which shape is to come. */
export function isAnnouncement(item: BatchItem): boolean {
  return item.kind === 'changes' && item.changes.events.length === 0;
}

/** The table that an item is of, source.schema.table. */
export function tableOf(item: BatchItem): string {
  if (item.kind === 'changes') return item.changes.table;
  return item.kind === 'snapshot-rows' ? item.snapshotRows.table : item.table;
}

/** The shape of the rows that an item brings or begins; null for one without rows. */
export function schemaOf(item: BatchItem): Schema | null {
  switch (item.kind) {
    case 'changes':
      return item.changes.schema;
    case 'snapshot-rows':
      return item.snapshotRows.schema;
    case 'snapshot-begin':
      return item.schema;
    default:
      return null;
  }
}
