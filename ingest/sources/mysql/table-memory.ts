import { z } from 'zod';
import { TableNotes } from '../table-notes.ts';

const stored = z.object({
  text: z.record(z.string(), z.array(z.string())),
  imprints: z.record(z.string(), z.string()),
  owed: z.array(z.string()),
});

/** Of tables by database.table, as one text that the product keeps for us: nothing may be written in the database. */
export class TableMemory extends TableNotes {
  /** Tables that are to be read again though nobody asked, with a number for each debt. */
  readonly #owed: Map<string, number>;
  #nextDebt = 1;

  /** Null where nothing is kept yet. */
  constructor(text: string | null) {
    const kept = text === null ? empty : stored.parse(JSON.parse(text));
    super(kept);
    this.#owed = new Map(kept.owed.map((table) => [table, 0]));
  }

  /** Forgets what is known of tables that are followed no more; columns that have their text keep it. */
  keepOnly(tables: ReadonlySet<string>): void {
    for (const table of [...this.imprints.keys(), ...this.#owed.keys()]) {
      if (tables.has(table)) continue;
      this.imprints.delete(table);
      this.#owed.delete(table);
      this.changed();
    }
  }

  isOwed(table: string): boolean {
    return this.#owed.has(table);
  }

  /** Another number for each debt of a table, as long as this memory lives; null for none. */
  debtOf(table: string): number | null {
    return this.#owed.get(table) ?? null;
  }

  /** Owes a reading from the start, whatever was owed before. */
  owe(table: string): void {
    if (!this.#owed.has(table)) this.changed();
    this.#owed.set(table, this.#nextDebt++);
  }

  /** The reading for this debt is durable. One that is owed anew by now stays. */
  settle(table: string, debt: number | null): void {
    if (debt === null || this.#owed.get(table) !== debt) return;
    this.#owed.delete(table);
    this.changed();
  }

  toText(): string {
    return JSON.stringify({
      text: Object.fromEntries(this.text),
      imprints: Object.fromEntries(this.imprints),
      owed: [...this.#owed.keys()],
    });
  }
}

const empty: z.infer<typeof stored> = { text: {}, imprints: {}, owed: [] };
