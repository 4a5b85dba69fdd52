import { DailiesError } from '../../error.ts';
import { type Row, type Schema, UNKNOWN, type Value } from '../../schemas/schema.ts';
import { isUnfinished, unfinishedProperty } from '../tables/unfinished.ts';
import { ChunkedSnapshot, chunksProperty, readChunksStand, requireKey } from './chunked-snapshot.ts';
import { JoinedFiles } from './joined-files.ts';
import { Replacement } from './replacement.ts';
import type { WorkingFile } from './working-files.ts';
import type { WriterParts } from './writer-parts.ts';

/**
 * How a table takes a snapshot of its source: as a replacement, whose rows nobody sees before all of them are there, or in
 * chunks, which are upserts beside the table's changes. One at a time.
 */
export class TableSnapshots {
  readonly #parts: WriterParts;
  #replacement: Replacement | null = null;
  #chunks: ChunkedSnapshot | null = null;

  /** A chunked snapshot that was under way at the last commit goes on: `stand` is what its summary told. */
  constructor(parts: WriterParts, stand: string | null) {
    this.#parts = parts;
    const chunks = readChunksStand(stand);
    if (!chunks) return;
    this.#chunks = new ChunkedSnapshot(parts, chunks, isUnfinished(parts.metadata));
    parts.shape.setUnfinished(this.isUnfinished);
  }

  get isReplacing(): boolean {
    return this.#replacement !== null;
  }

  /** Generation of the chunked snapshot that is under way; null for none. */
  get chunkedGeneration(): number | null {
    return this.#chunks?.generation ?? null;
  }

  /** What was noted at its begin. */
  get chunksNote(): string | null {
    return this.#chunks?.note ?? null;
  }

  /** True while the table's first snapshot is under way, so that people are not to see it. */
  get isUnfinished(): boolean {
    return this.#chunks?.isHidden ?? false;
  }

  /** True while rows of chunks wait to become data files. */
  get hasWaiting(): boolean {
    return this.#chunks?.isDrained === false;
  }

  /** True for files that go at the end of the snapshot under way. */
  isOld(file: WorkingFile): boolean {
    return this.#chunks?.isOld(file) ?? false;
  }

  /** What the summary of the commit in hand tells; `last` is what the last one told. */
  summary(last: string | null): Readonly<Record<string, string>> {
    const stand = this.#chunks?.summary ?? (last ? '' : null);
    if (stand === null) return {};
    return { [chunksProperty]: stand, ...(this.isUnfinished ? { [unfinishedProperty]: 'true' } : {}) };
  }

  /** A change of this row comes. */
  touch(row: Row): void {
    this.#chunks?.touch(row);
  }

  /** Makes data files of the rows so far: what comes next may read and delete them. */
  async drain(): Promise<void> {
    await this.#chunks?.drain();
  }

  async forgetKeys(): Promise<void> {
    await this.#chunks?.forgetKeys();
  }

  async truncate(): Promise<void> {
    await this.#chunks?.truncate();
  }

  /** Rows appended from now on replace the whole table at `endReplacement`; an unfinished replacement is forgotten. */
  async beginReplacement(schema: Schema): Promise<void> {
    await this.#abandonReplacement();
    const { shape, connection } = this.#parts;
    const state = shape.replaced(schema);
    const files = this.#parts.openFiles(shape.layout(schema, state));
    const joined = new JoinedFiles(connection, () => this.#parts.newLocation());
    this.#replacement = new Replacement(schema, state, files, joined);
    await this.#parts.makeFolders();
  }

  async appendReplacement(row: Row): Promise<void> {
    await this.#begun().append(row as readonly Value[]);
  }

  /** Rows of a Parquet file with columns `c0`, `c1`, …; false where they have to come one by one. */
  async appendReplacementFile(parquet: Uint8Array, rows: number): Promise<boolean> {
    return (await this.#replacement?.appendFile(parquet, rows)) ?? false;
  }

  /** The replacement is complete: the next commit shows it, and nothing of what was there before. */
  async endReplacement(): Promise<void> {
    const replacement = this.#begun();
    const files = await replacement.finish();
    this.#replacement = null;
    await this.#endChunks();
    await this.#parts.replace(replacement.schema, replacement.schemaState, files);
  }

  /**
   * A chunked snapshot begins, one under way is forgotten: the rows given to `appendChunk` and what changes tell until
   * `endChunks` is the whole table, and the rows from before that neither touches go with its end. What changes told before
   * should be committed. With `schema` null no row goes. `note` is kept until the end, also where the writer is another by
   * then. Throws `source_protocol` for rows without a key.
   */
  async beginChunks(generation: number, schema: Schema | null, note: string | null = null): Promise<void> {
    const { metadata, shape } = this.#parts;
    if (schema) requireKey(this.#parts.name, schema);
    await this.#abandonReplacement();
    await this.#parts.flush();
    await this.#parts.closeFiles();
    await this.#endChunks();
    // Where rows from before cannot follow it, they lack those columns until the snapshot's end takes them away.
    if (schema) await this.#parts.follow(schema);
    const floor = schema ? (metadata?.['last-sequence-number'] ?? 0n) : null;
    const isHidden = metadata === null || isUnfinished(metadata);
    this.#chunks = new ChunkedSnapshot(this.#parts, { generation, floor, isTouched: false, note }, isHidden);
    shape.setUnfinished(isHidden);
    this.#parts.markChanged();
  }

  /** A row of a chunk: an upsert. */
  async appendChunk(row: Row): Promise<void> {
    const isWhole = !row.includes(UNKNOWN);
    if (isWhole && (await this.#chunks?.appendRow(row as readonly Value[]))) this.#parts.markChanged();
    else await this.#parts.upsert(row);
  }

  /** Rows of a chunk, of the table's schema, as a file with columns `c0`, `c1`, …; false where they have to come one by one. */
  async appendChunkFile(parquet: Uint8Array, rows: number): Promise<boolean> {
    if (this.#parts.hasStaged) await this.#parts.flush();
    return (await this.#chunks?.appendFile(parquet, rows)) ?? false;
  }

  /** The snapshot's rows are complete: the next commit shows the table without what it has not touched. */
  async endChunks(): Promise<void> {
    await this.#parts.flush();
    await this.#parts.closeFiles();
    await this.#chunks?.end();
    await this.#endChunks();
  }

  async close(): Promise<void> {
    await this.#chunks?.close();
    await this.#abandonReplacement();
  }

  #begun(): Replacement {
    if (this.#replacement) return this.#replacement;
    throw new DailiesError('internal', `No snapshot of ${this.#parts.name} has begun.`);
  }

  async #endChunks(): Promise<void> {
    if (!this.#chunks) return;
    await this.#chunks.close();
    this.#chunks = null;
    this.#parts.shape.setUnfinished(false);
    this.#parts.markChanged();
  }

  async #abandonReplacement(): Promise<void> {
    const replacement = this.#replacement;
    this.#replacement = null;
    await replacement?.abandon();
  }
}
