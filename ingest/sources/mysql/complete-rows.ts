import { type Row, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { Batch } from '../../event.ts';
import { type Connection, rowsOf, type ServerVersion } from './connection.ts';
import { findTables } from './discovery.ts';
import { parsePosition } from './position.ts';
import { readRowsByKey } from './read-rows.ts';
import { isAltered, takeSnapshot } from './table-chunks.ts';
import { catalogShape, type ShapeContext, type TableShape } from './table-shape.ts';

type OpenRow = (Value | typeof UNKNOWN)[];

/** A row image that lacks values which nobody who holds the row before has. */
export interface Incomplete {
  shape: Pick<TableShape, 'table' | 'schema'>;
  row: OpenRow;
}

/**
 * Reads values that row images leave out, as they are once the change can be seen: a newer one brings its own change. MariaDB
 * leaves generated columns out of updates from 11.8 on, whatever binlog_row_image says, and a session may have set that
 * to MINIMAL or NOBLOB.
 */
export class RowCompleter {
  readonly #connect: () => Promise<Connection>;
  readonly #version: ServerVersion;
  readonly #context: ShapeContext;
  readonly #signal: AbortSignal;
  #connection: Connection | null = null;

  constructor(connect: () => Promise<Connection>, version: ServerVersion, context: ShapeContext, signal: AbortSignal) {
    this.#connect = connect;
    this.#version = version;
    this.#context = context;
    this.#signal = signal;
  }

  /**
   * Fills `incomplete` rows of `batch`, and all rows of the tables (source.database.table) that `isInHand`: while a chunk of
   * a table is in hand it leaves changed rows out, and what a sink has of them may be from before the snapshot. A row that
   * has moved on or is gone since stays as it is.
   */
  async complete(batch: Batch, incomplete: readonly Incomplete[], isInHand: (table: string) => boolean): Promise<void> {
    const wanted = [...incomplete];
    let position = batch.position;
    for (const item of batch.items) {
      if (item.kind !== 'changes') continue;
      const { table, schema, events, transactions } = item.changes;
      // Of one that is handed out in parts, too: all of it is in the log before any of it is told.
      position = transactions.at(-1)?.position ?? position;
      if (!isInHand(table) || schema.key.length === 0) continue;
      const shape = { table: table.slice(this.#context.source.length + 1), schema };
      // The batch is still ours alone.
      for (const { after } of events) if (after?.includes(UNKNOWN)) wanted.push({ shape, row: after as OpenRow });
    }
    if (wanted.length === 0) return;
    this.#connection ??= await this.#connect();
    const place = parsePosition(this.#version.flavor, position);
    for (const [table, rows] of Map.groupBy(wanted, ({ shape }) => shape.table)) {
      for (const [schema, some] of Map.groupBy(rows, ({ shape }) => shape.schema)) {
        await this.#fill(this.#connection, { table, schema }, some, place);
      }
    }
  }

  async #fill(
    connection: Connection,
    { table, schema }: Incomplete['shape'],
    rows: readonly Incomplete[],
    place: ReturnType<typeof parsePosition>,
  ): Promise<void> {
    const indexes = schema.key.map((key) => schema.fields.findIndex((field) => field.name === key));
    const keys: Row[] = rows.map(({ row }) => indexes.map((index) => row[index] ?? null));
    for (;;) {
      await takeSnapshot(connection, this.#version, place, this.#signal);
      try {
        const [found] = await findTables(connection, [table], true);
        if (!found) return;
        const now = await readRowsByKey(connection, found, catalogShape(found, this.#context), schema, keys);
        for (const [at, { row }] of rows.entries()) {
          const read = now.get(at) ?? row;
          for (const [index, value] of row.entries()) if (value === UNKNOWN) row[index] = read[index] as typeof value;
        }
        return;
      } catch (thrown) {
        if (!isAltered(thrown)) throw thrown;
      } finally {
        await rowsOf(connection, 'ROLLBACK');
      }
    }
  }
}
