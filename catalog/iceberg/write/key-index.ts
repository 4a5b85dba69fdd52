import { mkdirSync, rmSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import { PositionMap } from '../files/position-map.ts';
import { beginOpening, beginUnsynced, currentBoot, endOpening, endUnsynced, requireRoom } from './index-folder.ts';

/** Where a row stands: a data file's location and the row's position in it. */
export interface RowPlace {
  location: string;
  position: number;
}

/** One entry to write: its bytes as latin1 text, and the row's place; null removes it. */
export type IndexChange = readonly [entry: string, place: RowPlace | null];

/** Rows that a rewrite has put from one file into another. */
export interface FileMove {
  from: string;
  to: string;
  map: PositionMap;
}

/** What the index stands for: equal stands hold equal entries. */
export interface IndexStand {
  /** The snapshot whose rows are indexed; null while a commit that has outgrown memory is on its way into the index. */
  snapshotId: bigint | null;
  /** What the entries are made of: the key's columns and types. */
  shape: string;
  /** Files added after that snapshot, whose rows may be indexed, all or in part. */
  ahead: readonly string[];
}

/** What a stand is stored as. */
interface StoredStand {
  // As text: 64 bits do not survive as a number.
  snapshotId: string | null;
  shape: string;
  ahead?: readonly string[];
}

/**
 * The local index of one table, in LMDB: key → data file and position. It is derived from the table and may be lost, stale
 * or removed at any time: whoever uses it compares `stand` with the table first. For a table without a key the entries
 * are a row's hash followed by its place, so that equal rows stand side by side.
 *
 *   entries: key → file id (4 bytes), position (4 bytes)     files: id → location
 *   meta: stand                                              moves: id of a rewritten file → id of its new file, map
 *
 * A rewrite of files moves many rows at once: their entries stay as they are, and a place in a rewritten file is read as
 * the one that its row has now, until `follow` has rewritten the entries and `endMoves` forgets the move.
 */
export class KeyIndex {
  readonly #root: RootDatabase<unknown, string>;
  readonly #entries: Database<Buffer, Buffer>;
  readonly #files: Database<string, number>;
  readonly #meta: Database<StoredStand, string>;
  readonly #moves: Database<Buffer, number>;
  readonly #moved = new Map<number, { to: number; map: PositionMap }>();
  /** The stored bytes of places that `findAll` gave and that a move gave another form. */
  readonly #stored = new WeakMap<RowPlace, Buffer>();
  readonly #locations = new Map<number, string>();
  readonly #ids = new Map<string, number>();
  readonly #directory: string;
  /** True where the operating system writes entries to disk when it likes: a crash of the machine takes the index. */
  readonly #isUnsynced: boolean;
  #nextId = 1;
  #isProven = false;

  private constructor(directory: string, boot: string | null) {
    beginOpening(directory);
    this.#directory = directory;
    this.#isUnsynced = beginUnsynced(directory, boot);
    // Random keys change a page each. Flushed with every commit, and gathered in a list that LMDB keeps sorted by moving
    // it, ten thousand keys of ten million took three times the CPU and wrote a hundred times as much.
    const written = this.#isUnsynced ? { useWritemap: true, noSync: true, overlappingSync: false } : {};
    this.#root = open({ path: directory, encoding: 'msgpack', maxDbs: 8, ...written });
    this.#entries = this.#root.openDB({ name: 'entries', keyEncoding: 'binary', encoding: 'binary' });
    this.#files = this.#root.openDB({ name: 'files', encoding: 'string' });
    this.#meta = this.#root.openDB({ name: 'meta', encoding: 'msgpack' });
    this.#moves = this.#root.openDB({ name: 'moves', encoding: 'binary' });
    for (const { key, value } of this.#files.getRange()) this.#remember(key, value);
    for (const { key, value } of this.#moves.getRange()) {
      this.#moved.set(key, { to: value.readUInt32LE(0), map: PositionMap.decode(value.subarray(4)) });
      this.#nextId = Math.max(this.#nextId, key + 1);
    }
  }

  /**
   * Opens or makes the index; one that is damaged, or that the last process died with while opening, is thrown away. Throws
   * `disk_full`.
   */
  static open(directory: string, boot = currentBoot()): KeyIndex {
    mkdirSync(directory, { recursive: true });
    requireRoom(directory, 0);
    try {
      return new KeyIndex(directory, boot);
    } catch {
      rmSync(directory, { recursive: true, force: true });
      return new KeyIndex(directory, boot);
    }
  }

  /** Says that the index has proven itself: it was used and written without harm. */
  markProven(): void {
    if (this.#isProven) return;
    this.#isProven = true;
    endOpening(this.#directory);
  }

  get stand(): IndexStand | null {
    const stand = this.#meta.get('stand');
    if (!stand) return null;
    const { snapshotId, shape, ahead = [] } = stand;
    return { snapshotId: snapshotId === null ? null : BigInt(snapshotId), shape, ahead };
  }

  /** Where the row of this key stands; null for none. */
  find(key: string): RowPlace | null {
    const value = this.#entries.getBinaryFast(Buffer.from(key, 'latin1'));
    return value ? this.#readPlace(value, 0) : null;
  }

  /** The places of the rows with this hash, of a table without a key. */
  findAll(hash: string): RowPlace[] {
    const start = Buffer.from(hash, 'latin1');
    const end = Buffer.concat([start, Buffer.alloc(9, 0xff)]);
    const places: RowPlace[] = [];
    for (const key of this.#entries.getKeys({ start, end })) {
      const place = this.#readPlace(key, start.length);
      if (!place) continue;
      places.push(place);
      if (this.#moved.size > 0) this.#stored.set(place, Buffer.from(key.subarray(start.length)));
    }
    return places;
  }

  /** The entry of one row of a table without a key. */
  rowEntry(hash: string, place: RowPlace): string {
    return hash + (this.#stored.get(place) ?? this.#placeBytes(place)).toString('latin1');
  }

  /** Says that the entries stand for nothing until `apply` gives the next stand. It holds from then on, whatever crashes. */
  async markUnfinished(shape: string): Promise<void> {
    requireRoom(this.#directory, 0);
    await this.#meta.put('stand', { snapshotId: null, shape });
    if (!this.#isUnsynced) await this.#root.flushed;
  }

  /** Says that rows of these files, which are committed, may be indexed before the stand says so; until `apply`, whatever crashes. */
  async markAhead(locations: readonly string[]): Promise<void> {
    requireRoom(this.#directory, 0);
    const stand = this.#meta.get('stand');
    if (!stand) return;
    await this.#meta.put('stand', { ...stand, ahead: locations });
    if (!this.#isUnsynced) await this.#root.flushed;
  }

  /**
   * Writes the rows of one file, some thousands, without changing the stand. They can be found when this returns: it takes
   * about half of what `write` does, on this thread.
   */
  putRows(location: string, rows: readonly { key: Buffer; position: number }[], isKeyless: boolean): void {
    requireRoom(this.#directory, rows.length);
    const place = Buffer.alloc(8);
    this.#root.transactionSync(() => {
      place.writeUInt32BE(this.#idOf(location), 0);
      for (const { key, position } of rows) {
        place.writeUInt32BE(position, 4);
        this.#entries.putSync(isKeyless ? Buffer.concat([key, place]) : key, place);
      }
    });
  }

  /** Writes entries without changing the stand, which must be unfinished; on LMDB's own thread. They can be found when resolved. */
  async write(changes: readonly IndexChange[]): Promise<void> {
    requireRoom(this.#directory, changes.length);
    await this.#root.batch(() => this.#put(changes));
  }

  /** Writes entries and the stand they lead to, with the moves that come with it, in one transaction, on LMDB's own thread. */
  async apply(
    changes: ReadonlyMap<string, RowPlace | null>,
    stand: Pick<IndexStand, 'snapshotId' | 'shape'>,
    goneFiles: Iterable<string>,
    moves: readonly FileMove[] = [],
  ): Promise<void> {
    requireRoom(this.#directory, changes.size);
    await this.#root.batch(() => {
      this.#put(changes);
      for (const { from, to, map } of moves) this.#move(from, this.#idOf(to), map);
      for (const location of goneFiles) this.#forget(location);
      void this.#meta.put('stand', { shape: stand.shape, snapshotId: stand.snapshotId?.toString() ?? null });
    });
  }

  /**
   * Removes all entries and files; the stand becomes unfinished. With `keepsFiles` the files stay: what `rowEntry` has given,
   * and is yet to be written, tells them by their numbers.
   */
  async clear(shape: string, { keepsFiles = false } = {}): Promise<void> {
    await this.markUnfinished(shape);
    await this.#entries.clearAsync();
    await this.#moves.clearAsync();
    this.#moved.clear();
    if (keepsFiles) return;
    await this.#files.clearAsync();
    this.#locations.clear();
    this.#ids.clear();
  }

  /** Locations of files that rows were moved to, whose entries still tell the rows' old places. */
  movedTo(): string[] {
    const ids = new Set([...this.#moved.values()].map(({ to }) => to));
    return [...ids].flatMap((id) => this.#locations.get(id) ?? []);
  }

  /** Rewrites the entries of rows that stand at these places of a file, where they still tell an old one. One short transaction. */
  follow(location: string, rows: readonly { key: Buffer; position: number }[], isKeyless: boolean): void {
    requireRoom(this.#directory, rows.length);
    this.#root.transactionSync(() => {
      for (const { key: bytes, position } of rows) {
        const place = { location, position };
        if (isKeyless) this.#followHash(bytes, place);
        else {
          const stored = this.#entries.getBinaryFast(bytes);
          if (stored && this.#isMovedTo(stored, 0, place)) void this.#entries.put(bytes, this.#placeBytes(place));
        }
      }
    });
  }

  /** All entries of rows moved to this file tell their new places. */
  async endMoves(to: string): Promise<void> {
    const id = this.#ids.get(to);
    const ended = [...this.#moved].filter(([, move]) => move.to === id).map(([from]) => from);
    requireRoom(this.#directory, 0);
    await this.#root.transaction(() => {
      for (const from of ended) {
        void this.#moves.remove(from);
        this.#moved.delete(from);
      }
    });
  }

  async close(): Promise<void> {
    this.markProven();
    await this.#root.close();
    if (this.#isUnsynced) endUnsynced(this.#directory);
  }

  #put(changes: Iterable<IndexChange>): void {
    for (const [key, place] of changes) {
      const bytes = Buffer.from(key, 'latin1');
      if (place) void this.#entries.put(bytes, this.#placeBytes(place));
      else void this.#entries.remove(bytes);
    }
  }

  #placeBytes(place: RowPlace): Buffer {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeUInt32BE(this.#idOf(place.location), 0);
    bytes.writeUInt32BE(place.position, 4);
    return bytes;
  }

  #readPlace(bytes: Buffer, offset: number): RowPlace | null {
    let id = bytes.readUInt32BE(offset);
    let position = bytes.readUInt32BE(offset + 4);
    for (let move = this.#moved.get(id); move; move = this.#moved.get(id)) {
      const moved = move.map.get(position);
      if (moved === null) return null;
      id = move.to;
      position = moved;
    }
    const location = this.#locations.get(id);
    return location === undefined ? null : { location, position };
  }

  #isMovedTo(bytes: Buffer, offset: number, place: RowPlace): boolean {
    if (!this.#moved.has(bytes.readUInt32BE(offset))) return false;
    const now = this.#readPlace(bytes, offset);
    return now?.location === place.location && now.position === place.position;
  }

  #followHash(hash: Buffer, place: RowPlace): void {
    const end = Buffer.concat([hash, Buffer.alloc(9, 0xff)]);
    for (const key of [...this.#entries.getKeys({ start: hash, end })]) {
      if (!this.#isMovedTo(key, hash.length, place)) continue;
      const value = this.#entries.get(key);
      void this.#entries.remove(key);
      if (value) void this.#entries.put(Buffer.concat([hash, this.#placeBytes(place)]), value);
    }
  }

  #move(from: string, to: number, map: PositionMap): void {
    const id = this.#ids.get(from);
    // No entry tells a place in this file.
    if (id === undefined) return;
    const target = Buffer.alloc(4);
    target.writeUInt32LE(to, 0);
    this.#moved.set(id, { to, map });
    void this.#moves.put(id, Buffer.concat([target, map.encode()]));
  }

  #idOf(location: string): number {
    const known = this.#ids.get(location);
    if (known !== undefined) return known;
    const id = this.#nextId;
    this.#remember(id, location);
    void this.#files.put(id, location);
    return id;
  }

  #remember(id: number, location: string): void {
    this.#locations.set(id, location);
    this.#ids.set(location, id);
    this.#nextId = Math.max(this.#nextId, id + 1);
  }

  #forget(location: string): void {
    const id = this.#ids.get(location);
    if (id === undefined) return;
    this.#ids.delete(location);
    this.#locations.delete(id);
    void this.#files.remove(id);
  }
}
