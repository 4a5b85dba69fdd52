import { DuckDBTimestampValue } from '@duckdb/node-api';
import type { Field, FieldType, Schema, Value } from '../../schemas/schema.ts';
import { literal, toDuckdb } from '../files/duckdb-values.ts';
import type { IcebergField, IcebergSchema } from '../metadata/iceberg-schema.ts';
import { carriedColumns, fromIcebergSchema } from '../metadata/schema-conversion.ts';

/** A top-level column of a table that a scan reads. */
export interface ScanColumn {
  id: number;
  field: Field;
  iceberg: IcebergField;
}

/** The columns of a schema that can be carried, in its order. */
export function scanColumns(
  iceberg: IcebergSchema,
  properties: Readonly<Record<string, string>>,
): { schema: Schema; columns: ScanColumn[] } {
  const carried = carriedColumns(iceberg).schema;
  const schema = fromIcebergSchema(carried, properties);
  const columns = schema.fields.flatMap((field, index) => {
    const twin = carried.fields[index];
    return twin ? [{ id: twin.id, field, iceberg: twin }] : [];
  });
  return { schema, columns };
}

/** The column's name inside a scan: never one of the table's own, nor one of DuckDB's for Parquet files. */
export function innerName({ id }: Pick<ScanColumn, 'id'>): string {
  return `c${id}`;
}

/** What files hold that were written before the column was there, as the text that DuckDB casts: its initial default (format 3). */
export function absentText({ type, initialDefault }: Field): string {
  return initialDefault === undefined || initialDefault === null ? 'NULL' : constantText(type, initialDefault);
}

/** The SQL text that DuckDB casts to this value of the type. */
export function constantText(type: FieldType, value: Value): string {
  return literal(castText(type, value));
}

function castText(type: FieldType, value: Value): string {
  // Its text is in the zone of this process.
  if (type.kind === 'timestamptz') return `${new DuckDBTimestampValue(value as bigint)}+00`;
  return String(toDuckdb(type)(value));
}
