import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, TableChanges } from '../event.ts';
import type { BoundStep, Processor, ProcessorDeps, ProcessorModule } from '../processor.ts';
import { type Condition, compileCondition } from './expression/compile.ts';
import { parseExpression } from './expression/parse.ts';
import { readMissingValues } from './read-missing-values.ts';

const config = z.strictObject({
  where: z
    .string()
    .superRefine((where, context) => {
      try {
        parseExpression(where);
      } catch (error) {
        context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      }
    })
    .meta({
      title: 'Where',
      description: "An SQL condition over the row's fields; only rows for which it is true flow on.",
      examples: ["status <> 'draft'", 'edge.director.name IS NOT NULL AND budget >= 1000000.00'],
    }),
});

/**
 * A view of the table: a row that no longer satisfies `where` leaves as a delete by key, also where the event has no old
 * row; one that comes to satisfy it enters whole, values that its event did not carry being read from the source again.
 */
export const filter: ProcessorModule<typeof config> = {
  kind: 'processor',
  id: 'filter',
  title: 'Filter',
  summary: 'Lets only the rows through that satisfy a condition, and takes away rows that no longer do.',
  config,
  example: { where: "status <> 'draft' AND title IS NOT NULL" },
  open: ({ where }, deps) => new Filter(where, deps),
};

class Filter implements Processor {
  readonly #where: string;
  readonly #deps: ProcessorDeps;
  #hasWorked = false;

  constructor(where: string, deps: ProcessorDeps) {
    this.#where = where;
    this.#deps = deps;
  }

  async bind(input: Schema): Promise<BoundStep> {
    const condition = this.#compile(input);
    this.#hasWorked = true;
    return {
      output: input,
      consumes: condition.paths.map((path) => ({ path, required: true })),
      apply: async (changes, signal) => {
        const events = await applyFilter(condition, changes, this.#deps, signal);
        return { changes: { ...changes, events }, rejected: [] };
      },
    };
  }

  /** What worked before and does not fit any more is the schema's doing, not the expression's. */
  #compile(input: Schema): Condition {
    try {
      return compileCondition(this.#where, parseExpression(this.#where), input);
    } catch (error) {
      if (!this.#hasWorked || !(error instanceof DailiesError) || error.code === 'schema_incompatible') throw error;
      throw new DailiesError('schema_incompatible', error.message, { cause: error, details: error.details });
    }
  }

  async close(): Promise<void> {}
}

async function applyFilter(
  condition: Condition,
  changes: TableChanges,
  deps: ProcessorDeps,
  signal: AbortSignal,
): Promise<ChangeEvent[]> {
  const lacking = changes.events.flatMap((event, index) => (needsReading(condition, event) ? [index] : []));
  const filled = await readMissingValues(changes, lacking, deps, signal);
  const passed: ChangeEvent[] = [];
  for (const [index, event] of changes.events.entries()) {
    const after = filled.get(index);
    // Gone from the source since: its own delete follows, and until then nothing of it is known.
    const isGone = after === null;
    const known = after === undefined || after === null ? event : { ...event, after };
    const result = isGone ? removal(changes.schema, event) : filterEvent(condition, changes.schema, known);
    if (result !== null) passed.push(result);
  }
  return passed;
}

/** True where the condition reads a value that the event lacks, or the row may enter and would lack it for ever. */
function needsReading(condition: Condition, { before, after }: ChangeEvent): boolean {
  if (after === null || !after.includes(UNKNOWN)) return false;
  return condition.fields.some((field) => after[field] === UNKNOWN) || verdict(condition, before) !== 'in';
}

function filterEvent(condition: Condition, schema: Schema, event: ChangeEvent): ChangeEvent | null {
  if (event.after === null) return event;
  const isIn = condition.test(event.after) === true;
  if (event.op !== 'u') return isIn ? event : null;
  const was = verdict(condition, event.before);
  if (!isIn) return was === 'out' ? null : removal(schema, event);
  // Without a key the target would look for the old row, which it never had.
  return schema.key.length === 0 && was === 'out' ? { ...event, op: 'c', before: null } : event;
}

function verdict(condition: Condition, before: Row | null): 'in' | 'out' | 'unknown' {
  if (before === null || condition.fields.some((field) => before[field] === UNKNOWN)) return 'unknown';
  return condition.test(before) === true ? 'in' : 'out';
}

/** Takes the row away by its key; a row without one by all its old values. */
function removal(schema: Schema, event: ChangeEvent): ChangeEvent {
  const { after } = event;
  if (schema.key.length === 0 || after === null) return { op: 'd', before: event.before, after: null, tx: event.tx };
  const keys = new Set(schema.key);
  const before = schema.fields.map(({ name }, index) => (keys.has(name) ? (after[index] ?? null) : UNKNOWN));
  return { op: 'd', before, after: null, tx: event.tx };
}
