import { randomBytes } from 'node:crypto';
import { TableNotes } from '../table-notes.ts';

/** Of tables by schema.table, kept in the comment of our first publication, where it lives and dies with it. */
export class RowMemory extends TableNotes {
  /**
   * Tables that a snapshot of our own accord is still owed to, since their changes were not published for a while or their
   * old rows read differently; each with a name for that debt, which the cursors of this snapshot carry.
   */
  readonly #owed: Map<string, string>;

  constructor(comment: string | null) {
    const stored = parseComment(comment);
    super(stored);
    this.#owed = new Map(Object.entries(stored.owed));
  }

  /** Forgets what is known of tables that are followed no more; columns that have their text keep it. */
  keepImprints(tables: ReadonlySet<string>): void {
    for (const table of this.imprints.keys()) {
      if (tables.has(table)) continue;
      this.imprints.delete(table);
      this.changed();
    }
  }

  /** By table, each debt's own name. */
  get owed(): ReadonlyMap<string, string> {
    return this.#owed;
  }

  /** Owes a snapshot from the start, whatever was owed before. */
  owe(table: string, debt: string = randomBytes(6).toString('base64url')): void {
    this.#owed.set(table, debt);
    this.changed();
  }

  settle(table: string): void {
    if (this.#owed.delete(table)) this.changed();
  }

  toComment(): string {
    return JSON.stringify({
      text: Object.fromEntries(this.text),
      owed: Object.fromEntries(this.#owed),
      imprints: Object.fromEntries(this.imprints),
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
