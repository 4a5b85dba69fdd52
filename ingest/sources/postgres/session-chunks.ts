import type pg from 'pg';
import type { Batch } from '../../event.ts';
import type { ChangesRequest } from '../../source.ts';
import { ChunkedSnapshots } from '../chunks/chunked-snapshots.ts';
import { sourceCursor } from '../chunks/chunked-table.ts';
import { isCursorValid, parseCursor } from './chunk-cursor.ts';
import { ChunkedTables, hasChunks } from './chunked-tables.ts';
import { RowCompleter } from './complete-rows.ts';
import type { SourceTable } from './discovery.ts';
import { currentSnapshot, RecentTransactions } from './recent-transactions.ts';
import type { ReplicationStream } from './replication-stream.ts';
import { heartbeat, serverHead } from './server-head.ts';
import type { Incomplete } from './stream-item.ts';
import type { ShapeContext } from './table-shape.ts';

export interface SessionChunksOptions {
  /** Sees the catalogs; never waits for anybody's lock. */
  control: pg.Client;
  /** Not started yet. */
  stream: ReplicationStream;
  tables: readonly SourceTable[];
  context: ShapeContext;
  request: ChangesRequest;
  chunkBytes: number;
  connect(): Promise<pg.Client>;
}

const maxRecent = 10_000;

/** The snapshots in chunks of one session, beside its stream. */
export class SessionChunks {
  readonly #options: SessionChunksOptions;
  readonly #recent: RecentTransactions;
  readonly #tables: ChunkedTables;
  readonly #snapshots: ChunkedSnapshots;
  readonly #completer: RowCompleter;

  private constructor(options: SessionChunksOptions, recent: RecentTransactions, tables: ChunkedTables) {
    this.#options = options;
    this.#recent = recent;
    this.#tables = tables;
    this.#snapshots = new ChunkedSnapshots(tables);
    this.#completer = new RowCompleter(options.connect, options.context);
  }

  static async open(options: SessionChunksOptions): Promise<SessionChunks> {
    const { control, stream, tables, context, chunkBytes, connect } = options;
    const expectHead = async () => {
      const head = await serverHead(control);
      stream.expect(head);
      if (!head.isFlushed) await heartbeat(control);
    };
    const recent = new RecentTransactions();
    await recent.noteWaiting(control);
    const chunked = await ChunkedTables.open({
      control,
      tables,
      context,
      recent,
      chunkBytes,
      connect,
      expectHead: () => void expectHead().catch((error) => stream.fail(error)),
      refresh: () => stream.refresh(),
    });
    return new SessionChunks(options, recent, chunked);
  }

  /** Takes a table's snapshot, or the rest of it. */
  begin(table: SourceTable): void {
    this.#add(table, this.#cursorOf(table));
  }

  /** Takes a table's snapshot from the start, also where one is under way. */
  async beginAnew(table: SourceTable): Promise<void> {
    if (!(await this.#snapshots.restart(this.#fullName(table)))) this.#add(table, null);
  }

  /** Takes in a batch of the stream before it is handed out, and reads what its rows lack. */
  async takeIn(batch: Batch, incomplete: readonly Incomplete[]): Promise<void> {
    // Noted first: a chunk that is begun from here on sees it.
    this.#recent.note(batch);
    this.#snapshots.observe(batch);
    for (const name of await this.#completer.completeMoved(incomplete)) await this.#readAgain(name);
    const locked = await this.#completer.completeTables(batch, (table) => this.#snapshots.isInHand(table));
    for (const table of locked) this.#snapshots.readAgain(table);
    if (this.#recent.size > maxRecent) this.#recent.areSeenBy(await currentSnapshot(this.#options.control));
  }

  /** What may be handed out behind a batch. */
  async *place(after: Batch): AsyncGenerator<Batch> {
    if (after.isComplete) yield* this.#snapshots.place(after);
  }

  close(): Promise<void> {
    return this.#snapshots.close();
  }

  /** Whole, for nobody holds what some row of it should have. */
  async #readAgain(name: string): Promise<void> {
    const { tables, context } = this.#options;
    const table = tables.find((candidate) => candidate.name === name);
    if (!table || !hasChunks(table)) return;
    context.memory.owe(name);
    await this.beginAnew(table);
  }

  #add(table: SourceTable, cursor: string | null): void {
    const generation = this.#options.request.tables.get(table.name)?.generation ?? 0;
    this.#snapshots.add({ table: this.#fullName(table), generation, cursor, weight: this.#tables.weightOf(table) });
  }

  /** Null where what was read before holds no more. */
  #cursorOf(table: SourceTable): string | null {
    const { request, context } = this.#options;
    const cursor = request.tables.get(table.name)?.cursor ?? null;
    if (cursor === null || request.from === null) return null;
    return isCursorValid(parseCursor(sourceCursor(cursor)), table, context.memory) ? cursor : null;
  }

  #fullName(table: SourceTable): string {
    return `${this.#options.context.source}.${table.name}`;
  }
}
