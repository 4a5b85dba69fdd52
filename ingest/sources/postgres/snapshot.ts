import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import type { Batch } from '../../event.ts';
import { rowsOf, sqlState } from './connection.ts';
import { copyRows } from './copy-out.ts';
import { readTables, type SourceTable } from './discovery.ts';
import { formatLsn } from './lsn.ts';
import type { Relation } from './relation.ts';
import type { ExportedSnapshot } from './slot.ts';
import { quoteIdentifier, quoteLiteral, quoteTable } from './sql.ts';

export interface SnapshotOptions {
  /** Runs the snapshot's transactions; ended by the caller, also where the rows are not read to their end. */
  client: pg.Client;
  /** Sees the catalogs as they are now. */
  catalog: pg.Client;
  exported: ExportedSnapshot;
  /** The server's time before the snapshot was taken. */
  timeMicros: bigint;
  generationOf(table: string): number;
  relationOf(table: SourceTable): Promise<Relation>;
}

const limits = { maxBytes: 1 << 20, maxRows: 5_000 };

/**
 * The tables' rows as of `exported`, table by table, each ending with a complete batch. Answers the tables whose shape or
 * storage changed after that moment: a rewritten or truncated table looks empty to an older snapshot, so these need another.
 */
export async function* snapshotTables(
  tables: readonly SourceTable[],
  options: SnapshotOptions,
): AsyncGenerator<Batch, SourceTable[]> {
  const { client, exported } = options;
  const postponed: SourceTable[] = [];
  for (const table of tables) {
    await rowsOf(client, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await rowsOf(client, `SET TRANSACTION SNAPSHOT ${quoteLiteral(exported.name)}`);
    await lockTable(client, table);
    const [then] = await readTables(client, [table.oid]);
    const [now] = await readTables(options.catalog, [table.oid]);
    if (now === undefined) throw goneTable(table);
    if (then !== undefined && isSameStorage(then, now)) yield* snapshotTable(now, options);
    else postponed.push(now);
    await rowsOf(client, 'ROLLBACK');
  }
  return postponed;
}

async function* snapshotTable(table: SourceTable, options: SnapshotOptions): AsyncGenerator<Batch> {
  const relation = await options.relationOf(table);
  const generation = options.generationOf(table.name);
  const position = formatLsn(options.exported.position);
  const batch = (items: Batch['items'], isComplete: boolean): Batch => ({
    items,
    position,
    timeMicros: options.timeMicros,
    isComplete,
  });
  const name = relation.fullName;
  yield batch([{ kind: 'snapshot-begin', table: name, schema: relation.schema, generation }], false);
  const transactions = [{ id: '0', position, timeMicros: options.timeMicros }];
  const columns = relation.columns.map((column) => quoteIdentifier(column.name)).join(', ');
  const from = `${table.isPartitioned ? '' : 'ONLY '}${quoteTable(table.schemaName, table.tableName)}`;
  let rows = 0;
  // A row keeps the schema it was decoded with; the list is cut where a value asked for another.
  const decode = (bytes: Buffer) => {
    const after = relation.decodeCopyRow(bytes);
    return { schema: relation.schema, event: { op: 'r' as const, before: null, after, tx: 0 } };
  };
  for await (const list of copyRows(
    options.client,
    `COPY (SELECT ${columns} FROM ${from}) TO STDOUT`,
    decode,
    limits,
  )) {
    const items: Batch['items'] = [];
    for (let start = 0; start < list.rows.length; ) {
      const schema = list.rows[start]?.schema ?? relation.schema;
      let end = start + 1;
      while (list.rows[end]?.schema === schema) end++;
      const events = list.rows.slice(start, end).map((row) => row.event);
      items.push({ kind: 'changes', changes: { table: name, schema, events, transactions } });
      start = end;
    }
    rows += list.rows.length;
    yield batch(items, false);
  }
  yield batch([{ kind: 'snapshot-end', table: name, generation, rows }], true);
}

async function lockTable(client: pg.Client, table: SourceTable): Promise<void> {
  const name = quoteTable(table.schemaName, table.tableName);
  try {
    await client.query(`LOCK TABLE ${table.isPartitioned ? '' : 'ONLY '}${name} IN ACCESS SHARE MODE`);
  } catch (error) {
    if (sqlState(error) === '42P01' || sqlState(error) === '3F000') throw goneTable(table);
    throw error;
  }
}

function goneTable(table: SourceTable): DailiesError {
  return new DailiesError('table_unknown', `The table ${table.name} was dropped or renamed while its snapshot began.`, {
    details: { table: table.name },
  });
}

function isSameStorage(a: SourceTable, b: SourceTable): boolean {
  return a.files === b.files && a.name === b.name && JSON.stringify(a.columns) === JSON.stringify(b.columns);
}
