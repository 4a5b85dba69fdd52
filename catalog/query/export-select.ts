import { identifier, literal } from '../iceberg/files/duckdb-values.ts';
import type { FieldType } from '../schemas/schema.ts';
import type { ResultColumn } from './child-protocol.ts';

/** The SELECT list that gives a spooled result its names again and, for CSV and JSON, writes values as pages do. */
export function exportSelect(columns: readonly ResultColumn[], format: 'csv' | 'json' | 'parquet'): string {
  const names = uniqueNames(columns.map((column) => column.name));
  const list = columns.map((column, index) => {
    const cell = `c${index}`;
    const value =
      format === 'parquet' ? cell : format === 'csv' ? csvCell(column.type, cell) : jsonCell(column.type, cell);
    return `${value} AS ${identifier(names[index] ?? '')}`;
  });
  return `SELECT ${list.join(', ')}`;
}

/** A file's columns need different names: the second `id` becomes `id_1`. */
function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let unique = name;
    for (let count = 1; taken.has(unique.toLowerCase()); count++) unique = `${name}_${count}`;
    taken.add(unique.toLowerCase());
    return unique;
  });
}

function csvCell(type: FieldType, cell: string): string {
  switch (type.kind) {
    case 'float':
    case 'double':
      return `CASE WHEN isfinite(${cell}) THEN CAST(${cell} AS VARCHAR) ELSE ${nonFinite(cell)} END`;
    case 'struct':
    case 'list':
    case 'map':
      return `CAST(to_json(${nestedCell(type, cell)}) AS VARCHAR)`;
    default:
      return textCell(type, cell);
  }
}

/** The same value, whose parts JSON would write in another way than pages do are texts already. */
function nestedCell(type: FieldType, cell: string, depth = 0): string {
  if (!isWrittenOtherwise(type)) return cell;
  const item = `x${depth}`;
  const inner = (part: FieldType, value: string) => nestedCell(part, value, depth + 1);
  switch (type.kind) {
    case 'list':
      return `list_transform(${cell}, lambda ${item}: ${inner(type.element, item)})`;
    case 'struct': {
      const parts = type.fields.map(({ name, type: part }) => {
        const value = inner(part, `struct_extract(${cell}, ${literal(name)})`);
        return `${identifier(name)} := ${value}`;
      });
      return `CASE WHEN ${cell} IS NULL THEN NULL ELSE struct_pack(${parts.join(', ')}) END`;
    }
    case 'map': {
      const [key, value] = [inner(type.key, `${item}.key`), inner(type.value, `${item}.value`)];
      const entries = `list_transform(map_entries(${cell}), lambda ${item}: struct_pack(k := ${key}, v := ${value}))`;
      return `CASE WHEN ${cell} IS NULL THEN NULL ELSE map_from_entries(${entries}) END`;
    }
    case 'long':
    case 'decimal':
    case 'float':
    case 'double':
      return jsonCell(type, cell);
    default:
      return textCell(type, cell);
  }
}

function isWrittenOtherwise(type: FieldType): boolean {
  switch (type.kind) {
    case 'list':
      return isWrittenOtherwise(type.element);
    case 'struct':
      return type.fields.some((field) => isWrittenOtherwise(field.type));
    case 'map':
      return isWrittenOtherwise(type.key) || isWrittenOtherwise(type.value);
    case 'long':
    case 'decimal':
    case 'float':
    case 'double':
    case 'binary':
    case 'fixed':
    case 'timestamp':
    case 'timestamptz':
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return true;
    default:
      return false;
  }
}

function jsonCell(type: FieldType, cell: string): string {
  switch (type.kind) {
    case 'long':
    case 'decimal':
      return `CAST(${cell} AS VARCHAR)`;
    case 'float':
    case 'double':
      return `CASE WHEN isfinite(${cell}) THEN to_json(${cell}) ELSE to_json(${nonFinite(cell)}) END`;
    case 'struct':
    case 'list':
    case 'map':
      return nestedCell(type, cell);
    default:
      return textCell(type, cell);
  }
}

function textCell(type: FieldType, cell: string): string {
  switch (type.kind) {
    case 'timestamp':
      return `CASE WHEN ${cell} >= TIMESTAMP '0001-01-01' THEN ${withT(cell)} ELSE ${oddInstant(cell)} END`;
    case 'timestamptz': {
      // As a timestamp: the text of one with a zone takes DuckDB four times as long.
      const text = `${withT(`make_timestamp(epoch_us(${cell}))`)} || 'Z'`;
      const odd = `regexp_replace(${oddInstant(cell)}, '\\+00$', 'Z')`;
      return `CASE WHEN isfinite(${cell}) AND ${cell} >= TIMESTAMPTZ '0001-01-01 00:00:00+00' THEN ${text} ELSE ${odd} END`;
    }
    case 'timestamp_ns':
      return withT(cell);
    case 'timestamptz_ns':
      return `${withT(cell)} || 'Z'`;
    case 'binary':
    case 'fixed':
      return `lower(hex(${cell}))`;
    default:
      return cell;
  }
}

function withT(cell: string): string {
  return `replace(CAST(${cell} AS VARCHAR), ' ', 'T')`;
}

/** Before year 1 the text has two blanks: `0044-03-15 (BC) 12:00:00`. */
function oddInstant(cell: string): string {
  return `regexp_replace(CAST(${cell} AS VARCHAR), '^(\\S+) (\\d)', '\\1T\\2')`;
}

function nonFinite(cell: string): string {
  return `CASE WHEN isnan(${cell}) THEN 'NaN' WHEN ${cell} > 0 THEN 'Infinity' WHEN ${cell} < 0 THEN '-Infinity' END`;
}
