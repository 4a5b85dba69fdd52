import { setImmediate } from 'node:timers/promises';
import { failpoint } from '../../failpoint.ts';
import type { PositionMap } from '../files/position-map.ts';
import { currentSnapshot } from '../metadata/table-metadata.ts';
import { IndexOverlay } from './index-overlay.ts';
import { bringUp, committedFiles, type IndexedTable, isCurrent, rebuild, shapeOf } from './index-rebuild.ts';
import type { FileMove, IndexStand, KeyIndex, RowPlace } from './key-index.ts';
import { scanKeys } from './key-scan.ts';

/** A table as of a commit, for whoever reads it beside the writer. */
export interface FollowedTable {
  table: IndexedTable;
  close(): void;
}

/** Changes beyond this many go into the index before their commit, which a crash then makes worthless. */
const maxOverlay = 200_000;
/** Entries rewritten at once, in some milliseconds. */
const followRows = 2_000;

/**
 * The key index within a commit: the stored entries under an overlay of the commit's own changes, which are stored after
 * the commit. Before its first use in a commit it is compared with the table and brought up to it:
 *
 *   stored stand            | table                     | then
 *   same snapshot and shape | nothing staged around it  | used as it is
 *   older snapshot, kept    | its files are still there | changed files are replayed
 *   anything else           |                           | rebuilt from the key columns of all live files
 *
 * A commit that only adds files, as those of a snapshot do, has no use for it: the index is then brought up to it beside the
 * commits that follow, so that the first change finds it ready.
 *
 * Files that the commit has staged without the index are noted when it is first used.
 */
export class TableIndex {
  readonly store: KeyIndex;
  #isUsed = false;
  #shape = '';
  #overlay = new IndexOverlay();
  /** What the last commit changed, while it is on its way into the store. */
  #pending: { overlay: IndexOverlay; stand: IndexStand } | null = null;
  #failure: { thrown: unknown } | null = null;
  /** True while stored entries are of rows that the commit in hand has all removed. */
  #ignoresStored = false;
  /** True while the stored entries are ahead of the table. */
  #isUnfinished = false;
  #isKeyless = false;
  /** Files that the commit in hand puts in place of others. */
  #moves: readonly FileMove[] = [];
  #settling: Promise<void> = Promise.resolve();
  /** Commits that had no use for the index are being brought into it. */
  #isFollowing = false;
  #next: FollowedTable | null = null;
  readonly #ending = new AbortController();

  constructor(store: KeyIndex) {
    this.store = store;
  }

  get isUsed(): boolean {
    return this.#isUsed;
  }

  /** Makes the index true for the table with what is staged. */
  async use(table: IndexedTable): Promise<void> {
    if (this.#isUsed) return;
    // What is on its way into the store is looked up before the store; anything else has to be there first.
    if (!this.#pending) await this.settled();
    if (this.#failure) throw this.#failure.thrown;
    this.#shape = shapeOf(table);
    this.#isKeyless = table.schema.key.length === 0;
    this.#overlay = new IndexOverlay();
    const isTouched = table.files.touched().length > 0 || table.files.removed.size > 0;
    const isEmpty = committedFiles(table).length === 0;
    if (table.files.all().length === 0 || (isEmpty && !isTouched)) {
      this.#ignoresStored = true;
    } else if (isTouched) {
      await this.settled();
      await rebuild(this.store, table, table.files.all());
      this.#isUnfinished = true;
    } else if (!isCurrent(this.#pending?.stand ?? this.store.stand, table)) {
      await this.settled();
      await bringUp(this.store, table);
    }
    this.#isUsed = true;
    if (isTouched) return;
    for (const { location } of table.files.staged()) await this.noteFile(table, location);
  }

  /** Notes all rows of a file that the commit in hand has staged. Only where the index is used. */
  async noteFile(table: IndexedTable, location: string): Promise<void> {
    const file = table.files.get(location);
    if (!file) return;
    await scanKeys(table, this.#isKeyless, file, async (keys) => {
      for (const { key, position } of keys) this.note(key.toString('latin1'), { location, position }, null);
      await this.spill();
    });
  }

  find(key: string): RowPlace | null {
    const changed = this.#overlay.get(key);
    if (changed !== undefined) return changed;
    if (this.#ignoresStored) return null;
    const pending = this.#pending?.overlay.get(key);
    return pending !== undefined ? pending : this.store.find(key);
  }

  findAll(hash: string): RowPlace[] {
    const pending = this.#ignoresStored ? undefined : this.#pending?.overlay;
    const isChanged = (entry: string) => this.#overlay.get(entry) !== undefined;
    const stored = this.#ignoresStored ? [] : this.store.findAll(hash);
    const places = stored.filter((place) => {
      const entry = this.store.rowEntry(hash, place);
      return !isChanged(entry) && pending?.get(entry) === undefined;
    });
    for (const entry of pending?.entriesOf(hash) ?? []) {
      const place = isChanged(entry) ? null : pending?.get(entry);
      if (place) places.push(place);
    }
    for (const entry of this.#overlay.entriesOf(hash)) {
      const place = this.#overlay.get(entry);
      if (place) places.push(place);
    }
    return places;
  }

  note(key: string, place: RowPlace | null, removed: RowPlace | null): void {
    if (!this.#isUsed) return;
    if (!this.#isKeyless) {
      this.#overlay.set(key, place);
      return;
    }
    if (removed) this.#overlay.set(this.store.rowEntry(key, removed), null);
    if (place) this.#overlay.add(key, this.store.rowEntry(key, place), place);
  }

  /** All rows are gone. */
  truncate(): void {
    this.#overlay = new IndexOverlay();
    if (this.#isUsed) this.#ignoresStored = true;
  }

  /** Nothing that was noted holds any more: the index is looked at anew before its next use. */
  forget(): void {
    this.#moves = [];
    this.#overlay = new IndexOverlay();
    this.#isUsed = false;
    this.#ignoresStored = false;
  }

  /** Moves an overlay that has grown too large into the store. */
  async spill(): Promise<void> {
    if (this.#overlay.size < maxOverlay) return;
    await this.settled();
    await this.#beginUnfinished();
    await this.store.write([...this.#overlay.changes]);
    this.#overlay = new IndexOverlay();
  }

  /**
   * Takes over the changes of a commit that is done, once those of the one before are stored; storing goes on after this
   * has resolved. An index that the commit had no use for stays behind, or with `follow` comes after it: the table as of
   * the commit, with files and a connection of their own, which `follow.close` gives back.
   */
  async settle(snapshotId: bigint, goneFiles: readonly string[], follow: FollowedTable | null = null): Promise<void> {
    if (!this.#isUsed && this.#isFollowing) {
      this.#next?.close();
      this.#next = follow;
      this.forget();
      return;
    }
    await this.settled();
    const work = this.#isUsed ? this.#store(snapshotId, goneFiles) : this.#follow(follow);
    this.forget();
    this.#settling = work.then(
      () => {
        this.store.markProven();
        failpoint('after-index-update');
      },
      (thrown: unknown) => {
        // Who needs the index next is told.
        if (!this.#ending.signal.aborted) this.#failure = { thrown };
      },
    );
  }

  /** Brings the index up to a table, and then to what the table has come to meanwhile. */
  async #follow(first: FollowedTable | null): Promise<void> {
    this.#isFollowing = true;
    try {
      for (let followed = first; followed; followed = this.#takeNext()) {
        try {
          await bringUp(this.store, followed.table, this.#ending.signal);
        } finally {
          followed.close();
        }
      }
    } finally {
      this.#isFollowing = false;
      this.#takeNext()?.close();
    }
  }

  #takeNext(): FollowedTable | null {
    const next = this.#next;
    this.#next = null;
    return next;
  }

  /** Resolves when the changes of the last commit are stored. Throws where they could not be. */
  async settled(): Promise<void> {
    await this.#settling;
    if (this.#failure) throw this.#failure.thrown;
  }

  async #store(snapshotId: bigint, goneFiles: readonly string[]): Promise<void> {
    const stand = { snapshotId, shape: this.#shape, ahead: [] };
    const [overlay, moves] = [this.#overlay, this.#moves];
    if (this.#ignoresStored) await this.#beginUnfinished();
    // Moved rows are found in the store alone.
    else if (moves.length === 0) this.#pending = { overlay, stand };
    await this.store.apply(overlay.changes, stand, goneFiles, moves);
    this.#pending = null;
    this.#isUnfinished = false;
  }

  /** Follows rows that a rewrite has put into the file at `to`, not committed yet. A stale index stays stale. */
  moveFiles(table: IndexedTable, to: string, moves: readonly { from: string; map: PositionMap }[]): void {
    this.#shape = shapeOf(table);
    this.#isKeyless = table.schema.key.length === 0;
    const { stand } = this.store;
    if (table.metadata === null || !currentSnapshot(table.metadata) || !isCurrent(stand, table)) return;
    this.#isUsed = true;
    this.#moves = moves.map(({ from, map }) => ({ from, to, map }));
  }

  /** Files that rows were moved to, whose entries still tell the rows' old places. */
  movedTo(): string[] {
    return this.store.movedTo();
  }

  /** Makes the entries of the rows of one such file tell their new places; in short steps, beside commits. */
  async followMoves(table: IndexedTable, location: string, signal: AbortSignal): Promise<void> {
    const file = table.files.get(location);
    const isKeyless = table.schema.key.length === 0;
    // An index of another shape, or one that is behind, is made anew before its next use.
    if (file && this.store.stand?.shape === shapeOf(table)) {
      await scanKeys(table, isKeyless, file, async (keys) => {
        for (let start = 0; start < keys.length; start += followRows) {
          signal.throwIfAborted();
          this.store.follow(location, keys.slice(start, start + followRows), isKeyless);
          await setImmediate();
        }
      });
    }
    await this.store.endMoves(location);
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await this.#settling;
    await this.store.close();
  }

  async #beginUnfinished(): Promise<void> {
    if (this.#ignoresStored) await this.store.clear(this.#shape, { keepsFiles: true });
    else if (!this.#isUnfinished) await this.store.markUnfinished(this.#shape);
    this.#ignoresStored = false;
    this.#isUnfinished = true;
  }
}
