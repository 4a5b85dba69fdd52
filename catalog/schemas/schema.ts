/**
 * The types of event fields, a subset of Iceberg's (iceberg.apache.org/spec, Primitive Types and Nested Types), each with
 * the one JavaScript form in which its values travel from source to sink:
 *
 * | type                     | JavaScript value                                                      |
 * | ------------------------ | --------------------------------------------------------------------- |
 * | boolean                  | boolean                                                               |
 * | int                      | number, a signed 32-bit integer                                       |
 * | long                     | bigint, signed 64-bit                                                 |
 * | float, double            | number; NaN, infinities and -0 are values like others                 |
 * | decimal(p ≤ 38, s)       | bigint, the unscaled value (12.30 at scale 2 is 1230n)                |
 * | date                     | number, days since 1970-01-01, proleptic Gregorian                    |
 * | time                     | bigint, microseconds since midnight, below 24 h                       |
 * | timestamp, timestamptz   | bigint, microseconds since 1970-01-01T00:00:00, for timestamptz in UTC |
 * | timestamp_ns, timestamptz_ns | bigint, nanoseconds since 1970-01-01T00:00:00, for timestamptz_ns in UTC |
 * | string                   | string                                                                |
 * | uuid                     | string, lower case with hyphens                                       |
 * | binary                   | Uint8Array                                                            |
 * | fixed(length)            | Uint8Array of that length in bytes                                    |
 * | struct                   | array of values in the order of its fields                            |
 * | list                     | array of values                                                       |
 * | map                      | array of [key, value], no key twice, none NULL                         |
 *
 * NULL is `null`. A value that the event does not carry is `UNKNOWN`, at the top level of a row only.
 */
export type FieldType =
  | { kind: 'boolean' }
  | { kind: 'int' }
  | { kind: 'long' }
  | { kind: 'float' }
  | { kind: 'double' }
  | { kind: 'decimal'; precision: number; scale: number }
  | { kind: 'date' }
  | { kind: 'time' }
  | { kind: 'timestamp' }
  | { kind: 'timestamptz' }
  | { kind: 'timestamp_ns' }
  | { kind: 'timestamptz_ns' }
  | { kind: 'string' }
  | { kind: 'uuid' }
  | { kind: 'binary' }
  | { kind: 'fixed'; length: number }
  | { kind: 'struct'; fields: readonly Field[] }
  | { kind: 'list'; element: FieldType }
  | { kind: 'map'; key: FieldType; value: FieldType };

export interface Field {
  name: string;
  type: FieldType;
  /** True where no row ever holds NULL here. */
  required: boolean;
  doc?: string;
  /** What rows hold that were stored before the field was: never NULL. Not part of the shape. */
  initialDefault?: Value;
  /**
   * Only where a schema is announced, in front of the rows that have it (`TableChanges`): what the column was called until now,
   * whose values it keeps; null where it is a new one although there was one of its name. Not part of the shape.
   */
  formerName?: string | null;
  /** Where a step took it from, unless it is the source table's own column of this name. Not part of the shape. */
  origin?: FieldOrigin;
}

export type FieldOrigin =
  /** Another column of the source table: its name there, then the names below it if it is a struct. */
  | { kind: 'column'; path: readonly string[] }
  /** An answer of a graph: the fields of the query that lead to it, `movies`, `director`. */
  | { kind: 'graph'; path: readonly string[] };

/** The shape of one table's events. `key` names the top-level fields of the primary key, in key order; empty without one. */
export interface Schema {
  fields: readonly Field[];
  key: readonly string[];
}

/**
 * Stands in a row for a value that the event does not carry: an unchanged TOAST column in `after`, or a column outside
 * the replica identity in `before`. Never NULL, never stored as a value.
 */
export const UNKNOWN: unique symbol = Symbol('unknown');

export type Value = null | boolean | number | bigint | string | Uint8Array | readonly Value[];

/** One row: a value for each of the schema's fields, in their order. */
export type Row = readonly (Value | typeof UNKNOWN)[];

/** True if both describe the same fields in the same order with the same key; docs are not compared. */
export function schemasEqual(a: Schema, b: Schema): boolean {
  return schemaFingerprint(a) === schemaFingerprint(b);
}

/** A canonical text of the shape: equal exactly for equal shapes. */
export function schemaFingerprint(schema: Schema): string {
  return JSON.stringify([schema.fields.map(fieldShape), schema.key]);
}

function fieldShape(field: Field): unknown {
  return [field.name, typeShape(field.type), field.required];
}

function typeShape(type: FieldType): unknown {
  switch (type.kind) {
    case 'struct':
      return ['struct', type.fields.map(fieldShape)];
    case 'list':
      return ['list', typeShape(type.element)];
    case 'map':
      return ['map', typeShape(type.key), typeShape(type.value)];
    case 'fixed':
      return ['fixed', type.length];
    case 'decimal':
      return ['decimal', type.precision, type.scale];
    default:
      return type.kind;
  }
}

/** As people and catalogs write it: `decimal(12, 2)`, `struct<name: string>`, `list<int>`. */
export function typeName(type: FieldType): string {
  switch (type.kind) {
    case 'decimal':
      return `decimal(${type.precision}, ${type.scale})`;
    case 'struct':
      return `struct<${type.fields.map((field) => `${field.name}: ${typeName(field.type)}`).join(', ')}>`;
    case 'list':
      return `list<${typeName(type.element)}>`;
    case 'map':
      return `map<${typeName(type.key)}, ${typeName(type.value)}>`;
    case 'fixed':
      return `fixed(${type.length})`;
    default:
      return type.kind;
  }
}

/** True for types that hold values of other types. */
export function isNested(type: FieldType): type is Extract<FieldType, { kind: 'struct' | 'list' | 'map' }> {
  return type.kind === 'struct' || type.kind === 'list' || type.kind === 'map';
}

/** Indexes of the key fields in a row, in key order. */
export function keyIndexes(schema: Schema): number[] {
  return schema.key.map((name) => schema.fields.findIndex((field) => field.name === name));
}
