import type { z } from 'zod';
import type { ErrorRecord } from '#catalog/error.ts';
import type { Module } from '#catalog/module.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, TableChanges } from './event.ts';

export interface ProcessorModule<Config extends z.ZodObject = z.ZodObject> extends Module<'processor', Config> {
  /** A definition that shows its use; a contract test runs it. */
  example: z.input<Config>;
  open(config: z.infer<Config>, deps: ProcessorDeps): Processor;
}

export interface ProcessorDeps {
  now: () => Date;
  fetch: typeof globalThis.fetch;
  /** Reads current rows from the source by key, for a step that needs a value which the event did not carry. */
  readRows(table: string, schema: Schema, keys: readonly Row[], signal: AbortSignal): Promise<Map<number, Row>>;
}

/** A step of a pipeline: one input and one output table each. It keeps the order of events and never holds one back. */
export interface Processor {
  /**
   * The shape that leaves for this shape that comes in. Throws `schema_incompatible` naming the field where a field that
   * this step consumes is gone or changed beyond use, `expression_invalid` or `graphql_refused` with the place where the
   * step can never work. Pure but for introspection of a remote schema; may be repeated.
   */
  bind(input: Schema, signal: AbortSignal): Promise<BoundStep>;

  close(): Promise<void>;
}

export interface BoundStep {
  output: Schema;
  /** Fields of the input that this step reads; a change to others never stops it. */
  consumes: readonly ConsumedField[];
  /**
   * Applies the step to one batch. Deletes and truncates always pass (by key). The same input gives the same output but
   * for remote answers. A row that cannot go on is `rejected`, not thrown; a fault of the step itself is thrown.
   */
  apply(changes: TableChanges, signal: AbortSignal): Promise<{ changes: TableChanges; rejected: Rejected[] }>;
}

export interface ConsumedField {
  /** Dotted path in the input. */
  path: string;
  required: boolean;
}

export interface Rejected {
  event: ChangeEvent;
  error: ErrorRecord;
}
