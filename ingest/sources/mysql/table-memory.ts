import { z } from 'zod';
import { TableNotes } from '../table-notes.ts';

const stored = z.object({
  text: z.record(z.string(), z.array(z.string())),
  imprints: z.record(z.string(), z.string()),
  owed: z.array(z.string()),
});

/** Of tables by database.table, as one text that the product keeps for us: nothing may be written in the database. */
export class TableMemory extends TableNotes {
  /** Tables that are to be read again though nobody asked. */
  readonly #owed: Set<string>;

  /** Null where nothing is kept yet. */
  constructor(text: string | null) {
    const kept = text === null ? empty : stored.parse(JSON.parse(text));
    super(kept);
    this.#owed = new Set(kept.owed);
  }

  /** Forgets what is known of tables that are followed no more; columns that have their text keep it. */
  keepOnly(tables: ReadonlySet<string>): void {
    for (const table of [...this.imprints.keys(), ...this.#owed]) {
      if (tables.has(table)) continue;
      this.imprints.delete(table);
      this.#owed.delete(table);
      this.changed();
    }
  }

  isOwed(table: string): boolean {
    return this.#owed.has(table);
  }

  setOwed(table: string, isOwed: boolean): void {
    if (this.#owed.has(table) === isOwed) return;
    if (isOwed) this.#owed.add(table);
    else this.#owed.delete(table);
    this.changed();
  }

  toText(): string {
    return JSON.stringify({
      text: Object.fromEntries(this.text),
      imprints: Object.fromEntries(this.imprints),
      owed: [...this.#owed],
    });
  }
}

const empty: z.infer<typeof stored> = { text: {}, imprints: {}, owed: [] };
