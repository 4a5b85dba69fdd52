import {
  DuckDBArrayType,
  DuckDBDecimalType,
  DuckDBListType,
  DuckDBStructType,
  type DuckDBType,
  DuckDBTypeId,
} from '@duckdb/node-api';
import type { FieldType } from '../schemas/schema.ts';
import { StatementError } from './query-problem.ts';

/**
 * The type in which a result's column is kept. Every DuckDB type is kept whole: wider integers as decimals without a
 * fraction, what has no equal (interval, enum, bit, map, time with zone, nanoseconds …) as DuckDB's own text of it.
 * Throws `sql_invalid` for a row without field names. `column` is for that sentence.
 */
export function fieldTypeOf(type: DuckDBType | undefined, column: string): FieldType {
  switch (type?.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return { kind: 'boolean' };
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.UTINYINT:
    case DuckDBTypeId.USMALLINT:
      return { kind: 'int' };
    case DuckDBTypeId.UINTEGER:
    case DuckDBTypeId.BIGINT:
      return { kind: 'long' };
    case DuckDBTypeId.UBIGINT:
      return { kind: 'decimal', precision: 20, scale: 0 };
    case DuckDBTypeId.HUGEINT:
    case DuckDBTypeId.UHUGEINT:
      return { kind: 'decimal', precision: 38, scale: 0 };
    case DuckDBTypeId.FLOAT:
      return { kind: 'float' };
    case DuckDBTypeId.DOUBLE:
      return { kind: 'double' };
    case DuckDBTypeId.DATE:
      return { kind: 'date' };
    case DuckDBTypeId.TIME:
      return { kind: 'time' };
    case DuckDBTypeId.TIMESTAMP:
    case DuckDBTypeId.TIMESTAMP_S:
    case DuckDBTypeId.TIMESTAMP_MS:
      return { kind: 'timestamp' };
    case DuckDBTypeId.TIMESTAMP_TZ:
      return { kind: 'timestamptz' };
    case DuckDBTypeId.UUID:
      return { kind: 'uuid' };
    case DuckDBTypeId.BLOB:
      return { kind: 'binary' };
    default:
      return composedTypeOf(type, column);
  }
}

function composedTypeOf(type: DuckDBType | undefined, column: string): FieldType {
  if (type instanceof DuckDBDecimalType) return { kind: 'decimal', precision: type.width, scale: type.scale };
  if (type instanceof DuckDBListType || type instanceof DuckDBArrayType) {
    return { kind: 'list', element: fieldTypeOf(type.valueType, column) };
  }
  if (type instanceof DuckDBStructType) {
    if (type.entryNames.some((name) => name === '')) {
      throw new StatementError(
        'sql_invalid',
        `Column ${column} is a row without field names: write {'a': …, 'b': …} in place of row(…).`,
      );
    }
    return {
      kind: 'struct',
      fields: type.entryNames.map((name, index) => ({
        name,
        type: fieldTypeOf(type.entryTypes[index], column),
        required: false,
      })),
    };
  }
  return { kind: 'string' };
}
