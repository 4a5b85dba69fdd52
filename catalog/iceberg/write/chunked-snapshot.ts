import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import { keyIndexes, type Row, type Schema, type Value } from '../../schemas/schema.ts';
import { connectDuckdb } from '../files/duckdb-engine.ts';
import { keyEncoder } from '../files/key-encoding.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { JoinedFiles } from './joined-files.ts';
import { keyColumns, scanKeys } from './key-scan.ts';
import { TouchedKeys } from './touched-keys.ts';
import { type WorkingFile, WorkingFiles } from './working-files.ts';
import type { WriterParts } from './writer-parts.ts';

/**
 * What a table's snapshots tell in their summary while a chunked snapshot of its source is under way; empty in the one that
 * ends it.
 */
export const chunksProperty = 'dailies.snapshot';

/** What has to outlive the writer. */
interface ChunksStand {
  generation: number;
  /** Data files up to this sequence number are from before the snapshot; null where none of them goes at its end. */
  floor: bigint | null;
  /** Changes have put rows into the table since the snapshot began. */
  isTouched: boolean;
  /** What whoever writes the table notes of the snapshot's begin; null for nothing. */
  note: string | null;
}

const stored = z.object({
  generation: z.number(),
  floor: z.string().nullable(),
  touched: z.boolean(),
  note: z.string().nullable(),
});

/** From a summary's text; null for none. */
export function readChunksStand(text: string | null): ChunksStand | null {
  if (text === null || text === '') return null;
  const { generation, floor, touched, note } = stored.parse(JSON.parse(text));
  return { generation, floor: floor === null ? null : BigInt(floor), isTouched: touched, note };
}

/**
 * The rows of a snapshot that comes in chunks, between the changes of its table: all of them upserts, each commit showing
 * what has come so far. Whatever is touched since the snapshot began stands in data files that are newer than its begin,
 * for a changed row is written anew: at the end the older files go, and with them the rows that nobody has touched.
 *
 * A chunk's key is looked up only where the table may hold it: in older files, or put there by a change. So a new table's
 * chunks become data files as they are, and its key index is made when a change first asks for it.
 */
export class ChunkedSnapshot {
  readonly #parts: WriterParts;
  readonly #stand: ChunksStand;
  /** True where the table is not to be seen before the snapshot's end. */
  readonly isHidden: boolean;
  readonly #joined: JoinedFiles;
  /** Null where every key has to be looked up. */
  #touched: TouchedKeys | null = null;
  #isKeyKnown = false;
  /** Null until it is asked for, and once all rows are gone. */
  #hasOldFiles: boolean | null = null;
  /** Rows were put into open files past the stage. */
  #hasDirectRows = false;

  constructor(parts: WriterParts, stand: ChunksStand, isHidden: boolean) {
    this.#parts = parts;
    this.#stand = { ...stand };
    this.isHidden = isHidden;
    this.#joined = new JoinedFiles(parts.connection, () => parts.newLocation());
  }

  get generation(): number {
    return this.#stand.generation;
  }

  /** What the commit in hand tells of it. */
  get summary(): string {
    const { generation, floor, isTouched, note } = this.#stand;
    return JSON.stringify({ generation, floor: floor === null ? null : String(floor), touched: isTouched, note });
  }

  get note(): string | null {
    return this.#stand.note;
  }

  /** Nothing of a chunk waits to become a data file. */
  get isDrained(): boolean {
    return this.#joined.isEmpty && !this.#hasDirectRows;
  }

  /** True for files from before the snapshot, which go at its end: they are never joined with newer ones. */
  isOld({ entry }: Pick<WorkingFile, 'entry'>): boolean {
    const { floor } = this.#stand;
    return floor !== null && entry !== null && entry.sequenceNumber <= floor;
  }

  /** A change of this row comes. */
  touch(row: Row): void {
    const isFirst = !this.#stand.isTouched;
    this.#stand.isTouched = true;
    if (this.#stand.floor === null) return;
    if (isFirst && !this.#isKeyKnown && TouchedKeys.canHold(this.#parts.shape.schema)) {
      const columns = keyColumns(this.#parts.indexTable());
      this.#touched = new TouchedKeys(this.#parts.connection, columns, keyIndexes(this.#parts.shape.schema));
    }
    this.#isKeyKnown = true;
    this.#touched?.add(row);
  }

  /** Keys are others from here on. */
  async forgetKeys(): Promise<void> {
    this.#isKeyKnown = true;
    await this.#touched?.close();
    this.#touched = null;
  }

  /** A row of a chunk that goes straight to a file; false where it has to be staged as a change is. */
  async appendRow(row: readonly Value[]): Promise<boolean> {
    if (this.#parts.hasStaged || this.#stand.isTouched || this.#parts.index.isUsed || this.#hasOld()) return false;
    const written = this.#parts.target.writeRow(row);
    if (written instanceof Promise) await written;
    this.#hasDirectRows = true;
    return true;
  }

  /** Rows of a chunk as a file with numbered columns; false where each row has to go to its own partition. */
  async appendFile(parquet: Uint8Array, rows: number): Promise<boolean> {
    const layout = this.#parts.shape.layout();
    if (layout.partition.length > 0) return false;
    await this.#parts.makeFolders();
    await this.#joined.append(parquet, rows, layout);
    return true;
  }

  /** Makes data files of the chunks so far: what comes next may read and delete their rows. */
  async drain(): Promise<void> {
    if (this.#hasDirectRows) await this.#parts.closeFiles();
    this.#hasDirectRows = false;
    for (const file of await this.#joined.finish()) await this.#takeIn(file);
  }

  /** All rows are gone. */
  async truncate(): Promise<void> {
    await this.#joined.abandon();
    this.#hasDirectRows = false;
    this.#hasOldFiles = null;
  }

  /** Takes what is from before the snapshot out of the table. Nothing may be staged. */
  async end(): Promise<void> {
    const { files, index } = this.#parts;
    const old = files.all().filter((file) => this.isOld(file));
    // Otherwise the index would have to be made anew for files that it knows and that are gone.
    if (old.length > 0) await index.use(this.#parts.indexTable());
    for (const file of old) files.remove(file);
  }

  /** Forgets what waits. */
  async close(): Promise<void> {
    await this.#joined.abandon();
    await this.forgetKeys();
  }

  #hasOld(): boolean {
    this.#hasOldFiles ??= this.#parts.files.all().some((file) => this.isOld(file));
    return this.#hasOldFiles;
  }

  async #takeIn(file: DataFile): Promise<void> {
    const { files, index } = this.#parts;
    const isUntouched = !this.#stand.isTouched && !this.#hasOld();
    const touched = this.#touched?.isOverflown ? null : this.#touched;
    if (isUntouched && !index.isUsed) {
      files.add(file);
    } else if (isUntouched || (touched && !this.#hasOld())) {
      if (touched) await this.#removeTouched(file, touched);
      // Those that the index does not know are noted when it is next used.
      files.add(file);
      if (index.isUsed) await index.noteFile(this.#parts.indexTable(), file.location);
    } else {
      await this.#replaceAll(file);
    }
  }

  async #removeTouched(file: DataFile, touched: TouchedKeys): Promise<void> {
    const keys = await touched.in(file.location);
    if (keys.length === 0) return;
    await this.#parts.index.use(this.#parts.indexTable());
    const encode = keyEncoder(keyColumns(this.#parts.indexTable()).schema);
    for (const key of keys) await this.#remove(encode(key).toString('latin1'));
  }

  async #replaceAll(file: DataFile): Promise<void> {
    const { files, index } = this.#parts;
    await index.use(this.#parts.indexTable());
    const working: WorkingFile = { file, entry: null, deletes: [], positions: null, isTouched: false };
    // What is asked for meanwhile would end a reading on the writer's own connection.
    const connection = await connectDuckdb();
    try {
      const table = { ...this.#parts.indexTable(), files: new WorkingFiles(connection, []) };
      await scanKeys(table, false, working, async (keys) => {
        for (const { key: bytes, position } of keys) {
          const key = bytes.toString('latin1');
          await this.#remove(key);
          index.note(key, { location: file.location, position }, null);
        }
        await index.spill();
      });
    } finally {
      connection.closeSync();
    }
    files.add(file);
  }

  /** Takes the row of this key out of the file where it stands; its entry is the caller's. */
  async #remove(key: string): Promise<void> {
    const place = this.#parts.index.find(key);
    if (!place) return;
    const deleted = this.#parts.target.deleteRow(place);
    if (typeof deleted !== 'boolean') await deleted;
  }
}

/** A snapshot comes in chunks only where its rows have a key. */
export function requireKey(table: string, schema: Schema): void {
  if (schema.key.length > 0) return;
  throw new DailiesError(
    'source_protocol',
    `The snapshot of ${table} comes in chunks, but its rows have no key by which they could be told apart.`,
    { details: { table } },
  );
}
