import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import { removeFiles } from '../chunks/chunk-file-writer.ts';
import type { ChunkedTable, ChunkFile, ChunkReader, TableChunk } from '../chunks/chunk-reader.ts';
import { cursorAfter, isCursorValid, parseCursor } from './chunk-cursor.ts';
import { alongIndex, chunkQuery, type TableSize } from './chunk-query.ts';
import { ChunkRows, csvTexts } from './chunk-rows.ts';
import { rowsOf, tableError, wire } from './connection.ts';
import { copyChunks } from './copy-out.ts';
import { readTables, type SourceTable } from './discovery.ts';
import { formatLsn } from './lsn.ts';
import { currentSnapshot, type RecentTransactions } from './recent-transactions.ts';
import type { Relation } from './relation.ts';
import { settledHead } from './server-head.ts';
import { goneTable, lockTable } from './snapshot.ts';
import { type ShapeContext, tableRelation } from './table-shape.ts';

export interface CopyOptions {
  connect(): Promise<pg.Client>;
  context: ShapeContext;
  recent: RecentTransactions;
  /** Text that a chunk has, about. */
  chunkBytes: number;
  /** The table as it was when the session began. */
  tableOf(name: string): SourceTable;
  sizeOf(table: SourceTable): TableSize;
  /** A chunk has needed text columns: all that is decoded from now on has them. */
  refresh(): void;
}

/** How much CSV a file of a chunk has, at most, unless a single row has more. */
const pieceBytes = 16 << 20;
/** Where rows are so many times longer than those before, the chunk ends early. */
const mostTimes = 4;
const firstRows = 10_000;
const maxRows = 1_000_000;
const againMs = 20;

/**
 * Reads chunks on a connection of its own, each in a transaction
 *
 *     LOCK TABLE … IN ACCESS SHARE MODE → S → COPY (… WHERE key > cursor ORDER BY key LIMIT n) → P
 *
 * The lock comes before S, so that nobody rewrites or truncates the table between S and the rows (an older snapshot would see
 * it empty); it is held for this chunk alone.
 */
export class ChunkCopy implements ChunkReader {
  readonly #options: CopyOptions;
  #client: pg.Client | null = null;
  #rows: ChunkRows | null = null;
  /** Bytes of CSV a row of the last chunk had, by table. */
  readonly #rowBytes = new Map<string, number>();

  constructor(options: CopyOptions) {
    this.#options = options;
  }

  async read(chunked: ChunkedTable, after: string | null, signal: AbortSignal): Promise<TableChunk | 'outdated'> {
    const known = this.#options.tableOf(chunked.table);
    this.#client ??= await this.#options.connect();
    const client = this.#client;
    const cut = () => this.#cut();
    signal.addEventListener('abort', cut, { once: true });
    try {
      const read = await this.#read(client, known, after, signal);
      // Nothing is waited for that might wait for somebody who waits for the table.
      if (this.#client !== null) await rowsOf(client, 'ROLLBACK');
      if (read === 'outdated') return read;
      this.#client ??= await this.#options.connect();
      return { ...read, place: formatLsn(await settledHead(this.#client)) };
    } catch (thrown) {
      this.#cut();
      throw signal.aborted ? thrown : tableError(thrown, known.name);
    } finally {
      signal.removeEventListener('abort', cut);
    }
  }

  async close(): Promise<void> {
    this.#rows?.close();
    this.#cut();
  }

  /** In the middle of a COPY the server would not hear of an orderly end. */
  #cut(): void {
    if (this.#client) wire(this.#client).stream.destroy();
    this.#client = null;
  }

  async #read(
    client: pg.Client,
    known: SourceTable,
    after: string | null,
    signal: AbortSignal,
  ): Promise<Omit<TableChunk, 'place'> | 'outdated'> {
    const { context } = this.#options;
    await this.#beginSnapshot(client, known, signal);
    const [table] = await readTables(client, [known.oid], context.names);
    if (table?.name !== known.name) throw goneTable(known);
    if (table.key.length === 0) throw keyless(table);
    const cursor = after === null ? null : parseCursor(after);
    if (cursor !== null && !isCursorValid(cursor, table, context.memory)) return 'outdated';
    const relation = await tableRelation(client, table, context);
    return await this.#copy(client, table, relation, cursor?.key ?? null);
  }

  /** S sees everything that the stream has handed out, or another is taken. */
  async #beginSnapshot(client: pg.Client, table: SourceTable, signal: AbortSignal): Promise<void> {
    const { recent } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      await rowsOf(client, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      await rowsOf(client, alongIndex);
      await lockTable(client, table);
      if (recent.areSeenBy(await currentSnapshot(client))) return;
      await rowsOf(client, 'ROLLBACK');
      await setTimeout(againMs, undefined, { signal });
    }
  }

  async #copy(
    client: pg.Client,
    table: SourceTable,
    relation: Relation,
    key: readonly string[] | null,
  ): Promise<Omit<TableChunk, 'place'>> {
    const { chunkBytes, context } = this.#options;
    const size = this.#options.sizeOf(table);
    const limit = this.#limitOf(table, size);
    const { schema } = relation;
    const files: ChunkFile[] = [];
    let rows = 0;
    let bytes = 0;
    let lastKey: string[] | null = null;
    this.#rows ??= await ChunkRows.open();
    try {
      const sql = `COPY (${await chunkQuery(client, table, relation, key, limit)}) TO STDOUT (FORMAT csv)`;
      for await (const piece of copyChunks(client, sql, Math.min(chunkBytes, pieceBytes))) {
        rows += piece.rows;
        bytes += piece.bytes.length;
        lastKey = keyTexts(piece.bytes, piece.lastRow, relation);
        files.push(await this.#rows.write(piece, relation));
        if (bytes >= mostTimes * chunkBytes && rows < limit) {
          this.#cut();
          break;
        }
      }
      // What is decoded from now on has the text columns of these rows; what was decoded before is before P.
      if (relation.schema !== schema) this.#options.refresh();
      if (rows > 0) this.#rowBytes.set(table.name, bytes / rows);
      return {
        files,
        after: lastKey === null ? null : cursorAfter(lastKey, table, context.memory),
        isLast: rows < limit && this.#client !== null,
        estimatedRows: size.rows,
      };
    } catch (thrown) {
      await removeFiles(files);
      throw thrown;
    }
  }

  #limitOf(table: SourceTable, size: TableSize): number {
    const { chunkBytes } = this.#options;
    const rowBytes = this.#rowBytes.get(table.name) ?? (size.rows ? size.bytes / size.rows : chunkBytes / firstRows);
    return Math.min(Math.max(Math.ceil(chunkBytes / rowBytes), 1), maxRows);
  }
}

function keyTexts(bytes: Buffer, at: number, relation: Relation): string[] {
  const texts = csvTexts(bytes, at, relation.columns.length);
  return relation.keyIndexes.map((index) => {
    const text = texts[index];
    // NOT NULL by the primary key; the server quotes what is empty.
    if (text === null || text === undefined) throw new Error(`a key of ${relation.fullName} is NULL`);
    return text;
  });
}

function keyless(table: SourceTable): DailiesError {
  return new DailiesError('source_protocol', `The table ${table.name} has lost its key as it was read.`, {
    details: { table: table.name },
  });
}
