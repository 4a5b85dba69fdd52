import type { RowPlace } from './key-index.ts';

/** Changes of index entries that are not stored yet: where a row is now; null where its entry goes. */
export class IndexOverlay {
  readonly changes = new Map<string, RowPlace | null>();
  /** Entries by row hash, of a table without a key. */
  readonly #byHash = new Map<string, Set<string>>();

  get size(): number {
    return this.changes.size;
  }

  /** Undefined where the stored entry holds. */
  get(entry: string): RowPlace | null | undefined {
    return this.changes.get(entry);
  }

  set(entry: string, place: RowPlace | null): void {
    this.changes.set(entry, place);
  }

  /** One more row of this hash. */
  add(hash: string, entry: string, place: RowPlace): void {
    this.changes.set(entry, place);
    const entries = this.#byHash.get(hash);
    if (entries) entries.add(entry);
    else this.#byHash.set(hash, new Set([entry]));
  }

  /** Entries of rows of this hash that were added here; some may be gone since. */
  entriesOf(hash: string): Iterable<string> {
    return this.#byHash.get(hash) ?? [];
  }
}
