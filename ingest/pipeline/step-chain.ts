import { toDailiesError } from '#catalog/error.ts';
import { type Schema, schemaFingerprint } from '#catalog/schemas/schema.ts';
import type { TableChanges } from '../event.ts';
import type { BoundStep, Processor, Rejected } from '../processor.ts';

export interface Step {
  name: string;
  kind: string;
  processor: Processor;
}

export interface StepCounts {
  in: number;
  out: number;
  rejected: number;
}

interface BoundChain {
  input: Schema;
  fingerprint: string;
  bound: readonly BoundStep[];
  output: Schema;
}

/** The steps of one pipeline, fused: a batch goes through all of them before the next one is taken up. */
export class StepChain {
  readonly #steps: readonly Step[];
  readonly #chains = new Map<string, BoundChain>();
  readonly counts: StepCounts[];

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    this.counts = steps.map(() => ({ in: 0, out: 0, rejected: 0 }));
  }

  get isEmpty(): boolean {
    return this.#steps.length === 0;
  }

  /** The shape in which the table's rows leave. Throws what a step's `bind` throws, naming the step and the table. */
  async bind(table: string, schema: Schema, signal: AbortSignal): Promise<Schema> {
    return (await this.#chain(table, schema, signal)).output;
  }

  /**
   * The shape in which an announced shape leaves, with what it says of its columns (`Field.formerName`); the rows behind it
   * have none of that. Throws as `bind`.
   */
  async announce(table: string, schema: Schema, signal: AbortSignal): Promise<Schema> {
    return (await this.#bindSteps(table, schema, signal)).output;
  }

  /** `onRejected` gets what a step could not carry on, with that step's input. */
  async apply(
    changes: TableChanges,
    signal: AbortSignal,
    onRejected: (step: string, input: TableChanges, rejected: readonly Rejected[]) => void,
  ): Promise<TableChanges> {
    const { bound } = await this.#chain(changes.table, changes.schema, signal);
    let current = changes;
    for (const [i, step] of bound.entries()) {
      const { changes: next, rejected } = await step.apply(current, signal);
      const counts = this.counts[i];
      if (counts) {
        counts.in += current.events.length;
        counts.out += next.events.length;
        counts.rejected += rejected.length;
      }
      onRejected(this.#steps[i]?.name ?? String(i), current, rejected);
      current = next;
    }
    return current;
  }

  async close(): Promise<void> {
    await Promise.all(this.#steps.map((step) => step.processor.close()));
  }

  async #chain(table: string, schema: Schema, signal: AbortSignal): Promise<BoundChain> {
    const known = this.#chains.get(table);
    if (known?.input === schema) return known;
    const fingerprint = schemaFingerprint(schema);
    if (known?.fingerprint === fingerprint) {
      known.input = schema;
      return known;
    }
    const chain = { input: schema, fingerprint, ...(await this.#bindSteps(table, schema, signal)) };
    this.#chains.set(table, chain);
    return chain;
  }

  async #bindSteps(table: string, schema: Schema, signal: AbortSignal): Promise<Pick<BoundChain, 'bound' | 'output'>> {
    const bound: BoundStep[] = [];
    let output = schema;
    for (const step of this.#steps) {
      const next = await bindStep(step, table, output, signal);
      bound.push(next);
      output = next.output;
    }
    return { bound, output };
  }
}

async function bindStep(step: Step, table: string, input: Schema, signal: AbortSignal): Promise<BoundStep> {
  try {
    return await step.processor.bind(input, signal);
  } catch (thrown) {
    const error = toDailiesError(thrown);
    error.details.step ??= step.name;
    error.details.table ??= table;
    throw error;
  }
}
