import { randomBytes } from 'node:crypto';

/**
 * What must hold across restarts about tables, kept in the comment of our first publication, where it lives and dies
 * with it: a column that once needed its text beside it keeps that text, or the next start would look like a dropped column.
 */
export class RowMemory {
  /** Columns, by schema.table, that have a `<column>__text` beside them, in the order of need. */
  readonly #text: Map<string, string[]>;
  /** What each table looked like when its rows were last known to be read right (`table-imprint.ts`). */
  readonly #imprints: Map<string, string>;
  /**
   * Tables that a snapshot of our own accord is still owed to, since their changes were not published for a while or their
   * old rows read differently; each with a name for that debt, which the cursors of this snapshot carry.
   */
  readonly #owed: Map<string, string>;
  /** Counts the changes, and up to which of them the comment holds. */
  #version = 0;
  #savedVersion = 0;

  constructor(comment: string | null) {
    const stored = parseComment(comment);
    this.#text = new Map(Object.entries(stored.text));
    this.#imprints = new Map(Object.entries(stored.imprints));
    this.#owed = new Map(Object.entries(stored.owed));
  }

  textColumns(table: string): readonly string[] {
    return this.#text.get(table) ?? [];
  }

  addTextColumn(table: string, column: string): void {
    const columns = this.#text.get(table) ?? [];
    if (columns.includes(column)) return;
    this.#text.set(table, [...columns, column]);
    this.#version++;
  }

  imprint(table: string): string | null {
    return this.#imprints.get(table) ?? null;
  }

  setImprint(table: string, imprint: string): void {
    if (this.#imprints.get(table) === imprint) return;
    this.#imprints.set(table, imprint);
    this.#version++;
  }

  /** Forgets what is known of tables that are followed no more; columns that have their text keep it. */
  keepImprints(tables: ReadonlySet<string>): void {
    for (const table of this.#imprints.keys()) {
      if (tables.has(table)) continue;
      this.#imprints.delete(table);
      this.#version++;
    }
  }

  /** By table, each debt's own name. */
  get owed(): ReadonlyMap<string, string> {
    return this.#owed;
  }

  /** Owes a snapshot from the start, whatever was owed before. */
  owe(table: string, debt: string = randomBytes(6).toString('base64url')): void {
    this.#owed.set(table, debt);
    this.#version++;
  }

  settle(table: string): void {
    if (this.#owed.delete(table)) this.#version++;
  }

  /** False while something was added that the publication's comment does not hold. */
  get isSaved(): boolean {
    return this.#savedVersion === this.#version;
  }

  get version(): number {
    return this.#version;
  }

  markSaved(version: number): void {
    this.#savedVersion = Math.max(this.#savedVersion, version);
  }

  toComment(): string {
    return JSON.stringify({
      text: Object.fromEntries(this.#text),
      owed: Object.fromEntries(this.#owed),
      imprints: Object.fromEntries(this.#imprints),
    });
  }
}

interface Stored {
  text: Record<string, string[]>;
  owed: Record<string, string>;
  imprints: Record<string, string>;
}

function parseComment(comment: string | null): Stored {
  if (comment?.startsWith('{"text":')) return JSON.parse(comment);
  return { text: {}, owed: {}, imprints: {} };
}
