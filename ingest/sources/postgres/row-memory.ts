import { randomBytes } from 'node:crypto';
import { TableNotes } from '../table-notes.ts';
import type { SourceTable } from './discovery.ts';
import type { Kept } from './kept.ts';
import { ShapeHistory, type StoredHistory } from './shape-history.ts';
import { isReadingOutdated, isReadOtherwise } from './table-imprint.ts';

/**
 * Of tables by schema.table, kept in the comment of our first publication, where it lives and dies with it; of a standby, with us.
 */
export class RowMemory extends TableNotes {
  /**
   * Tables that a snapshot of our own accord is still owed to, since their changes were not published for a while or their
   * old rows read differently; each with a name for that debt, which the cursors of this snapshot carry.
   */
  readonly #owed: Map<string, string>;
  /** Only where event triggers tell of changes to schemas. */
  readonly shapes: ShapeHistory;

  readonly #kept: Kept | null;
  /** True while what is kept with us counts, not the comment. */
  isWithUs: boolean;

  /** `isWithUs`: the text is one that `kept` has, and is to be written wherever it can be. */
  constructor(comment: string | null, kept: Kept | null = null, isWithUs = false) {
    const stored = parseComment(comment);
    super(stored);
    this.#owed = new Map(Object.entries(stored.owed));
    this.#kept = kept;
    this.isWithUs = isWithUs;
    if (isWithUs) this.changed();
    this.shapes = new ShapeHistory(stored.shapes, () => this.changed());
  }

  /** Forgets what is known of tables that are followed no more; columns that have their text keep it. */
  keepTables(tables: ReadonlySet<string>): void {
    this.shapes.keep(tables);
    for (const table of this.imprints.keys()) {
      if (tables.has(table)) continue;
      this.imprints.delete(table);
      this.changed();
    }
  }

  /** True if rows that were read of it before read differently now, for which the stream itself does not make up. */
  isOutdated(table: SourceTable): boolean {
    const imprint = this.imprint(table.name);
    if (imprint === null) return false;
    return this.shapes.has(table) ? isReadOtherwise(imprint, table) : isReadingOutdated(imprint, table);
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

  /** The snapshot for this debt is durable. One that is owed anew by now stays. */
  settle(table: string, debt: string): void {
    if (this.#owed.get(table) !== debt) return;
    this.#owed.delete(table);
    this.changed();
  }

  /** Durable when resolved. */
  async keepWithUs(text: string): Promise<void> {
    if (this.#kept === null) throw new Error('this memory can only be kept in the database');
    await this.#kept.write({ tables: text });
    this.isWithUs = true;
  }

  /** What is kept with us is in the database, durably. */
  async leaveUs(): Promise<void> {
    if (this.isWithUs) await this.#kept?.write({ tables: null });
    this.isWithUs = false;
  }

  toComment(): string {
    return JSON.stringify({
      text: Object.fromEntries(this.text),
      owed: Object.fromEntries(this.#owed),
      imprints: Object.fromEntries(this.imprints),
      shapes: this.shapes.toStored(),
    });
  }
}

interface Stored {
  text: Record<string, string[]>;
  owed: Record<string, string>;
  imprints: Record<string, string>;
  shapes?: StoredHistory;
}

function parseComment(comment: string | null): Stored {
  if (comment?.startsWith('{"text":')) return JSON.parse(comment);
  return { text: {}, owed: {}, imprints: {} };
}
