import type { Batch, SnapshotChunk, SourcePosition } from './event.ts';

/**
 * Where a source's changes are kept until every pipeline has landed them: a topic for each source, one record a batch,
 * offsets from 0 without gaps. One process appends to a topic; several read it.
 */
export interface Log {
  /** Appends in order. Durable on disk when resolved; offsets of the records. Several calls may be under way at once. */
  append(topic: string, batches: readonly Batch[]): Promise<number[]>;

  /** Bytes of this process' appends to the topic that are not durable yet. */
  pendingBytes(topic: string): number;

  /**
   * For the start of a source, before its first append: where its last run ended within a transaction or a snapshot,
   * that part will come again whole; of a chunked snapshot that is the chunk that was not complete. Empties the records of the part and appends a record with `isRestart`, for readers
   * that have already taken some of it. Durable when resolved; may be repeated.
   */
  discardOpen(topic: string): Promise<void>;

  /** Records from `fromOffset` on, then new ones as they become durable, until aborted. Throws `not_found` if retention has passed `fromOffset`. */
  read(topic: string, fromOffset: number, signal: AbortSignal): AsyncIterable<LogRecord>;

  /** Durable records from the last one backwards, as they are when the reading begins. */
  recent(topic: string): AsyncIterable<LogRecord>;

  /** First kept and next free offset, and bytes held. */
  extent(topic: string): Promise<{ first: number; next: number; bytes: number }>;

  /** The last durable record's batch header, null for an empty topic. */
  last(topic: string): Promise<{ offset: number; position: SourcePosition; timeMicros: bigint } | null>;

  /** Where the table's snapshot that is under way, else the newest finished one, begins; null if it is not held. */
  snapshotOf(topic: string, table: string): Promise<{ offset: number; generation: number; isFinished: boolean } | null>;

  /** How far the table's snapshot is that is under way, else its newest finished one, whether or not its records are held; null for none. */
  snapshotProgress(topic: string, table: string): Promise<SnapshotProgress | null>;

  /** Remembers that each of these groups needs nothing below its offset any more, all at once. Durable when resolved. */
  commitGroups(topic: string, offsets: ReadonlyMap<string, number>): Promise<void>;
  groups(topic: string): Promise<Map<string, number>>;
  removeGroup(topic: string, group: string): Promise<void>;

  /**
   * Forgets records that every group has passed and that are older than the retention, or all groups have passed if over
   * its size; beyond the hard cap the oldest go even if a group still needs them. The last record is always kept.
   */
  trim(topic: string): Promise<void>;
  removeTopic(topic: string): Promise<void>;
  close(): Promise<void>;
}

export interface SnapshotProgress {
  generation: number;
  isFinished: boolean;
  /** The last chunk of a chunked snapshot that is under way; null before its first. */
  chunk: Pick<SnapshotChunk, 'cursor' | 'rows' | 'estimatedRows'> | null;
}

/** What can be known of a record without decoding its events, and the way to these. */
export interface LogRecord {
  offset: number;
  bytes: number;
  position: SourcePosition;
  timeMicros: bigint;
  isComplete: boolean;
  /** True where the source began anew: what was read since the last complete batch is void, and comes again. */
  isRestart: boolean;
  /** Each table with items in the batch, source.schema.table. */
  tables: readonly string[];
  /** The batch, or of its items those of the given tables. Throws `log_corrupt`. */
  batch(only?: ReadonlySet<string>): Batch;
}
