import { z } from 'zod';

const stored = z.object({
  text: z.record(z.string(), z.array(z.string())),
  imprints: z.record(z.string(), z.string()),
  owed: z.array(z.string()),
});

/**
 * What must hold across restarts about tables (database.table), as one text that the product keeps for us: nothing may be
 * written in the database.
 */
export class TableMemory {
  /** Columns that have a `<column>__text` beside them, in the order of need: without it a restart would look like a dropped column. */
  readonly #text: Map<string, string[]>;
  /** What each table looked like when its rows were last known to be read right (`table-imprint.ts`). */
  readonly #imprints: Map<string, string>;
  /** Tables that are to be read again though nobody asked. */
  readonly #owed: Set<string>;
  /** Counts the changes, and up to which of them the text is kept. */
  #version = 0;
  #savedVersion = 0;

  /** Null where nothing is kept yet. */
  constructor(text: string | null) {
    const { text: columns, imprints, owed } = text === null ? empty : stored.parse(JSON.parse(text));
    this.#text = new Map(Object.entries(columns));
    this.#imprints = new Map(Object.entries(imprints));
    this.#owed = new Set(owed);
  }

  textColumns(table: string): readonly string[] {
    return this.#text.get(table) ?? [];
  }

  addTextColumn(table: string, column: string): void {
    const columns = this.textColumns(table);
    if (columns.includes(column)) return;
    this.#text.set(table, [...columns, column]);
    this.#version += 1;
  }

  imprint(table: string): string | null {
    return this.#imprints.get(table) ?? null;
  }

  setImprint(table: string, imprint: string): void {
    if (this.#imprints.get(table) === imprint) return;
    this.#imprints.set(table, imprint);
    this.#version += 1;
  }

  /** Forgets what is known of tables that are followed no more; columns that have their text keep it. */
  keepOnly(tables: ReadonlySet<string>): void {
    for (const table of [...this.#imprints.keys(), ...this.#owed]) {
      if (tables.has(table)) continue;
      this.#imprints.delete(table);
      this.#owed.delete(table);
      this.#version += 1;
    }
  }

  isOwed(table: string): boolean {
    return this.#owed.has(table);
  }

  setOwed(table: string, isOwed: boolean): void {
    if (this.#owed.has(table) === isOwed) return;
    if (isOwed) this.#owed.add(table);
    else this.#owed.delete(table);
    this.#version += 1;
  }

  get isSaved(): boolean {
    return this.#savedVersion === this.#version;
  }

  get version(): number {
    return this.#version;
  }

  markSaved(version: number): void {
    this.#savedVersion = Math.max(this.#savedVersion, version);
  }

  toText(): string {
    return JSON.stringify({
      text: Object.fromEntries(this.#text),
      imprints: Object.fromEntries(this.#imprints),
      owed: [...this.#owed],
    });
  }
}

const empty: z.infer<typeof stored> = { text: {}, imprints: {}, owed: [] };
