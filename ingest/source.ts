import type { z } from 'zod';
import type { Module } from '#catalog/module.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { Batch, SourcePosition } from './event.ts';
import type { Intake } from './intake.ts';

export interface SourceModule<Config extends z.ZodObject = z.ZodObject> extends Module<'source', Config> {
  /** Schemes of the addresses (`url`) that it takes, without a colon; none where it has no address. */
  readonly schemes: readonly string[];

  /**
   * False where the store keeps no rows that could be read again: a table's only snapshot is the empty one that begins it,
   * and who comes later takes what the log still holds. True if left out.
   */
  readonly hasSnapshots?: boolean;

  /** Reads no network yet. `config` has its secrets filled in. */
  open(config: z.infer<Config>, deps: SourceDeps): Source;
}

export interface SourceDeps {
  /** The source's name in the definition: first part of its tables' names. */
  name: string;
  memory: SourceMemory;
  now: () => Date;
  /** The names of all sources that are defined; given where a store is checked for what others have left there. */
  known?: readonly string[];
  /** Given where the source runs; not where it is only asked questions. */
  runtime?: SourceRuntime;
  /** Asks the process in which the source runs for its `head`; given where that is another. */
  askHead?: (signal: AbortSignal) => Promise<SourcePosition>;
}

export interface SourceRuntime {
  intake: Intake;
  /** What the log holds of this source, newest first. */
  recent(): AsyncIterable<Batch>;
}

/** A text that the source keeps with us from one start to the next, for stores in which it may write nothing. */
export interface SourceMemory {
  /** Null before the first `write`. */
  read(): Promise<string | null>;
  /** Replaces the text. Durable when resolved; forgotten with the source. */
  write(text: string): Promise<void>;
}

/** One external store whose changes we follow. Errors are DailiesErrors with a `source_…`, `table_…` or `type_…` code. */
export interface Source {
  /** The tables of the definition's patterns as they are now, without the source's name: `public.movie`. A pattern without `*` that matches nothing is a `table_unknown`. */
  discover(signal: AbortSignal): Promise<DiscoveredTable[]>;

  /** What this store still lacks before its changes can be read, each with the statement that mends it; empty if ready. */
  check(signal: AbortSignal): Promise<Requirement[]>;

  /** What this store could have beyond what is needed. */
  offers?(signal: AbortSignal): Promise<Offer[]>;

  /**
   * Everything that happened since `from`, in source order, without gap or overlap, until aborted (then it ends without
   * an error): first the snapshots of the tables marked so (each snapshot-begin … snapshot-end, then their changes since),
   * then the stream, or, of a chunked one, its chunks between what the stream tells; with a `from`, the other tables' changes up to the snapshots' position come before these. `from` is
   * the position of the last batch that is durable in the log, never before what was acknowledged; null at the very first
   * start, and after `source_slot_lost`: all tables are then snapshotted, whatever their mark. What is repeated after a
   * crash has a position ≤ `from` and is left out. While the source is idle a batch without items comes at least every
   * second, whose position says how far everything is known. A table whose changes were not recorded for a while (it had no
   * key till now) gets a snapshot unasked, with the generation given for it. Throws `source_slot_lost` where the store no
   * longer holds what happened since `from`: begin anew with null and higher generations. One call at a time.
   */
  changes(request: ChangesRequest, signal: AbortSignal): AsyncIterable<Batch>;

  /** Tells the store that everything up to `upTo` is durable with us and may be forgotten there. May be repeated. */
  ack(upTo: SourcePosition): Promise<void>;

  /** Where the store's history ends at this moment. */
  head(signal: AbortSignal): Promise<SourcePosition>;

  /** Bytes of history from `from` to `to`; 0 if `to` is not after `from`. */
  distance(from: SourcePosition, to: SourcePosition): number;

  /**
   * Reads rows again by key as they are now, for values that an event did not carry. `keys` hold the key's values in key
   * order; the answer has a row in the order of `schema.fields` for each key still there, keyed as `keys`' index.
   */
  readRows(table: string, schema: Schema, keys: readonly Row[], signal: AbortSignal): Promise<Map<number, Row>>;

  /**
   * What threatens this source while it still goes on: history that the store is about to forget before we have it, and what
   * keeps it from being read. Each code at most once; empty where all is well. Asked every ten seconds or so, also while
   * `changes` is not being read. Left out by stores that have nothing to tell.
   */
  warnings?(reached: Reached, signal: AbortSignal): Promise<SourceWarning[]>;

  /** Ends connections. The store keeps what was not acknowledged. */
  close(): Promise<void>;

  /** Removes what we made in the store (slot, publications); for a source that is removed from the definition. May be repeated. */
  drop(signal: AbortSignal): Promise<void>;
}

export interface DiscoveredTable {
  /** schema.table as the store holds it. */
  name: string;
  schema: Schema;
  /** A sentence if this table cannot be followed (an unsupported type …), naming the column; else null. */
  refusal: string | null;
  /** What a person should know of this table: columns left out, inserts only. */
  notes: string[];
  /** What the store itself says of the table, in plain words. */
  doc?: string;
}

export interface ChangesRequest {
  from: SourcePosition | null;
  /** By schema.table. */
  tables: ReadonlyMap<string, RequestedTable>;
  /** Called where the store itself tells that tables have come, gone or got other names: `discover` may answer others now. */
  onTables?: () => void;
}

export interface RequestedTable {
  /** Whether it needs a snapshot, or the rest of one. */
  snapshot: boolean;
  /** That this snapshot gets, or has. */
  generation: number;
  /**
   * Where a chunked snapshot of this generation goes on, as its last durable chunk said: without another snapshot-begin.
   * Null: from the start.
   */
  cursor: string | null;
}

/** How far what is durable with us goes; nulls before the first batch. */
export interface Reached {
  position: SourcePosition | null;
  /** When that was last known to be all that the store had. */
  at: Date | null;
}

export interface SourceWarning {
  /** Stable, for programs: `slot_behind`, `log_expiring` … */
  code: string;
  /** What threatens, how much of what is left, and what to do, in plain words; names and figures, no values. */
  message: string;
}

/** What makes a source better and is not needed. */
export interface Offer {
  /** What it brings, in one sentence. */
  benefit: string;
  /** The exact statement that brings it; null where it is there. */
  statement: string | null;
}

export interface Requirement {
  /** What is missing, in one sentence. */
  problem: string;
  /** The exact statement or setting that mends it. */
  statement: string;
}
