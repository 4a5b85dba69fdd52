import type pg from 'pg';
import { type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { Batch } from '../../event.ts';
import { findTables } from './discovery.ts';
import { readRowsByKey } from './read-rows.ts';
import type { Incomplete } from './replication-stream.ts';
import { type ShapeContext, tableRelation } from './table-shape.ts';

type OpenRow = (Value | typeof UNKNOWN)[];

/** Reads unchanged TOAST values of rows that moved to a new key; a row that has moved on since stays without them. */
export async function completeMoved(
  control: pg.Client,
  context: ShapeContext,
  incomplete: readonly Incomplete[],
): Promise<void> {
  for (const { relation, row } of incomplete)
    await completeRows(control, context, relation.table, relation.schema, [row]);
}

/**
 * Reads unchanged TOAST values of all rows of the tables (source.schema.table) that `isWanted`: while a chunk of a table is
 * in hand it leaves such rows out, and what a sink has of them may be from before the snapshot.
 */
export async function completeTables(
  control: pg.Client,
  context: ShapeContext,
  batch: Batch,
  isWanted: (table: string) => boolean,
): Promise<void> {
  for (const item of batch.items) {
    if (item.kind !== 'changes' || !isWanted(item.changes.table)) continue;
    const { table, schema, events } = item.changes;
    // The batch is still ours alone.
    const rows = events.flatMap(({ after }) => (after?.includes(UNKNOWN) ? [after as OpenRow] : []));
    if (rows.length > 0) await completeRows(control, context, table.slice(context.source.length + 1), schema, rows);
  }
}

async function completeRows(
  control: pg.Client,
  context: ShapeContext,
  name: string,
  schema: Schema,
  rows: readonly OpenRow[],
): Promise<void> {
  const [table] = await findTables(control, [name], true);
  if (!table) return;
  const current = await tableRelation(control, table, context);
  const indexes = schema.key.map((key) => schema.fields.findIndex((field) => field.name === key));
  const keys: Row[] = rows.map((row) => indexes.map((index) => row[index] ?? null));
  const found = await readRowsByKey(control, table, current, schema, keys);
  for (const [at, row] of rows.entries()) {
    const now = found.get(at);
    if (!now) continue;
    for (const [index, value] of row.entries()) if (value === UNKNOWN) row[index] = now[index] as typeof value;
  }
}
