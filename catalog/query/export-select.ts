import { identifier } from '../iceberg/files/duckdb-values.ts';
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
      return `CAST(to_json(${cell}) AS VARCHAR)`;
    default:
      return textCell(type, cell);
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
    default:
      return textCell(type, cell);
  }
}

function textCell(type: FieldType, cell: string): string {
  switch (type.kind) {
    case 'timestamp':
    case 'timestamp_ns':
      return isoText(cell);
    case 'timestamptz':
      return `regexp_replace(${isoText(cell)}, '\\+00$', 'Z')`;
    case 'timestamptz_ns':
      return `${isoText(cell)} || 'Z'`;
    case 'binary':
    case 'fixed':
      return `lower(hex(${cell}))`;
    default:
      return cell;
  }
}

function isoText(cell: string): string {
  return `regexp_replace(CAST(${cell} AS VARCHAR), '^(\\S+) (\\d)', '\\1T\\2')`;
}

function nonFinite(cell: string): string {
  return `CASE WHEN isnan(${cell}) THEN 'NaN' WHEN ${cell} > 0 THEN 'Infinity' WHEN ${cell} < 0 THEN '-Infinity' END`;
}
