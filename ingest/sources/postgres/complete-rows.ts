import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import { type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { Batch } from '../../event.ts';
import { rowsOf, sqlState } from './connection.ts';
import { findTables, type SourceTable } from './discovery.ts';
import { readRowsByKey } from './read-rows.ts';
import type { Incomplete } from './stream-item.ts';
import { type ShapeContext, tableRelation } from './table-shape.ts';

type OpenRow = (Value | typeof UNKNOWN)[];

const lockWithinMs = 1_000;

/**
 * Reads values that changes leave out (unchanged TOAST), as they are now: a newer one brings its own change. On a connection
 * of its own, for it may wait for whoever alters a table.
 */
export class RowCompleter {
  readonly #connect: () => Promise<pg.Client>;
  readonly #context: ShapeContext;
  #client: pg.Client | null = null;

  constructor(connect: () => Promise<pg.Client>, context: ShapeContext) {
    this.#connect = connect;
    this.#context = context;
  }

  /**
   * For rows that moved to a new key, under which nobody holds the values; a row that has moved on since stays without them.
   * Answers the tables (schema.table) whose columns have other names or types by now, so that values could not be read.
   */
  async completeMoved(incomplete: readonly Incomplete[]): Promise<Set<string>> {
    const altered = new Set<string>();
    for (const { relation, row } of incomplete) {
      if (!(await this.#complete(relation.table, relation.schema, [row], 0))) altered.add(relation.table);
    }
    return altered;
  }

  /**
   * For all rows of the tables (source.schema.table) that `isWanted`: while a chunk of a table is in hand it leaves such rows
   * out, and what a sink has of them may be from before the snapshot. Answers the tables that are being altered, or were, whose
   * rows could not be read in time.
   */
  async completeTables(batch: Batch, isWanted: (table: string) => boolean): Promise<string[]> {
    const locked: string[] = [];
    for (const item of batch.items) {
      if (item.kind !== 'changes' || !isWanted(item.changes.table)) continue;
      const { table, schema, events } = item.changes;
      // The batch is still ours alone.
      const rows = events.flatMap(({ after }) => (after?.includes(UNKNOWN) ? [after as OpenRow] : []));
      if (rows.length === 0) continue;
      const name = table.slice(this.#context.source.length + 1);
      if (!(await this.#complete(name, schema, rows, lockWithinMs))) locked.push(table);
    }
    return locked;
  }

  /** False if the table stayed locked (0 waits for ever), or has not all of these columns any more. */
  async #complete(name: string, schema: Schema, rows: readonly OpenRow[], withinMs: number): Promise<boolean> {
    this.#client ??= await this.#connect();
    const client = this.#client;
    const table = await this.#find(client, name);
    if (table === null) return true;
    const current = await tableRelation(client, table, this.#context);
    const indexes = schema.key.map((key) => schema.fields.findIndex((field) => field.name === key));
    const keys: Row[] = rows.map((row) => indexes.map((index) => row[index] ?? null));
    await rowsOf(client, `SET lock_timeout = ${withinMs}`);
    try {
      const found = await readRowsByKey(client, table, current, schema, keys);
      for (const [at, row] of rows.entries()) {
        const now = found.get(at) ?? row;
        for (const [index, value] of row.entries()) if (value === UNKNOWN) row[index] = now[index] as typeof value;
      }
      return !rows.some((row, at) => found.has(at) && row.includes(UNKNOWN));
    } catch (thrown) {
      if (isLockTimeout(thrown) || (thrown instanceof DailiesError && thrown.code === 'schema_incompatible'))
        return false;
      throw thrown;
    }
  }

  /** Null where it was dropped or renamed since: whoever watches the names sees to that. */
  async #find(client: pg.Client, name: string): Promise<SourceTable | null> {
    return (await findTables(client, [name], this.#context.names, true))[0] ?? null;
  }
}

function isLockTimeout(thrown: unknown): boolean {
  return thrown instanceof Error && sqlState(thrown.cause) === '55P03';
}
