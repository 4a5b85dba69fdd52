import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import { type FieldType, type Row, type Schema, typeName, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { rowsOf } from './connection.ts';
import type { SourceTable } from './discovery.ts';
import type { Relation } from './relation.ts';
import { quoteIdentifier, quoteTable } from './sql.ts';

/**
 * Rows by key as they are now, decoded like the stream's, in the order of `schema`, keyed by the key's index. A field that
 * the table has no more, or in another type, is UNKNOWN.
 */
export async function readRowsByKey(
  client: pg.Client,
  table: SourceTable,
  relation: Relation,
  schema: Schema,
  keys: readonly Row[],
): Promise<Map<number, Row>> {
  const rows = new Map<number, Row>();
  if (keys.length === 0 || schema.key.length === 0) return rows;
  const keyColumns = schema.key.map((name) => {
    const column = table.columns.find((candidate) => candidate.name === name);
    const field = schema.fields.find((candidate) => candidate.name === name);
    if (column && field) return { name: quoteIdentifier(name), typeOid: column.typeOid, type: field.type };
    throw new DailiesError(
      'schema_incompatible',
      `${table.name} has no column ${name} any more, so its rows cannot be read by it.`,
      {
        details: { table: table.name, column: name },
      },
    );
  });
  const [types] = await rowsOf(
    client,
    `SELECT ${keyColumns.map((column, index) => `format_type(${column.typeOid}, -1) AS t${index}`).join(', ')}`,
  );
  const columns = relation.columns.map((column, index) => `t.${quoteIdentifier(column.name)} AS c${index}`).join(', ');
  const arrays = keyColumns.map((_, index) => `$${index + 2}::text[]`).join(', ');
  const matches = keyColumns
    .map((column, index) => `t.${column.name} = w.k${index}::${types?.[`t${index}`]}`)
    .join(' AND ');
  const from = `${table.isPartitioned ? '' : 'ONLY '}${quoteTable(table.schemaName, table.tableName)}`;
  const found = await rowsOf(
    client,
    `SELECT w.i, ${columns} FROM unnest($1::int[], ${arrays}) AS w (i, ${keyColumns.map((_, index) => `k${index}`).join(', ')}) JOIN ${from} t ON ${matches}`,
    [
      keys.map((_, index) => index),
      ...keyColumns.map((column, part) => keys.map((key) => keyText(column.type, key[part]))),
    ],
  );
  for (const row of found) {
    const decoded = relation.decodeTexts(relation.columns.map((_, index) => row[`c${index}`] ?? null));
    rows.set(Number(row.i), inOrderOf(schema, relation.schema, decoded));
  }
  return rows;
}

function inOrderOf(wanted: Schema, held: Schema, row: Row): Row {
  return wanted.fields.map((field) => {
    const index = held.fields.findIndex((candidate) => candidate.name === field.name);
    const isSameType = index >= 0 && typeName(held.fields[index]?.type ?? field.type) === typeName(field.type);
    return isSameType ? (row[index] ?? null) : UNKNOWN;
  });
}

/** The value as Postgres reads it back. */
function keyText(type: FieldType, value: Value | typeof UNKNOWN | undefined): string {
  if (value === null || value === undefined || value === UNKNOWN) {
    throw new DailiesError('invalid', 'A row cannot be read again without its whole key.');
  }
  switch (type.kind) {
    case 'decimal': {
      const isNegative = (value as bigint) < 0n;
      const digits = String(isNegative ? -(value as bigint) : value).padStart(type.scale + 1, '0');
      const point = digits.length - type.scale;
      return `${isNegative ? '-' : ''}${digits.slice(0, point)}${type.scale > 0 ? `.${digits.slice(point)}` : ''}`;
    }
    case 'date':
      return new Date((value as number) * 86_400_000).toISOString().slice(0, 10);
    case 'timestamp':
    case 'timestamptz': {
      const micros = value as bigint;
      const seconds = micros >= 0n ? micros / 1_000_000n : -((-micros + 999_999n) / 1_000_000n);
      const fraction = String(micros - seconds * 1_000_000n).padStart(6, '0');
      const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
      return `${text}.${fraction}${type.kind === 'timestamptz' ? '+00' : ''}`;
    }
    case 'time': {
      const micros = value as bigint;
      const text = new Date(Number(micros / 1000n)).toISOString().slice(11, 19);
      return `${text}.${String(micros % 1_000_000n).padStart(6, '0')}`;
    }
    case 'binary':
    case 'fixed':
      return `\\x${Buffer.from(value as Uint8Array).toString('hex')}`;
    case 'list':
    case 'map':
    case 'struct':
      throw new DailiesError('unsupported', `Rows cannot be read again by a key of type ${typeName(type)}.`);
    default:
      return String(value);
  }
}
