import type { Batch, SourcePosition } from '../../event.ts';
import type { ChangesRequest } from '../../source.ts';
import { ChunkedSnapshots } from '../chunks/chunked-snapshots.ts';
import type { BinlogBegin, BinlogItem } from './binlog/binlog-item.ts';
import type { Connection, ServerVersion } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import { comparePlaces, type Position, parsePosition } from './position.ts';
import { hasPassed, TableChunks } from './table-chunks.ts';
import type { ShapeContext } from './table-shape.ts';
import { WholeTables } from './whole-tables.ts';

/** Of snapshots of a table without a key that were of no use. */
const manyTries = 20;
const longMs = 10_000;
const readAgainEveryMs = 60_000;

export interface SnapshotDeps {
  version: ServerVersion;
  context: ShapeContext;
  request: ChangesRequest;
  maxChunkRows: number;
  /** For questions to the catalog. */
  control: Connection;
  connect(): Promise<Connection>;
  /** As `ChunkSource.expect`. */
  expect(place: SourcePosition | null): void;
  saveMemory(): Promise<void>;
  signal: AbortSignal;
}

/**
 * The snapshots that stand beside a stream: in chunks for tables with a key; whole for those without, at a barrier:
 *
 *     stream ──── without these tables ────► barrier: their rows ──── with them ────►
 */
export class Snapshots {
  readonly #deps: SnapshotDeps;
  readonly #chunks: ChunkedSnapshots;
  /** Position of the last complete batch that told a place in the log of this server. */
  #handedOut: SourcePosition | null = null;
  #round: { whole: WholeTables; connection: Connection } | null = null;
  /** Tables without a key that wait for the round after the one under way. */
  readonly #waiting = new Map<string, SourceTable>();
  /** Those whose last snapshots were of no use, one after the other, for a change that was just being committed. */
  readonly #restless = new Map<string, { table: SourceTable; tries: number; sinceMs: number }>();
  /** Tables that are read again as soon as they may be, and when each was last. */
  readonly #soon = new Map<string, SourceTable>();
  readonly #readAgainMs = new Map<string, number>();
  /** Tables (database.table) whose snapshot is handed out, with its position: once more than that is durable its debt is paid. */
  readonly #landing = new Map<string, { position: SourcePosition; debt: number | null }>();

  constructor(deps: SnapshotDeps) {
    this.#deps = deps;
    this.#chunks = new ChunkedSnapshots(
      new TableChunks({
        version: deps.version,
        context: deps.context,
        maxRows: deps.maxChunkRows,
        connect: () => deps.connect(),
        handedOut: () => this.#place(),
        expect: (place) => deps.expect(place),
      }),
    );
  }

  /** Takes up a table whose rows were not read, or not wholly. Tables without a key wait for `begin`. */
  add(table: SourceTable, cursor: string | null): void {
    if (table.key.length === 0) {
      this.#waiting.set(table.name, table);
      return;
    }
    const { generation = 0 } = this.#deps.request.tables.get(table.name) ?? {};
    this.#chunks.add({ table: this.#fullName(table.name), generation, cursor, weight: table.rows });
  }

  /**
   * Begins a round for the tables that wait, unless one is under way; never within a transaction, whose end the snapshot might
   * not see. `read`: position of all that was read of the log, which it will see; null where no place in it is known yet.
   */
  async begin(read: SourcePosition | null): Promise<void> {
    if (this.#round !== null || this.#waiting.size === 0) return;
    const { version, context, request, signal } = this.#deps;
    const tables = [...this.#waiting.values()];
    const connection = await this.#deps.connect();
    const generationOf = (name: string) => request.tables.get(name)?.generation ?? 0;
    const deps = { version, context, connection, generationOf };
    const place = read === null ? null : parsePosition(version.flavor, read);
    this.#round = { whole: await WholeTables.begin(tables, place, deps, signal), connection };
    this.#waiting.clear();
  }

  /** A table whose rows were read, or are being read, is read anew; durably so. One without a key waits for `begin`. */
  async readAgain(table: SourceTable): Promise<void> {
    this.#deps.context.memory.owe(table.name);
    await this.#deps.saveMemory();
    if (table.key.length > 0) {
      if (!(await this.#chunks.restart(this.#fullName(table.name)))) this.add(table, null);
    } else if (this.#round?.whole.names.has(table.name)) this.#round.whole.spoil(table.name);
    else this.add(table, null);
  }

  /**
   * Tables of which the log has not told all: they are read again, at most once a minute each, and not while they are
   * being read, for what goes on changing them would never let them end.
   */
  async readSoon(tables: readonly SourceTable[]): Promise<void> {
    if (tables.length === 0) return;
    for (const table of tables) {
      this.#deps.context.memory.owe(table.name);
      this.#soon.set(table.name, table);
    }
    await this.#deps.saveMemory();
    this.#readDue();
  }

  #readDue(): void {
    for (const [name, table] of this.#soon) {
      const isUnderWay =
        this.#chunks.has(this.#fullName(name)) ||
        this.#waiting.has(name) ||
        this.#round?.whole.names.has(name) === true;
      const sinceMs = performance.now() - (this.#readAgainMs.get(name) ?? Number.NEGATIVE_INFINITY);
      if (isUnderWay || sinceMs < readAgainEveryMs) continue;
      this.#soon.delete(name);
      this.#readAgainMs.set(name, performance.now());
      this.add(table, null);
    }
  }

  /** True for a table whose rows are read at a barrier that is not reached; takes note of a change that they may lack. */
  isLeftOut(name: string, transaction: BinlogBegin | null): boolean {
    if (this.#waiting.has(name)) return true;
    const whole = this.#round?.whole;
    if (!whole?.names.has(name)) return false;
    if (transaction !== null) whole.noteChange(name, transaction);
    return true;
  }

  /** True where the stream, between two transactions, has come to the place of a round's snapshot. */
  isBarrier(item: BinlogItem): boolean {
    if (this.#round === null || (item.kind !== 'begin' && item.kind !== 'idle')) return false;
    return comparePlaces(item, this.#round.whole.until) >= 0;
  }

  /** The rows of the round's tables; the stream stands still meanwhile. */
  async *passBarrier(position: SourcePosition, timeMicros: bigint): AsyncGenerator<Batch> {
    if (this.#round === null) return;
    const { whole, connection } = this.#round;
    const batches = whole.read(this.#deps.control, position, timeMicros);
    let next = await batches.next();
    for (; !next.done; next = await batches.next()) yield* this.#noted(next.value);
    await connection.end();
    this.#round = null;
    for (const table of next.value) this.#waiting.set(table.name, table);
    for (const { name } of whole.tables) {
      const table = whole.isSpoiled(name) && this.#waiting.get(name);
      const known = this.#restless.get(name) ?? { tries: 0, sinceMs: performance.now() };
      if (table) this.#restless.set(name, { ...known, table, tries: known.tries + 1 });
      else this.#restless.delete(name);
    }
    await this.begin(position);
  }

  /** Tables without a key that have been changed within so many snapshots that only a key may help. */
  restless(): { table: SourceTable; tries: number }[] {
    return [...this.#restless.values()].filter(
      ({ tries, sinceMs }) => tries >= manyTries && performance.now() - sinceMs >= longMs,
    );
  }

  /** True for a table (database.table) whose rows that have landed are to be replaced. */
  isReadAgain(name: string): boolean {
    const { context, request } = this.#deps;
    return context.memory.isOwed(name) || (request.from !== null && request.tables.get(name)?.snapshot === true);
  }

  /** True while rows of this table (source.database.table) are being read in chunks. */
  isInHand(table: string): boolean {
    return this.#chunks.has(table);
  }

  /** Before a batch of the stream is handed out. */
  observe(batch: Batch): void {
    this.#chunks.observe(batch);
  }

  /** After a complete one was handed out. `isPlaced`: its position holds a place in this server's log. */
  async *place(batch: Batch, isPlaced: boolean): AsyncGenerator<Batch> {
    if (isPlaced) this.#handedOut = batch.position;
    this.#readDue();
    for await (const placed of this.#chunks.place(batch)) yield* this.#noted(placed);
  }

  /** Forgets what is owed to tables whose snapshot is durable. */
  settle(upTo: SourcePosition): void {
    for (const [table, { position, debt }] of this.#landing) {
      // Batches that came before it may have the same position.
      if (upTo === position || !hasPassed(this.#deps.version.flavor, upTo, position)) continue;
      this.#landing.delete(table);
      this.#deps.context.memory.settle(table, debt);
    }
  }

  async close(): Promise<void> {
    await this.#chunks.close();
  }

  async *#noted(batch: Batch): AsyncGenerator<Batch> {
    for (const item of batch.items) {
      if (item.kind !== 'snapshot-end' && item.kind !== 'snapshot-begin') continue;
      const name = item.table.slice(this.#deps.context.source.length + 1);
      // One that was asked for is remembered by who asked, as soon as it has begun.
      // Changed again meanwhile: another reading is owed.
      if (this.#soon.has(name)) continue;
      if (item.kind === 'snapshot-end' && (this.#chunks.has(item.table) || this.#waiting.has(name))) continue;
      const isKept = item.kind === 'snapshot-begin' && item.isChunked && this.#deps.request.tables.get(name)?.snapshot;
      if (isKept || item.kind === 'snapshot-end')
        this.#landing.set(name, { position: batch.position, debt: this.#deps.context.memory.debtOf(name) });
    }
    await this.#deps.saveMemory();
    yield batch;
  }

  /** Null until something is handed out. */
  #place(): Position | null {
    return this.#handedOut === null ? null : parsePosition(this.#deps.version.flavor, this.#handedOut);
  }

  #fullName(name: string): string {
    return `${this.#deps.context.source}.${name}`;
  }
}
