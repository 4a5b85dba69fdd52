import type pg from 'pg';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import type { Relation } from './relation.ts';
import { quoteIdentifier, quoteLiteral, quoteTable } from './sql.ts';

/**
 * So that a chunk is read along the key's index: reading all rows to sort them would cost as much for each chunk. A sort
 * still serves where no index has the order of the key (`COLLATE`, DESC).
 */
export const alongIndex = [
  'SET LOCAL enable_seqscan = off',
  'SET LOCAL enable_bitmapscan = off',
  'SET LOCAL enable_sort = off',
  'SET LOCAL enable_incremental_sort = off',
  'SET LOCAL max_parallel_workers_per_gather = 0',
  'SET LOCAL jit = off',
].join('; ');

/** Rows that are published, with a key after `key` (its values as the server printed them), in key order. */
export async function chunkQuery(
  client: pg.Client,
  table: SourceTable,
  relation: Relation,
  key: readonly string[] | null,
  limit: number,
): Promise<string> {
  const columns = relation.columns.map((column) => quoteIdentifier(column.name)).join(', ');
  const from = `${table.isPartitioned ? '' : 'ONLY '}${quoteTable(table.schemaName, table.tableName)}`;
  const keyColumns = table.key.map(quoteIdentifier).join(', ');
  const conditions = [
    ...(table.published.filter === null ? [] : [`(${table.published.filter})`]),
    ...(key === null ? [] : [`(${keyColumns}) > (${(await keyLiterals(client, table, key)).join(', ')})`]),
  ];
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  return `SELECT ${columns} FROM ${from}${where} ORDER BY ${keyColumns} LIMIT ${limit}`;
}

/** Literals of the columns' own types, so that the server compares them as the index does, with the column's collation. */
async function keyLiterals(client: pg.Client, table: SourceTable, key: readonly string[]): Promise<string[]> {
  const columns = table.key.map((name) => table.columns.find((column) => column.name === name));
  const types = columns.map(
    (column, index) => `format_type(${column?.typeOid ?? 0}, ${column?.typmod ?? -1}) AS t${index}`,
  );
  const [row] = await rowsOf(client, `SELECT ${types.join(', ')}`);
  return key.map((value, index) => `${quoteLiteral(value)}::${row?.[`t${index}`]}`);
}

export interface TableSize {
  /** Null where the server has no idea. */
  rows: number | null;
  bytes: number;
}

/**
 * How large the tables are, by object id, as the server's statistics have it; a partitioned one with its partitions. Asks for
 * no lock, unlike the functions that look at the files.
 */
export async function tableSizes(client: pg.Client, oids: readonly number[]): Promise<Map<number, TableSize>> {
  const rows = await rowsOf(client, sizeQuery, [`{${oids.join(',')}}`]);
  return new Map(
    rows.map((row) => {
      const count = Number(row.rows);
      return [Number(row.oid), { rows: count > 0 ? count : null, bytes: Number(row.bytes) }];
    }),
  );
}

// A table that was never analysed has reltuples = -1, before Postgres 14 0.
const sizeQuery = `
SELECT o.oid, sum(greatest(c.reltuples, 0))::bigint AS rows,
       sum((c.relpages + coalesce(t.relpages, 0))::bigint * current_setting('block_size')::bigint)::bigint AS bytes
  FROM unnest($1::oid[]) o (oid)
  LEFT JOIN LATERAL pg_partition_tree(o.oid) p ON true
  JOIN pg_class c ON c.oid = coalesce(p.relid, o.oid)
  LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
 WHERE c.relkind = 'r'
 GROUP BY o.oid`;
