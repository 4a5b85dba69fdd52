import type { Batch } from './event.ts';

/**
 * Where a source's changes are kept until every pipeline has landed them: a topic for each source, one record a batch,
 * offsets from 0 without gaps. One process appends to a topic; several read it.
 */
export interface Log {
  /** Appends in order. Durable on disk when resolved; offsets of the records. */
  append(topic: string, batches: readonly Batch[]): Promise<number[]>;

  /** Records from `fromOffset` on, then new ones as they become durable, until aborted. Throws `not_found` if retention has passed `fromOffset`. At most `maxBytes` are read ahead. */
  read(
    topic: string,
    fromOffset: number,
    signal: AbortSignal,
  ): AsyncIterable<{ offset: number; batch: Batch; bytes: number }>;

  /** First kept and next free offset, and bytes held. */
  extent(topic: string): Promise<{ first: number; next: number; bytes: number }>;

  /** The last durable record's batch header, null for an empty topic. */
  last(topic: string): Promise<{ offset: number; position: string; timeMicros: bigint } | null>;

  /** Remembers that `group` needs nothing below `offset` any more. Durable when resolved. */
  commitGroup(topic: string, group: string, offset: number): Promise<void>;
  groups(topic: string): Promise<Map<string, number>>;
  removeGroup(topic: string, group: string): Promise<void>;

  /** Forgets records that every group has passed and that are older than the retention, or all groups have passed if over its size. */
  trim(topic: string): Promise<void>;
  removeTopic(topic: string): Promise<void>;
  close(): Promise<void>;
}
