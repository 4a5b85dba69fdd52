import { z } from 'zod';
import type { Field } from '#catalog/schemas/schema.ts';
import { TableNotes } from '../table-notes.ts';

const stored = z.object({
  text: z.record(z.string(), z.array(z.string())),
  /** Fields by table whose topic tells no types. */
  inferred: z.record(z.string(), z.array(z.custom<Field>())),
});

/** What must hold across restarts of tables, by schema.table: which columns have their text beside them, and types that nobody told. */
export class KafkaMemory extends TableNotes {
  readonly #inferred: Map<string, readonly Field[]>;

  /** Null where nothing is kept yet. */
  constructor(text: string | null) {
    const kept = text === null ? { text: {}, inferred: {} } : stored.parse(JSON.parse(text));
    super({ text: kept.text, imprints: {} });
    this.#inferred = new Map(Object.entries(kept.inferred));
  }

  inferred(table: string): readonly Field[] {
    return this.#inferred.get(table) ?? [];
  }

  setInferred(table: string, fields: readonly Field[]): void {
    this.#inferred.set(table, fields);
    this.changed();
  }

  toText(): string {
    return JSON.stringify({ text: Object.fromEntries(this.text), inferred: Object.fromEntries(this.#inferred) });
  }
}
