import { type Row, type Schema, typeName, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { Connection } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import { KeySql } from './key-sql.ts';
import { printedRows } from './row-stream.ts';
import { quoteTable } from './sql.ts';
import type { TableShape } from './table-shape.ts';

const keysAtOnce = 500;
const listBytes = 1 << 20;

/**
 * Rows by key as they are now, made like the snapshot's, in the order of `schema`, keyed by the key's index. A field that
 * the table has no more, or in another type, is UNKNOWN.
 */
export async function readRowsByKey(
  connection: Connection,
  table: SourceTable,
  shape: TableShape,
  schema: Schema,
  keys: readonly Row[],
): Promise<Map<number, Row>> {
  const rows = new Map<number, Row>();
  const types = schema.key.map(
    (name) => schema.fields.find((field) => field.name === name)?.type ?? { kind: 'string' as const },
  );
  if (schema.key.length === 0 || table.key.join('\0') !== schema.key.join('\0')) return rows;
  const key = new KeySql(table);
  const indexOf = new Map(keys.map((values, index) => [keyText(values), index]));
  for (let at = 0; at < keys.length; at += keysAtOnce) {
    const wanted = keys.slice(at, at + keysAtOnce).map((values) => key.equals(values, types));
    const sql = `SELECT ${shape.selectList()} FROM ${quoteTable(table.database, table.tableName)} WHERE ${wanted.join(' OR ')}`;
    for await (const list of printedRows(connection, sql, listBytes)) {
      for (const printed of list) {
        const row = shape.fromTexts(printed);
        // The server takes more keys for the same than we do: letters of another case, blanks at the end.
        const index = indexOf.get(keyText(shape.keyIndexes.map((field) => row[field] ?? null)));
        if (index !== undefined) rows.set(index, inOrderOf(schema, shape.schema, row));
      }
    }
  }
  return rows;
}

function keyText(values: Row): string {
  return JSON.stringify(
    values.map((value) => {
      if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
      return typeof value === 'bigint' ? `${value}n` : value;
    }),
  );
}

function inOrderOf(wanted: Schema, held: Schema, row: Row): Row {
  return wanted.fields.map((field) => {
    const index = held.fields.findIndex((candidate) => candidate.name === field.name);
    const isSameType = index >= 0 && typeName(held.fields[index]?.type ?? field.type) === typeName(field.type);
    return isSameType ? (row[index] ?? null) : UNKNOWN;
  });
}
