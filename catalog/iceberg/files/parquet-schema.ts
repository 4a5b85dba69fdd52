import type { parquetWriteBuffer } from 'hyparquet-writer';
import type { Field, FieldType } from '../../schemas/schema.ts';
import { decimalBytes } from '../manifests/partition-avro.ts';
import type { IcebergField, IcebergType } from '../metadata/iceberg-schema.ts';

/*
 * Iceberg's types in Parquet (iceberg.apache.org/spec, Appendix A, Parquet): physical type, annotation and field id of
 * every column, lists and maps in three levels.
 */
export type SchemaElement = NonNullable<Parameters<typeof parquetWriteBuffer>[0]['schema']>[number];
type Repetition = 'REQUIRED' | 'OPTIONAL' | 'REPEATED';

/**
 * True for types that DuckDB writes in another physical form than the specification names: decimals of more than 18 digits
 * in 16 bytes where fewer do, fixed lengths as variable ones, instants of nanoseconds without their zone.
 */
export function needsExactFile(fields: readonly Field[]): boolean {
  return fields.some((field) => holds(field.type, isInexact));
}

/** True where DuckDB reads less than is written: instants of nanoseconds come in microseconds. */
export function hasZonedNanos(fields: readonly Field[]): boolean {
  return fields.some((field) => holds(field.type, (type) => type.kind === 'timestamptz_ns'));
}

function isInexact(type: FieldType): boolean {
  if (type.kind === 'decimal') return type.precision > 18 && decimalBytes(type.precision) < 16;
  return type.kind === 'fixed' || type.kind === 'timestamptz_ns';
}

/** True if the type, or one inside it, is such a one. */
function holds(type: FieldType, isSuch: (type: FieldType) => boolean): boolean {
  switch (type.kind) {
    case 'struct':
      return type.fields.some((field) => holds(field.type, isSuch));
    case 'list':
      return holds(type.element, isSuch);
    case 'map':
      return holds(type.key, isSuch) || holds(type.value, isSuch);
    default:
      return isSuch(type);
  }
}

/** The elements of a file's schema, depth first, after its root. */
export function parquetSchema(fields: readonly Field[], iceberg: readonly IcebergField[]): SchemaElement[] {
  const root: SchemaElement = { name: 'table', num_children: fields.length };
  return [root, ...fieldElements(fields, iceberg)];
}

function fieldElements(fields: readonly Field[], iceberg: readonly IcebergField[]): SchemaElement[] {
  return fields.flatMap((field, index) => {
    const twin = iceberg[index];
    return twin ? elements(field.name, twin.id, field.type, twin.type, twin.required ? 'REQUIRED' : 'OPTIONAL') : [];
  });
}

function elements(
  name: string,
  id: number,
  type: FieldType,
  iceberg: IcebergType,
  repetition: Repetition,
): SchemaElement[] {
  const element = { name, repetition_type: repetition, field_id: id };
  if (type.kind === 'struct' && typeof iceberg === 'object' && iceberg.type === 'struct') {
    return [{ ...element, num_children: type.fields.length }, ...fieldElements(type.fields, iceberg.fields)];
  }
  if (type.kind === 'list' && typeof iceberg === 'object' && iceberg.type === 'list') {
    const inner = iceberg['element-required'] ? 'REQUIRED' : 'OPTIONAL';
    return [
      { ...element, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      ...elements('element', iceberg['element-id'], type.element, iceberg.element, inner),
    ];
  }
  if (type.kind === 'map' && typeof iceberg === 'object' && iceberg.type === 'map') {
    const inner = iceberg['value-required'] ? 'REQUIRED' : 'OPTIONAL';
    return [
      { ...element, num_children: 1, converted_type: 'MAP', logical_type: { type: 'MAP' } },
      { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
      ...elements('key', iceberg['key-id'], type.key, iceberg.key, 'REQUIRED'),
      ...elements('value', iceberg['value-id'], type.value, iceberg.value, inner),
    ];
  }
  return [{ ...element, ...physicalType(type) }];
}

function physicalType(type: FieldType): Partial<SchemaElement> {
  switch (type.kind) {
    case 'boolean':
      return { type: 'BOOLEAN' };
    case 'int':
      return { type: 'INT32' };
    case 'long':
      return { type: 'INT64' };
    case 'float':
      return { type: 'FLOAT' };
    case 'double':
      return { type: 'DOUBLE' };
    case 'decimal':
      return {
        ...decimalType(type.precision),
        converted_type: 'DECIMAL',
        logical_type: { type: 'DECIMAL', precision: type.precision, scale: type.scale },
        precision: type.precision,
        scale: type.scale,
      };
    case 'date':
      return { type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } };
    case 'time':
      return {
        type: 'INT64',
        converted_type: 'TIME_MICROS',
        logical_type: { type: 'TIME', isAdjustedToUTC: false, unit: 'MICROS' },
      };
    case 'timestamp':
    case 'timestamptz':
      return {
        type: 'INT64',
        logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: type.kind === 'timestamptz', unit: 'MICROS' },
      };
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return {
        type: 'INT64',
        logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: type.kind === 'timestamptz_ns', unit: 'NANOS' },
      };
    case 'string':
      return { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } };
    case 'uuid':
      return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16, logical_type: { type: 'UUID' } };
    case 'fixed':
      return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: type.length };
    case 'binary':
    case 'struct':
    case 'list':
    case 'map':
      return { type: 'BYTE_ARRAY' };
  }
}

function decimalType(precision: number): Partial<SchemaElement> {
  if (precision <= 9) return { type: 'INT32' };
  if (precision <= 18) return { type: 'INT64' };
  return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: decimalBytes(precision) };
}
