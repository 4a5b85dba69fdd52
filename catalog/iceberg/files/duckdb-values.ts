import {
  BIGINT,
  BLOB,
  BOOLEAN,
  DATE,
  DECIMAL,
  DOUBLE,
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  type DuckDBType,
  DuckDBUUIDValue,
  type DuckDBValue,
  FLOAT,
  INTEGER,
  LIST,
  MAP,
  STRUCT,
  TIME,
  TIMESTAMP,
  TIMESTAMP_NS,
  TIMESTAMPTZ,
  UUID,
  VARCHAR,
} from '@duckdb/node-api';
import { DailiesError } from '../../error.ts';
import type { FieldType, Value } from '../../schemas/schema.ts';

/** The DuckDB type in SQL that carries a field's values without loss; nanoseconds with a zone are kept in UTC. */
export function duckdbTypeName(type: FieldType): string {
  switch (type.kind) {
    case 'boolean':
      return 'BOOLEAN';
    case 'int':
      return 'INTEGER';
    case 'long':
      return 'BIGINT';
    case 'float':
      return 'FLOAT';
    case 'double':
      return 'DOUBLE';
    case 'decimal':
      return `DECIMAL(${type.precision}, ${type.scale})`;
    case 'date':
      return 'DATE';
    case 'time':
      return 'TIME';
    case 'timestamp':
      return 'TIMESTAMP';
    case 'timestamptz':
      return 'TIMESTAMP WITH TIME ZONE';
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return 'TIMESTAMP_NS';
    case 'string':
      return 'VARCHAR';
    case 'uuid':
      return 'UUID';
    case 'binary':
    case 'fixed':
      return 'BLOB';
    case 'struct':
      return `STRUCT(${type.fields.map((field) => `${identifier(field.name)} ${duckdbTypeName(field.type)}`).join(', ')})`;
    case 'list':
      return `${duckdbTypeName(type.element)}[]`;
    case 'map':
      return `MAP(${duckdbTypeName(type.key)}, ${duckdbTypeName(type.value)})`;
  }
}

export function duckdbType(type: FieldType): DuckDBType {
  switch (type.kind) {
    case 'boolean':
      return BOOLEAN;
    case 'int':
      return INTEGER;
    case 'long':
      return BIGINT;
    case 'float':
      return FLOAT;
    case 'double':
      return DOUBLE;
    case 'decimal':
      return DECIMAL(type.precision, type.scale);
    case 'date':
      return DATE;
    case 'time':
      return TIME;
    case 'timestamp':
      return TIMESTAMP;
    case 'timestamptz':
      return TIMESTAMPTZ;
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return TIMESTAMP_NS;
    case 'string':
      return VARCHAR;
    case 'uuid':
      return UUID;
    case 'binary':
    case 'fixed':
      return BLOB;
    case 'struct':
      return STRUCT(Object.fromEntries(type.fields.map((field) => [field.name, duckdbType(field.type)])));
    case 'list':
      return LIST(duckdbType(type.element));
    case 'map':
      return MAP(duckdbType(type.key), duckdbType(type.value));
  }
}

/** Quotes a name for SQL. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text for SQL. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A function that turns a field's values into DuckDB's. */
export function toDuckdb(type: FieldType): (value: Value) => DuckDBValue {
  switch (type.kind) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'float':
    case 'double':
    case 'string':
      return (value) => value as DuckDBValue;
    case 'decimal':
      return nullable((value) => new DuckDBDecimalValue(value as bigint, type.precision, type.scale));
    case 'date':
      return nullable((value) => new DuckDBDateValue(value as number));
    case 'time':
      return nullable((value) => new DuckDBTimeValue(value as bigint));
    case 'timestamp':
      return nullable((value) => new DuckDBTimestampValue(value as bigint));
    case 'timestamptz':
      return nullable((value) => new DuckDBTimestampTZValue(value as bigint));
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return nullable((value) => new DuckDBTimestampNanosecondsValue(value as bigint));
    case 'uuid':
      return nullable((value) => DuckDBUUIDValue.fromUint128(BigInt(`0x${(value as string).replaceAll('-', '')}`)));
    case 'binary':
    case 'fixed':
      return nullable((value) => new DuckDBBlobValue(value as Uint8Array));
    case 'struct': {
      const fields = type.fields.map((field) => ({ name: field.name, convert: toDuckdb(field.type) }));
      return nullable((value) => {
        const values = value as readonly Value[];
        const entries: Record<string, DuckDBValue> = {};
        fields.forEach((field, index) => {
          entries[field.name] = field.convert(values[index] ?? null);
        });
        return new DuckDBStructValue(entries);
      });
    }
    case 'list': {
      const convert = toDuckdb(type.element);
      return nullable((value) => new DuckDBListValue((value as readonly Value[]).map(convert)));
    }
    case 'map': {
      const convertKey = toDuckdb(type.key);
      const convertValue = toDuckdb(type.value);
      return nullable((value) => {
        const entries = (value as readonly (readonly Value[])[]).map(([key = null, item = null]) => ({
          key: convertKey(key),
          value: convertValue(item),
        }));
        return new DuckDBMapValue(entries);
      });
    }
  }
}

/** A function that turns DuckDB's values of a field into ours: the inverse of `toDuckdb`. */
export function fromDuckdb(type: FieldType): (value: DuckDBValue) => Value {
  return nullableBack((value) => readValue(type, value));
}

function readValue(type: FieldType, value: DuckDBValue): Value {
  switch (type.kind) {
    case 'decimal':
      if (value instanceof DuckDBDecimalValue) return value.value;
      break;
    case 'date':
      if (value instanceof DuckDBDateValue) return value.days;
      break;
    case 'time':
      if (value instanceof DuckDBTimeValue) return value.micros;
      break;
    case 'timestamp':
      if (value instanceof DuckDBTimestampValue) return value.micros;
      break;
    case 'timestamptz':
      if (value instanceof DuckDBTimestampTZValue) return value.micros;
      break;
    case 'timestamp_ns':
    case 'timestamptz_ns':
      if (value instanceof DuckDBTimestampNanosecondsValue) return value.nanos;
      break;
    case 'uuid':
      if (value instanceof DuckDBUUIDValue) return value.toString();
      break;
    case 'binary':
    case 'fixed':
      // Copied: the vector's memory is DuckDB's.
      if (value instanceof DuckDBBlobValue) return Uint8Array.from(value.bytes);
      break;
    case 'struct':
      if (value instanceof DuckDBStructValue) {
        return type.fields.map((field) => fromDuckdb(field.type)(value.entries[field.name] ?? null));
      }
      break;
    case 'list':
      if (value instanceof DuckDBListValue) return value.items.map(fromDuckdb(type.element));
      break;
    case 'map':
      if (value instanceof DuckDBMapValue) {
        const readKey = fromDuckdb(type.key);
        const readItem = fromDuckdb(type.value);
        return value.entries.map((entry) => [readKey(entry.key), readItem(entry.value)]);
      }
      break;
    default:
      return value as Value;
  }
  throw new DailiesError('table_corrupt', `A column of type ${type.kind} holds values of another type.`);
}

function nullable(convert: (value: Value) => DuckDBValue): (value: Value) => DuckDBValue {
  return (value) => (value === null ? null : convert(value));
}

function nullableBack(convert: (value: DuckDBValue) => Value): (value: DuckDBValue) => Value {
  return (value) => (value === null ? null : convert(value));
}
