import { readFile } from 'node:fs/promises';
import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import type { Batch, BatchItem, ChangeEvent } from '../../event.ts';
import { removeFiles } from '../chunks/chunk-file-writer.ts';
import { rowsOf, sqlState } from './connection.ts';
import { type CopyChunk, copyChunks } from './copy-out.ts';
import { readTables, type SourceTable } from './discovery.ts';
import { formatLsn } from './lsn.ts';
import type { ServerNames } from './names.ts';
import type { Relation } from './relation.ts';
import type { ExportedSnapshot } from './slot.ts';
import { SnapshotFiles } from './snapshot-file.ts';
import { quoteIdentifier, quoteLiteral, quoteTable } from './sql.ts';

export interface SnapshotOptions {
  /** Runs the snapshot's transactions; ended by the caller, also where the rows are not read to their end. */
  client: pg.Client;
  /** Sees the catalogs as they are now. */
  catalog: pg.Client;
  names: ServerNames;
  exported: ExportedSnapshot;
  /** The server's time before the snapshot was taken. */
  timeMicros: bigint;
  generationOf(table: string): number;
  relationOf(table: SourceTable): Promise<Relation>;
}

const chunkBytes = 16 << 20;
/** Rows that our own decoder makes are handed on in lists of at most so many, and of this much text. */
const listRows = 5_000;
const listBytes = 1 << 20;

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
    const [then] = await readTables(client, [table.oid], options.names);
    const [now] = await readTables(options.catalog, [table.oid], options.names);
    if (now === undefined) throw goneTable(table);
    if (then !== undefined && isSameStorage(then, now)) yield* snapshotTable(now, options);
    else postponed.push(now);
    await rowsOf(client, 'ROLLBACK');
  }
  return postponed;
}

/**
 * All rows of one snapshot share its schema. Where a row needs another (a text beside a value that its type cannot carry),
 * the reading goes on to learn of all such needs, and then the snapshot begins once more, which makes the first one void.
 */
async function* snapshotTable(table: SourceTable, options: SnapshotOptions): AsyncGenerator<Batch> {
  const relation = await options.relationOf(table);
  const generation = options.generationOf(table.name);
  const position = formatLsn(options.exported.position);
  const { timeMicros } = options;
  const batch = (item: BatchItem, isComplete: boolean): Batch => ({ items: [item], position, timeMicros, isComplete });
  const name = relation.fullName;
  const transactions = [{ id: '0', position, timeMicros }];
  const columns = relation.columns.map((column) => quoteIdentifier(column.name)).join(', ');
  const from = `${table.isPartitioned ? '' : 'ONLY '}${quoteTable(table.schemaName, table.tableName)}`;
  const where = table.published.filter === null ? '' : ` WHERE ${table.published.filter}`;
  const sql = `COPY (SELECT ${columns} FROM ${from}${where}) TO STDOUT (FORMAT csv)`;
  const files = SnapshotFiles.canHold(relation) ? await SnapshotFiles.open() : null;
  try {
    for (;;) {
      const { schema } = relation;
      let rows = 0;
      yield batch({ kind: 'snapshot-begin', table: name, schema, generation, isChunked: false }, false);
      for await (const chunk of copyChunks(options.client, sql, chunkBytes)) {
        rows += chunk.rows;
        const file = (await files?.write(chunk, relation)) ?? null;
        if (file !== null) {
          const parquet = await readFile(file.path);
          await removeFiles([file]);
          const snapshotRows = { table: name, schema, rows: chunk.rows, parquet };
          if (relation.schema === schema) yield batch({ kind: 'snapshot-rows', snapshotRows }, false);
        } else {
          for (const events of decodeChunk(chunk, relation)) {
            if (relation.schema !== schema) continue;
            yield batch({ kind: 'changes', changes: { table: name, schema, events, transactions } }, false);
          }
        }
      }
      if (relation.schema !== schema) continue;
      yield batch({ kind: 'snapshot-end', table: name, generation, rows }, true);
      return;
    }
  } finally {
    files?.close();
  }
}

function* decodeChunk({ bytes, rows }: CopyChunk, relation: Relation): Generator<ChangeEvent[]> {
  let at = 0;
  for (let left = rows; left > 0; ) {
    const events: ChangeEvent[] = [];
    const start = at;
    while (left > 0 && events.length < listRows && at - start < listBytes) {
      events.push({ op: 'r', before: null, after: relation.decodeCsvRow(bytes, at), tx: 0 });
      at = relation.end;
      left -= 1;
    }
    yield events;
  }
}

/** Waits for whoever alters the table; held until the transaction ends. */
export async function lockTable(client: pg.Client, table: SourceTable): Promise<void> {
  const name = quoteTable(table.schemaName, table.tableName);
  try {
    await client.query(`LOCK TABLE ${table.isPartitioned ? '' : 'ONLY '}${name} IN ACCESS SHARE MODE`);
  } catch (error) {
    if (sqlState(error) === '42P01' || sqlState(error) === '3F000') throw goneTable(table);
    throw error;
  }
}

export function goneTable(table: SourceTable): DailiesError {
  // Tried again, which leaves it out or says which table is missing: the other tables must not stand still for it.
  return new DailiesError('source_protocol', `The table ${table.name} was dropped or renamed as its snapshot began.`, {
    details: { table: table.name },
  });
}

const partsOf = ({ files, name, columns, published }: SourceTable) => [files, name, columns, published];

function isSameStorage(a: SourceTable, b: SourceTable): boolean {
  return JSON.stringify(partsOf(a)) === JSON.stringify(partsOf(b));
}
