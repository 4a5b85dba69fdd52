import type { FieldType, Schema } from '../../schemas/schema.ts';
import { absentText } from '../read/scan-columns.ts';
import { duckdbTypeName, literal } from './duckdb-values.ts';

/**
 * `read_parquet(…)` that matches columns by field id, but the fields of structs by name: names and types are the schema's,
 * absent columns have their initial default.
 */
export function readParquet(
  paths: readonly string[],
  schema: Schema,
  ids: readonly number[],
  options: readonly string[] = [],
): string {
  const entries = schema.fields.map((field, index) =>
    mapEntry(ids[index] ?? 0, field.name, field.type, absentText(field)),
  );
  return `read_parquet(${[pathList(paths), ...options, `schema = MAP {${entries.join(', ')}}`].join(', ')})`;
}

/** One column of `read_parquet`'s schema. `absent` is the SQL of what files without the column hold. */
export function mapEntry(id: number, name: string, type: FieldType, absent: string): string {
  return `${id}: {name: ${literal(name)}, type: ${literal(duckdbTypeName(type))}, default_value: ${absent}}`;
}

export function pathList(paths: readonly string[]): string {
  return `[${paths.map(literal).join(', ')}]`;
}

/** Bytes as DuckDB's BIT of their bits, the lowest bit of the first byte first. */
export function bitsLiteral(bytes: Uint8Array): string {
  return `from_base64('${Buffer.from(reversedBits(bytes)).toString('base64')}')::BIT`;
}

/** Each byte with its bits in the other order: DuckDB's BIT begins with the highest bit of its first byte. */
export function reversedBits(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => reversedBytes[byte] ?? 0);
}

const reversedBytes = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number.parseInt(byte.toString(2).padStart(8, '0').split('').reverse().join(''), 2),
);
