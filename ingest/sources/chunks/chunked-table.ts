import type { Schema } from '#catalog/schemas/schema.ts';
import type { SourcePosition } from '../../event.ts';
import { removeFiles } from './chunk-file-writer.ts';
import type { ChunkedTable, TableChunk } from './chunk-reader.ts';
import { TouchedKeys } from './touched-keys.ts';

/** A chunk that is being read, or that waits for the stream to pass its place. */
export interface ChunkInHand {
  /** Batch after which its window was opened. */
  mark: number;
  /** Null while it is read. */
  chunk: TableChunk | null;
}

/**
 * How far one table's snapshot is:
 *
 *     new ──► beginning ──► rows ──► (last chunk handed out) gone
 *      ▲          │           │
 *      └──────────┴───────────┘ begins anew
 *
 * Chunks are read one after the other, each as soon as the one before is read, and are handed out in this order. What is
 * in hand is void after a truncate, a change of shape or too many changes: it is read again after what was handed out.
 */
export class ChunkedTableState {
  readonly table: ChunkedTable;
  readonly touched = new TouchedKeys();
  phase: 'new' | 'beginning' | 'rows';
  begin: { schema: Schema; place: SourcePosition } | null = null;
  /** Handed out so far. */
  rows = 0;
  /** Where the next read goes on. */
  readAfter: string | null = null;
  inHand: ChunkInHand[] = [];
  isReading = false;
  isAllRead = false;
  /** Nothing is read until the stream has passed it. */
  heldUntil: SourcePosition | null = null;
  /** Counts up whenever what was in hand is void; what began under another number is thrown away. */
  run = 0;
  /** How often a chunk had another shape than changes since one was last handed out. */
  voids = 0;
  #after: string | null = null;

  constructor(table: ChunkedTable) {
    this.table = table;
    this.phase = table.cursor === null ? 'new' : 'rows';
    if (table.cursor !== null) {
      this.rows = Number(table.cursor.slice(0, table.cursor.indexOf(' ')));
      this.#after = sourceCursor(table.cursor);
      this.readAfter = this.#after;
    }
  }

  get bytesInHand(): number {
    let bytes = 0;
    for (const { chunk } of this.inHand) for (const file of chunk?.files ?? []) bytes += file.bytes;
    return bytes;
  }

  /** For a snapshot-chunk: rows so far, a space, the source's own text. */
  cursorAt(after: string): string {
    return `${this.rows} ${after}`;
  }

  /** The first chunk in hand was handed out. */
  placed(chunk: TableChunk): void {
    this.inHand.shift();
    this.#after = chunk.after ?? this.#after;
    this.voids = 0;
    const oldest = this.inHand[0];
    if (oldest) this.touched.forgetUntil(oldest.mark);
    else this.touched.clear();
  }

  /** What is in hand is thrown away, to be read again once the stream has passed the last place of it. */
  async discard(): Promise<void> {
    const { inHand } = this;
    this.inHand = [];
    this.run += 1;
    this.readAfter = this.#after;
    this.isAllRead = false;
    this.touched.clear();
    this.heldUntil = inHand.findLast(({ chunk }) => chunk !== null)?.chunk?.place ?? this.heldUntil;
    await Promise.all(inHand.map(({ chunk }) => removeFiles(chunk?.files ?? [])));
  }

  /** Nothing is handed out yet, and the shape that it was to begin with is an older one by now. */
  beginAgain(): void {
    this.run += 1;
    this.phase = 'new';
    this.begin = null;
  }

  async beginAnew(): Promise<void> {
    await this.discard();
    this.phase = 'new';
    this.begin = null;
    this.rows = 0;
    this.#after = null;
    this.readAfter = null;
    this.voids = 0;
  }
}

/** The source's own text in the cursor of a snapshot-chunk. */
export function sourceCursor(cursor: string): string {
  return cursor.slice(cursor.indexOf(' ') + 1);
}
