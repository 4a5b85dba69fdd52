import type { Batch, BatchItem, ChangeEvent, SourcePosition } from '../../event.ts';
import type { BinlogBegin } from './binlog/binlog-item.ts';
import type { GtidSet } from './binlog/gtid.ts';
import { type Connection, rowsOf, type ServerVersion } from './connection.ts';
import { findTables, type SourceTable } from './discovery.ts';
import { comparePlaces, type Position } from './position.ts';
import { printedRows } from './row-stream.ts';
import { knownGtids, serverHead } from './server-head.ts';
import { quoteTable } from './sql.ts';
import { isAltered, isSameShape, takeSnapshot } from './table-chunks.ts';
import { imprintOf } from './table-imprint.ts';
import { catalogShape, type ShapeContext } from './table-shape.ts';

const listBytes = 1 << 20;

export interface WholeTablesDeps {
  version: ServerVersion;
  context: ShapeContext;
  /** Ended by the caller. */
  connection: Connection;
  generationOf(table: string): number;
}

/**
 * Tables without a key in one snapshot, which is a barrier in the stream: their rows are handed out where the stream has
 * come to `until`, and their changes count from there on. MariaDB says where its snapshot stands, which is `until`. On MySQL
 * it sees whatever was executed before it began, and nothing from behind `until`: a change of one of the tables between the
 * two, which may be in the log before it can be seen, makes the snapshot useless for that table.
 */
export class WholeTables {
  readonly tables: readonly SourceTable[];
  readonly names: ReadonlySet<string>;
  readonly until: Pick<Position, 'log' | 'logPosition'>;
  /** Tables of which a change was seen that the snapshot may or may not hold. */
  readonly #spoiled = new Set<string>();
  /** What the snapshot sees for certain; null where that is whatever stands before `until`. */
  readonly #seen: GtidSet | null;
  readonly #deps: WholeTablesDeps;

  private constructor(
    tables: readonly SourceTable[],
    until: Pick<Position, 'log' | 'logPosition'>,
    seen: GtidSet | null,
    deps: WholeTablesDeps,
  ) {
    this.tables = tables;
    this.names = new Set(tables.map(({ name }) => name));
    this.until = until;
    this.#seen = seen;
    this.#deps = deps;
  }

  static async begin(
    tables: readonly SourceTable[],
    handedOut: Position | null,
    deps: WholeTablesDeps,
    signal: AbortSignal,
  ): Promise<WholeTables> {
    const { connection, version } = deps;
    const seen = version.flavor === 'mysql' ? (await knownGtids(connection, version)).gtids : null;
    const exact = await takeSnapshot(connection, version, handedOut, signal);
    const until = exact ?? (await serverHead(connection, version)).position;
    return new WholeTables(tables, until, seen, deps);
  }

  /** A change of one of the tables comes, in this transaction, before the barrier. */
  noteChange(table: string, transaction: BinlogBegin): void {
    const isSeen = this.#seen ? this.#seen.has(transaction.gtid) : comparePlaces(transaction, this.until) < 0;
    if (!isSeen) this.spoil(table);
  }

  /** The snapshot is of no use for this table: it is not read. */
  spoil(table: string): void {
    this.#spoiled.add(table);
  }

  isSpoiled(table: string): boolean {
    return this.#spoiled.has(table);
  }

  /** The rows, table by table, each ending with a complete batch. Answers the tables that another snapshot is needed for. */
  async *read(catalog: Connection, position: SourcePosition, timeMicros: bigint): AsyncGenerator<Batch, SourceTable[]> {
    const again: SourceTable[] = [];
    for (const table of this.tables) {
      const [now] = await findTables(catalog, [table.name], true);
      if (now === undefined) continue;
      const isUseful = !this.isSpoiled(table.name) && isSameShape(table, now);
      if (isUseful && (yield* this.#readTable(now, position, timeMicros))) continue;
      again.push(now);
    }
    await rowsOf(this.#deps.connection, 'ROLLBACK');
    return again;
  }

  /**
   * All rows of one snapshot share its schema. Where a row needs another (a text beside a value that its type cannot carry),
   * the reading goes on to learn of all such needs, and then the snapshot begins once more, which makes the first one void.
   * False if the table was altered before it could be read.
   */
  async *#readTable(table: SourceTable, position: SourcePosition, timeMicros: bigint): AsyncGenerator<Batch, boolean> {
    const { context, connection } = this.#deps;
    const shape = catalogShape(table, context);
    const generation = this.#deps.generationOf(table.name);
    const name = shape.fullName;
    const transactions = [{ id: '0', position, timeMicros }];
    const batch = (item: BatchItem, isComplete: boolean): Batch => ({
      items: [item],
      position,
      timeMicros,
      isComplete,
    });
    const sql = `SELECT ${shape.selectList()} FROM ${quoteTable(table.database, table.tableName)}`;
    for (;;) {
      const { schema } = shape;
      let rows = 0;
      let hasBegun = false;
      const begin = () => batch({ kind: 'snapshot-begin', table: name, schema, generation, isChunked: false }, false);
      try {
        for await (const list of printedRows(connection, sql, listBytes)) {
          if (!hasBegun) yield begin();
          hasBegun = true;
          rows += list.length;
          const events = list.map(
            (row): ChangeEvent => ({ op: 'r', before: null, after: shape.fromTexts(row), tx: 0 }),
          );
          if (shape.schema !== schema) continue;
          yield batch({ kind: 'changes', changes: { table: name, schema, events, transactions } }, false);
        }
      } catch (thrown) {
        if (isAltered(thrown) && !hasBegun) return false;
        throw thrown;
      }
      if (shape.schema !== schema) continue;
      if (!hasBegun) yield begin();
      context.memory.setImprint(table.name, imprintOf(table));
      yield batch({ kind: 'snapshot-end', table: name, generation, rows }, true);
      return true;
    }
  }
}
