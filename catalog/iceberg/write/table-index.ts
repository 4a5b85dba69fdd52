import { setImmediate } from 'node:timers/promises';
import { failpoint } from '../../failpoint.ts';
import { isNested, type Row, type Schema } from '../../schemas/schema.ts';
import { keyEncoder, rowHasher } from '../files/key-encoding.ts';
import type { PositionMap } from '../files/position-map.ts';
import type { PositionSet } from '../files/position-set.ts';
import type { ReadSchema } from '../files/read-data-file.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { printJson } from '../metadata/json.ts';
import { ancestors, currentSnapshot, type TableMetadata } from '../metadata/table-metadata.ts';
import { readLiveFiles } from '../read/live-files.ts';
import { IndexOverlay } from './index-overlay.ts';
import type { FileMove, IndexChange, IndexStand, KeyIndex, RowPlace } from './key-index.ts';
import type { WorkingFile, WorkingFiles } from './working-files.ts';

/** The table that the index is of, as the commit in hand sees it. */
export interface IndexedTable extends ReadSchema {
  files: WorkingFiles;
  /** As of the last commit; null for a table that does not exist yet. */
  metadata: TableMetadata | null;
}

/** Changes beyond this many go into the index before their commit, which a crash then makes worthless. */
const maxOverlay = 200_000;
const writeRows = 20_000;
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
    const current = snapshotIdOf(table) ?? 0n;
    const isCurrent = (stand: IndexStand | null) => stand?.snapshotId === current && stand.shape === this.#shape;
    const isEmpty = committedFiles(table).length === 0;
    if (table.files.all().length === 0 || (isEmpty && !isTouched)) {
      this.#ignoresStored = true;
    } else if (isTouched) {
      await this.settled();
      await this.#rebuild(table.files.all(), table);
    } else if (!isCurrent(this.#pending?.stand ?? this.store.stand)) {
      await this.settled();
      const { stand } = this.store;
      const isReplayed = stand?.shape === this.#shape && (await this.#replay(table, stand, current));
      if (!isReplayed) {
        await this.#rebuild(committedFiles(table), table);
        await this.#stand(current);
      }
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
      for (const { key, place } of keys) this.note(key, place, null);
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
   * has resolved. An index that the commit had no use for stays behind.
   */
  async settle(snapshotId: bigint, goneFiles: readonly string[]): Promise<void> {
    await this.settled();
    const work = this.#isUsed ? this.#store(snapshotId, goneFiles) : Promise.resolve();
    this.forget();
    this.#settling = work.then(
      () => {
        this.store.markProven();
        failpoint('after-index-update');
      },
      (thrown: unknown) => {
        // Who needs the index next is told.
        this.#failure = { thrown };
      },
    );
  }

  /** Resolves when the changes of the last commit are stored. Throws where they could not be. */
  async settled(): Promise<void> {
    await this.#settling;
    if (this.#failure) throw this.#failure.thrown;
  }

  async #store(snapshotId: bigint, goneFiles: readonly string[]): Promise<void> {
    const stand = { snapshotId, shape: this.#shape };
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
    const current = table.metadata ? currentSnapshot(table.metadata)?.['snapshot-id'] : null;
    if (stand?.shape !== this.#shape || stand.snapshotId !== current) return;
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
          this.store.follow(keys.slice(start, start + followRows), isKeyless);
          await setImmediate();
        }
      });
    }
    await this.store.endMoves(location);
  }

  async close(): Promise<void> {
    await this.#settling;
    await this.store.close();
  }

  async #beginUnfinished(): Promise<void> {
    if (this.#ignoresStored) await this.store.clear(this.#shape);
    else if (!this.#isUnfinished) await this.store.markUnfinished(this.#shape);
    this.#ignoresStored = false;
    this.#isUnfinished = true;
  }

  async #rebuild(files: readonly WorkingFile[], table: IndexedTable): Promise<void> {
    await this.store.clear(this.#shape);
    this.#isUnfinished = true;
    for (const file of files) await this.#storeKeys(table, file);
  }

  async #storeKeys(table: IndexedTable, file: WorkingFile): Promise<void> {
    let batch: IndexChange[] = [];
    // One batch is stored while the next one is scanned. Its failure is kept until it is waited for.
    let storing = Promise.allSettled([Promise.resolve()]);
    const stored = async () => {
      const [outcome] = await storing;
      if (outcome.status === 'rejected') throw outcome.reason;
    };
    await scanKeys(table, this.#isKeyless, file, async (keys) => {
      for (const { key, place } of keys) batch.push([this.#isKeyless ? this.store.rowEntry(key, place) : key, place]);
      if (batch.length < writeRows) return;
      await stored();
      storing = Promise.allSettled([this.store.write(batch)]);
      batch = [];
    });
    await stored();
    await this.store.write(batch);
  }

  /** Brings stored entries from an older snapshot to the current one; false if that cannot be done. */
  async #replay(table: IndexedTable, stand: IndexStand, current: bigint): Promise<boolean> {
    // Only forward: what a rollback has taken back is no longer told by the files that are there.
    const line = table.metadata ? [...ancestors(table.metadata)] : [];
    const old = line.find((snapshot) => snapshot['snapshot-id'] === stand.snapshotId);
    if (!old) return false;
    const before = new Map((await readLiveFiles(old)).files.map((file) => [file.data.file.location, file]));
    for (const location of before.keys()) if (!table.files.has(location)) return false;
    await this.#beginUnfinished();
    const changed = committedFiles(table).filter(
      (file) => deletesOf(file) !== deletesOf(before.get(file.file.location)),
    );
    for (const file of changed) {
      const known = before.get(file.file.location);
      if (known) await this.#removeDeleted(table, file);
    }
    for (const file of committedFiles(table)) {
      if (!before.has(file.file.location)) await this.#storeKeys(table, file);
    }
    await this.#stand(current);
    return true;
  }

  async #stand(snapshotId: bigint): Promise<void> {
    await this.store.apply(new Map(), { snapshotId, shape: this.#shape }, []);
    this.#isUnfinished = false;
  }

  // Removes the entries of deleted rows unless they have moved on; files added later are stored afterwards.
  async #removeDeleted(table: IndexedTable, file: WorkingFile): Promise<void> {
    const deleted = await table.files.positionsOf(file);
    await scanKeys(
      table,
      this.#isKeyless,
      file,
      async (keys) => {
        const removals: IndexChange[] = [];
        for (const { key, place } of keys) {
          if (this.#isKeyless) {
            removals.push([this.store.rowEntry(key, place), null]);
            continue;
          }
          const stored = this.store.find(key);
          if (stored?.location === place.location && stored.position === place.position) removals.push([key, null]);
        }
        await this.store.write(removals);
      },
      deleted,
    );
  }
}

function committedFiles({ files }: IndexedTable): WorkingFile[] {
  return files.all().filter(({ entry }) => entry !== null);
}

function snapshotIdOf({ metadata }: IndexedTable): bigint | undefined {
  return metadata ? currentSnapshot(metadata)?.['snapshot-id'] : undefined;
}

function deletesOf(file: { deletes: readonly { file: DataFile }[] } | undefined): string {
  return (file?.deletes ?? []).map((entry) => entry.file.location).join();
}

/** Only the key's columns, in key order. */
export function keyColumns({ schema, iceberg }: ReadSchema): ReadSchema {
  const indexes = schema.key.map((name) => schema.fields.findIndex((field) => field.name === name));
  const fields = indexes.flatMap((index) => schema.fields[index] ?? []);
  return {
    schema: { fields, key: schema.key } satisfies Schema,
    iceberg: indexes.flatMap((index) => iceberg[index] ?? []),
  };
}

/** What entries are made of: widening a column does not change it, another key does, and any change inside a nested one. */
function shapeOf({ schema, iceberg }: ReadSchema): string {
  const isKeyless = schema.key.length === 0;
  const columns = schema.fields
    .map((field, index) => ({ twin: iceberg[index], field, order: schema.key.indexOf(field.name) }))
    .filter(({ order }) => isKeyless || order >= 0)
    .sort((a, b) => a.order - b.order)
    .map(
      ({ twin, field }) => `${twin?.id}:${isNested(field.type) ? printJson(twin?.type) : encodingOf(field.type.kind)}`,
    );
  return `${isKeyless ? 'row' : 'key'} ${columns.join(' ')}`;
}

function encodingOf(kind: string): string {
  if (kind === 'int' || kind === 'long') return 'integer';
  return kind === 'float' || kind === 'double' ? 'floating' : kind;
}

/** Hands over the keys (of a table without one: the hashes) of a file's live rows, with their places, in file order. */
export async function scanKeys(
  table: IndexedTable,
  isKeyless: boolean,
  file: WorkingFile,
  visit: (keys: { key: string; place: RowPlace }[]) => void | Promise<void>,
  only?: PositionSet,
): Promise<void> {
  const columns = isKeyless ? { schema: table.schema, iceberg: table.iceberg } : keyColumns(table);
  const ids = columns.iceberg.map((field) => field.id);
  const encode: (row: Row) => Buffer = isKeyless ? rowHasher(columns.schema, ids) : keyEncoder(columns.schema);
  await table.files.scan(
    file,
    columns,
    (rows) =>
      visit(
        rows.map(({ row, position }) => ({
          key: encode(row).toString('latin1'),
          place: { location: file.file.location, position },
        })),
      ),
    only,
  );
}
