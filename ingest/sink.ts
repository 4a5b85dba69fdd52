import type { z } from 'zod';
import type { Module } from '#catalog/module.ts';
import type { Schema } from '#catalog/schemas/schema.ts';
import type { SnapshotRows, SourcePosition, TableChanges } from './event.ts';

export interface SinkModule<Config extends z.ZodObject = z.ZodObject, Deps = unknown> extends Module<'sink', Config> {
  open(config: z.infer<Config>, deps: Deps): Sink;

  /**
   * Removes what a pipeline has left in a target that nobody ever saw; what people see stays. `onDrop` is called, and
   * waited for, with the location before anything goes, and a call that was cut is repeated with it. True if something was
   * removed.
   */
  dropUnseen?(
    left: LeftBehind,
    deps: Omit<Deps, keyof SinkContext>,
    onDrop: (location: string) => Promise<void>,
  ): Promise<boolean>;
}

export interface LeftBehind {
  /** As `Sink.target` tells it. */
  target: string;
  pipeline: string;
  /** Where an earlier call was about to remove files; null for the first one. */
  location: string | null;
}

/** What each sink is told of the pipeline that it is opened for, beside the deps that the worker was started with. */
export interface SinkContext {
  pipeline: string;
  /** The pipeline's person to tell, if it has one. */
  owner: string | null;
  /** Tables that flow in, source.schema.table. */
  sourceTables: readonly string[];
}

/** How far a sink has come in each of its pipeline's sources. */
export type PipelinePosition = Readonly<
  Record<string, { offset: number; position: SourcePosition; timeMicros: string }>
>;

/**
 * Writes one pipeline's events to an external target. Calls come one at a time. Nothing becomes visible or durable before
 * `commit`; after a crash the log is read again from `writtenUpTo`, and what was only written, not committed, is void.
 */
export interface Sink {
  /** True where every change is appended and nothing written over: one that comes again would stand there twice. */
  readonly keepsChanges?: boolean;

  /** `kind/target` parts as `status` shows them for one table that flows in. */
  target(table: string): { kind: string; target: string };

  /** The position of the last commit, per input table (source.schema.table); null for a table never committed. */
  writtenUpTo(table: string, signal: AbortSignal): Promise<PipelinePosition | null>;

  /** The rows that follow replace the table as a whole at `endSnapshot`; an unfinished snapshot before it is void. */
  beginSnapshot(table: string, schema: Schema, signal: AbortSignal): Promise<void>;

  /**
   * The rows of a snapshot follow in chunks, as op r or as files, between the table's changes: all of them upserts, visible
   * with each commit, until `endSnapshot`. A snapshot of the table that is under way is forgotten. What a table that did not
   * exist has come to is seen by nobody before the end. It outlives the sink: one opened later goes on with it.
   */
  beginChunks(table: string, schema: Schema, generation: number, signal: AbortSignal): Promise<void>;

  /** Generation of the chunked snapshot that is under way in the target; null for none. */
  chunkedGeneration(table: string, signal: AbortSignal): Promise<number | null>;

  /**
   * Indexes of the events whose UNKNOWN values the target cannot fill in: while a chunked snapshot is under way, of rows that
   * it has not or that nothing has touched since its begin; of changes that are applied again, of rows that it has not. They
   * are read again from the source before `write`. An event before them here counts as written.
   */
  lacking(changes: TableChanges, signal: AbortSignal, isReplayed?: boolean): Promise<number[]>;

  /**
   * Stages changes. A schema that differs from the last one is evolved first; one without events that comes to nothing else
   * says by `Field.formerName` what became of columns, and its table's rows come anew where they cannot follow a type. `op: r` outside a snapshot is an upsert. */
  write(changes: TableChanges, signal: AbortSignal): Promise<void>;

  /** Stages rows of a snapshot from their file, between its begin and `endSnapshot`; false where it has to be given the rows themselves. */
  writeFile?(rows: SnapshotRows, signal: AbortSignal): Promise<boolean>;

  /**
   * The snapshot's rows are complete; visible with the next commit, an empty table too. Where it came in chunks, rows that
   * nothing has touched since its begin are gone with that commit.
   */
  endSnapshot(table: string, signal: AbortSignal): Promise<void>;

  /**
   * THE COMMIT POINT. Makes all staged changes and `position` durable and visible in one atomic step per target; durable
   * when resolved. Throws `commit_unknown` if it cannot tell; the caller then opens the sink anew and asks `writtenUpTo`.
   * With nothing staged it only moves the position, and may skip that if nothing but the position would change.
   */
  commit(position: PipelinePosition, signal: AbortSignal): Promise<SinkCommit[]>;

  close(): Promise<void>;
}

export interface SinkCommit {
  table: string;
  /** Rows that the target holds now. */
  rows: bigint;
  snapshotId: bigint | null;
}
