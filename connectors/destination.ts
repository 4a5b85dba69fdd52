import type { z } from 'zod';
import type { Module } from '#catalog/module.ts';
import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import type { Pace } from './pace.ts';

/**
 * How a report's way to a destination is described and opened. Two forms exist:
 *
 *     keyed   rows have an identity there and share the place with people:   check → read → plan.ts → apply … → close
 *     whole   one document that belongs to the report alone:                 check → write → close
 *
 * Running a delivery is `deliver.ts`'s work; a destination only reads, writes and explains.
 */
export type DeliveryMode = 'append' | 'replace' | 'upsert' | 'mirror';

export interface ResultColumn {
  name: string;
  type: FieldType;
}

/** One row of a report's result, its values in the form that `catalog/schemas/schema.ts` gives for each column's type. */
export type ResultRow = readonly Value[];

/** What a destination can hold in one field. The empty text and NULL may be the same to it. */
export type Cell = string | number | boolean | null;

/** A value as the destination's cell, or the reason why it cannot hold it. */
export type Encoded = { cell: Cell } | { refused: string };

/** What the destination's own service allows; shown in the docs, held by the code. `null` where there is no such limit. */
export interface DestinationLimits {
  rows: number | null;
  columns: number | null;
  charactersPerCell: number | null;
  requests: { count: number; perMs: number } | null;
  bytesPerRequest: number | null;
  rowsPerRequest: number | null;
}

export interface DestinationModule<Config extends z.ZodObject = z.ZodObject> extends Module<'destination', Config> {
  limits: DestinationLimits;
  /** Identifies the place itself, whichever report delivers to it and wherever it stands in a list: `1AbC…/Movies`. */
  target(config: z.output<Config>): string;
  /** What may be written to by one delivery at a time only. */
  exclusive(config: z.output<Config>): string;
  /** Makes no request. */
  open(config: z.output<Config>, deps: DestinationDeps): Destination;
}

export interface DestinationDeps {
  home: string;
  /** Another address for Google's APIs and tokens; null for Google's own. */
  googleUrl: string | null;
  airtableUrl: string | null;
  /** Shared by all deliveries of the process, since quotas are counted by account and not by report. */
  pace: Pace;
}

export type Destination = KeyedDestination | WholeDestination;

interface Opened {
  /**
   * Proves that the credential and the place are good for a delivery, without writing.
   * @throws DailiesError destination_* with a sentence that says what a person has to do.
   */
  check(signal: AbortSignal): Promise<void>;
  /** Write requests sent since it was opened, those that failed included. */
  readonly written: number;
  close(): Promise<void>;
}

export interface KeyedDestination extends Opened {
  form: 'keyed';
  mode: DeliveryMode;
  /** Names of the columns that identify a row; empty where the place in the result does (`replace`, and `append` of every row). */
  key: readonly string[];
  encode(value: Value, type: FieldType): Encoded;
  /**
   * What the place holds now. Makes nothing, writes nothing; may be called again at any time, and must be after an
   * `apply` that failed with destination_unknown.
   */
  read(request: ReadRequest, signal: AbortSignal): Promise<ReadonlyMap<string, HeldRow>>;
  /**
   * Carries out changes that were planned from the last `read`; durable there when it resolves. Rows that the
   * destination refuses one by one are in `errors`; the others are done.
   * @throws DailiesError destination_unknown when nobody knows whether a request was applied: read and plan again.
   */
  apply(changes: readonly Change[], signal: AbortSignal): Promise<Applied>;
  /** Rows of changes to give to one `apply`. */
  rowsPerApply: number;
}

export interface WholeDestination extends Opened {
  form: 'whole';
  /** Puts the result there in one step: readers see the old document or the new one. Repeat-safe. */
  write(result: ReportResult, signal: AbortSignal): Promise<{ rows: number; isChanged: boolean }>;
}

export interface ReadRequest {
  report: string;
  run: string;
  columns: readonly ResultColumn[];
  rows: readonly WantedRow[];
  /** What this report gave this target before, by key. */
  delivered: ReadonlyMap<string, DeliveredRecord>;
}

export interface DeliveredRecord {
  fingerprint: string;
  remoteId: string | null;
}

export interface WantedRow {
  key: string;
  cells: readonly Cell[];
  fingerprint: string;
}

export interface HeldRow {
  fingerprint: string;
  remoteId: string | null;
  /** False for a row that people put there: it is changed by its key, and never removed. */
  isOurs: boolean;
}

export type Change =
  | { kind: 'add'; row: WantedRow }
  | { kind: 'change'; row: WantedRow; held: HeldRow }
  | { kind: 'remove'; key: string; held: HeldRow };

export interface Applied {
  /** Keys that are done, with the destination's own id of the row where it has one. */
  done: { key: string; remoteId: string | null }[];
  errors: RowError[];
}

/** Why one row did not arrive; the only place where a key's value is told to people. */
export interface RowError {
  key: string;
  message: string;
}

export interface ReportResult {
  report: string;
  run: string;
  columns: readonly ResultColumn[];
  rowCount: number;
  batches(): AsyncIterable<readonly ResultRow[]>;
  /** A file of the whole result, owned by the query: to be copied, not moved. */
  file(format: 'csv' | 'parquet' | 'json', signal: AbortSignal): Promise<string>;
}
