import { readFile } from 'node:fs/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DailiesError } from '#catalog/error.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import { type Batch, type BatchItem, isAnnouncement, type SourcePosition, tableOf } from '../../event.ts';
import { removeFiles } from './chunk-file-writer.ts';
import type { ChunkedTable, ChunkFile, ChunkReader, ChunkSource, TableChunk } from './chunk-reader.ts';
import { ChunkedTableState, type ChunkInHand } from './chunked-table.ts';
import { excludeKeys } from './exclude-keys.ts';

export interface ChunkLimits {
  /** Tables read at the same time. */
  readers: number;
  /** Chunks read or being read that are not handed out. */
  chunks: number;
  /** Bytes of their files on the local disk, beyond which no other chunk is begun. */
  bytes: number;
  /** Bytes of memory for touched keys, beyond which a table's chunks are thrown away and read again later. */
  touchedBytes: number;
}

export const chunkLimits: ChunkLimits = { readers: 2, chunks: 4, bytes: 256 << 20, touchedBytes: 64 << 20 };

const maxVoids = 20;

/**
 * Snapshots in chunks beside a stream (`chunk-reader.ts` has the rule). Whoever runs the stream calls, for each of its
 * batches:
 *
 *     snapshots.observe(batch);
 *     yield batch;
 *     if (batch.isComplete) yield* snapshots.place(batch);
 *
 * Chunks are read meanwhile and in parallel, as long as few enough are in hand. A failure of a reader is thrown by `place`.
 * Several batches may make up a chunk, of which the last alone is complete.
 */
export class ChunkedSnapshots {
  readonly #source: ChunkSource;
  readonly #limits: ChunkLimits;
  readonly #stop = new AbortController();
  /** Lightest first. */
  readonly #tables: ChunkedTableState[] = [];
  readonly #open = new Set<ChunkReader>();
  readonly #idle: ChunkReader[] = [];
  readonly #work = new Set<Promise<void>>();
  #readers = 0;
  #batches = 0;
  #failure: { thrown: unknown } | null = null;
  #duckdb: DuckDBConnection | null = null;

  constructor(source: ChunkSource, limits: ChunkLimits = chunkLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  /** True if no table waits or is being read. */
  get isDone(): boolean {
    return this.#tables.length === 0;
  }

  has(table: string): boolean {
    return this.#tables.some((state) => state.table.table === table);
  }

  /** Takes up a table that is not under way, at any time; its first batch comes with a later `place`. */
  add(table: ChunkedTable): void {
    const at = this.#tables.findIndex((state) => state.table.weight > table.weight);
    this.#tables.splice(at < 0 ? this.#tables.length : at, 0, new ChunkedTableState(table));
    this.#source.expect(null);
  }

  /**
   * Begins a table under way anew, with another snapshot-begin of its generation: what was read of it would read
   * differently now. False if it is not under way.
   */
  async restart(table: string): Promise<boolean> {
    const state = this.#stateOf(table);
    if (state === undefined) return false;
    await state.beginAnew();
    this.#source.expect(null);
    return true;
  }

  /** Reads what is in hand of a table again: a change that came meanwhile leaves out values which its chunk has. */
  readAgain(table: string): void {
    const state = this.#stateOf(table);
    if (state) this.#void(state);
  }

  /** True if a chunk of this table (source.schema.table) is in hand: values that a change leaves out are not to be taken from elsewhere. */
  isInHand(table: string): boolean {
    return (this.#stateOf(table)?.inHand.length ?? 0) > 0;
  }

  /** Takes in the keys that a batch of the stream touches. Before it is handed out. */
  observe(batch: Batch): void {
    this.#batches += 1;
    for (const item of batch.items) {
      if (item.kind !== 'changes') continue;
      const state = this.#stateOf(tableOf(item));
      if (state?.phase === 'beginning' && isAnnouncement(item)) {
        state.beginAgain();
        this.#source.expect(null);
      }
      if (state === undefined || state.inHand.length === 0) continue;
      if (state.touched.note(item.changes, this.#batches)) this.#void(state);
    }
    this.#boundTouched();
  }

  /** What can be handed out behind `batch`, which is complete and was handed out. */
  async *place({ position, timeMicros }: Batch): AsyncGenerator<Batch> {
    for (const state of [...this.#tables]) {
      this.#throwFailure();
      yield* this.#placeTable(state, position, timeMicros);
    }
    this.#throwFailure();
    this.#read();
  }

  /** Ends all readers and removes their files. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#work);
    await Promise.all([...this.#open].map((reader) => this.#end(reader)));
    await Promise.all(this.#tables.map((state) => state.discard()));
    this.#duckdb?.closeSync();
    this.#duckdb = null;
  }

  // ── handing out ─────────────────────────────────────────────────────────────────────────────────────────────

  async *#placeTable(state: ChunkedTableState, position: SourcePosition, timeMicros: bigint): AsyncGenerator<Batch> {
    const { heldUntil } = state;
    if (heldUntil !== null && this.#source.hasPassed(position, heldUntil)) state.heldUntil = null;
    if (state.phase === 'beginning' && state.begin && this.#source.hasPassed(position, state.begin.place)) {
      const { table, generation } = state.table;
      const { schema } = state.begin;
      state.phase = 'rows';
      const begin: BatchItem = { kind: 'snapshot-begin', table, schema, generation, isChunked: true };
      yield { items: [begin], position, timeMicros, isComplete: true };
    }
    for (;;) {
      const [first] = state.inHand;
      const chunk = first?.chunk ?? null;
      if (first === undefined || chunk === null || !this.#source.hasPassed(position, chunk.place)) return;
      if (!chunk.files.every(({ schema }) => state.touched.haveShape(schema, first.mark))) {
        this.#voidForShape(state);
        return;
      }
      yield* this.#handOut(state, first, chunk, { position, timeMicros });
    }
  }

  async *#handOut(
    state: ChunkedTableState,
    { mark }: ChunkInHand,
    chunk: TableChunk,
    at: { position: SourcePosition; timeMicros: bigint },
  ): AsyncGenerator<Batch> {
    const { run } = state;
    const { table, generation } = state.table;
    const keys = state.touched.since(mark);
    let rows = state.rows;
    for (const file of chunk.files) rows += file.rows;
    state.placed(chunk);
    this.#read();
    const files = keys.length > 0 ? await this.#exclude(chunk.files, keys) : chunk.files;
    // Begun anew while keys were excluded.
    if (run !== state.run) return await removeFiles(files);
    state.rows = rows;
    const closing: BatchItem[] = [];
    if (chunk.after !== null) {
      const { estimatedRows } = chunk;
      const cursor = state.cursorAt(chunk.after);
      closing.push({ kind: 'snapshot-chunk', table, generation, cursor, rows, estimatedRows });
    }
    if (chunk.isLast) {
      closing.push({ kind: 'snapshot-end', table, generation, rows });
      this.#tables.splice(this.#tables.indexOf(state), 1);
    }
    try {
      for (const [index, file] of files.entries()) {
        const isClosing = index === files.length - 1;
        const snapshotRows = { table, schema: file.schema, rows: file.rows, parquet: await readFile(file.path) };
        const items: BatchItem[] = [{ kind: 'snapshot-rows', snapshotRows }, ...(isClosing ? closing : [])];
        yield { ...at, items, isComplete: isClosing };
      }
      if (files.length === 0 && closing.length > 0) yield { ...at, items: closing, isComplete: true };
    } finally {
      await removeFiles(files);
    }
  }

  async #exclude(files: readonly ChunkFile[], keys: readonly Row[]): Promise<ChunkFile[]> {
    this.#duckdb ??= await connectDuckdb();
    return excludeKeys(this.#duckdb, files, keys);
  }

  // ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Begins whatever may be begun now. */
  #read(): void {
    if (this.#stop.signal.aborted || this.#failure !== null) return;
    let begun = this.#tables.filter(({ phase }) => phase !== 'new').length;
    for (const state of this.#tables) {
      // One more than can be read, so that no reader waits for a begin to be handed out.
      if (begun > this.#limits.readers) break;
      if (state.phase !== 'new' || state.isReading) continue;
      state.phase = 'beginning';
      begun += 1;
      this.#track(this.#begin(state));
    }
    while (this.#readers < this.#limits.readers) {
      const state = this.#nextToRead();
      if (state === undefined) break;
      this.#track(this.#readChunk(state));
    }
    if (this.#tables.length > 0) return;
    for (const reader of this.#idle.splice(0)) this.#track(this.#end(reader));
  }

  #nextToRead(): ChunkedTableState | undefined {
    let chunks = 0;
    let bytes = 0;
    for (const state of this.#tables) {
      chunks += state.inHand.length;
      bytes += state.bytesInHand;
    }
    if (chunks >= this.#limits.chunks || bytes >= this.#limits.bytes) return undefined;
    return this.#tables.find(
      ({ phase, isReading, isAllRead, heldUntil }) =>
        phase === 'rows' && !isReading && !isAllRead && heldUntil === null,
    );
  }

  async #begin(state: ChunkedTableState): Promise<void> {
    const { run } = state;
    const begin = await this.#source.begin(state.table, this.#stop.signal);
    if (run !== state.run) return;
    state.begin = begin;
    this.#source.expect(begin.place);
  }

  async #readChunk(state: ChunkedTableState): Promise<void> {
    const { run } = state;
    const hand: ChunkInHand = { mark: this.#batches, chunk: null };
    state.inHand.push(hand);
    state.isReading = true;
    this.#readers += 1;
    const reader = this.#idle.pop() ?? (await this.#source.openReader(this.#stop.signal));
    this.#open.add(reader);
    const chunk = await reader.read(state.table, state.readAfter, this.#stop.signal);
    this.#idle.push(reader);
    this.#readers -= 1;
    state.isReading = false;
    if (chunk === 'outdated') {
      if (run === state.run) await state.beginAnew();
      this.#source.expect(null);
    } else {
      this.#source.expect(chunk.place);
      if (run === state.run) {
        hand.chunk = chunk;
        state.readAfter = chunk.after ?? state.readAfter;
        state.isAllRead = chunk.isLast;
      } else {
        // Till then its changes are still to come, and would make the next one void as well.
        state.heldUntil = chunk.place;
        await removeFiles(chunk.files);
      }
    }
    this.#read();
  }

  async #end(reader: ChunkReader): Promise<void> {
    this.#open.delete(reader);
    await reader.close();
  }

  #void(state: ChunkedTableState): void {
    this.#track(state.discard());
  }

  /** Converges, since a chunk read after the stream has passed the place of this one has the shape of the changes behind it. */
  #voidForShape(state: ChunkedTableState): void {
    state.voids += 1;
    if (state.voids > maxVoids) {
      const { table } = state.table;
      throw new DailiesError('source_protocol', `The rows of ${table} and its changes do not come to the same shape.`, {
        details: { table },
      });
    }
    this.#void(state);
  }

  #boundTouched(): void {
    let bytes = 0;
    let largest = this.#tables[0];
    for (const state of this.#tables) {
      bytes += state.touched.bytes;
      if (largest && state.touched.bytes > largest.touched.bytes) largest = state;
    }
    if (largest && bytes > this.#limits.touchedBytes) this.#void(largest);
  }

  #stateOf(table: string): ChunkedTableState | undefined {
    return this.#tables.find((state) => state.table.table === table);
  }

  #track(work: Promise<void>): void {
    const settled = work.catch((thrown: unknown) => {
      this.#failure ??= { thrown };
      if (!this.#stop.signal.aborted) this.#source.expect(null);
    });
    this.#work.add(settled);
    void settled.then(() => this.#work.delete(settled));
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.thrown;
  }
}
