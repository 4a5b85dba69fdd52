import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import type { Field, FieldType, Schema } from '../../schemas/schema.ts';
import { decodeDefault } from './default-values.ts';
import type { IcebergField, IcebergSchema, IcebergType } from './iceberg-schema.ts';
import { followSchema, nameMappingOf, nameMappingProperty } from './name-mapping.ts';

/** Table property that names the key's columns (a JSON array) where Iceberg's identifier fields cannot. */
const keyProperty = 'dailies.key';

/** Our schema of an Iceberg schema. Throws `type_unsupported` naming the column for types that we do not carry. */
export function fromIcebergSchema(schema: IcebergSchema, properties: Readonly<Record<string, string>>): Schema {
  const names = new Map(schema.fields.map((field) => [field.id, field.name]));
  const identifiers = schema['identifier-field-ids'] ?? [];
  // A key of which a part is nested is no key of ours: its other columns alone may be the same in many rows.
  const isKey = identifiers.length > 0 && identifiers.every((id) => names.has(id));
  return {
    fields: schema.fields.map((field) => fromIcebergField(field, field.name)),
    key: isKey ? identifiers.flatMap((id) => names.get(id) ?? []) : keyOfProperty(properties, new Set(names.values())),
  };
}

/**
 * The schema without the columns that we cannot carry, for readers of what another engine made; `leftOut` names those, with
 * their Iceberg types.
 */
export function carriedColumns(schema: IcebergSchema): {
  schema: IcebergSchema;
  leftOut: { column: string; type: string }[];
} {
  const leftOut: { column: string; type: string }[] = [];
  const fields = schema.fields.filter((field) => {
    const type = foreignType(field.type);
    if (type !== null) leftOut.push({ column: field.name, type });
    return type === null;
  });
  return { schema: leftOut.length === 0 ? schema : { ...schema, fields }, leftOut };
}

function foreignType(type: IcebergType): string | null {
  if (typeof type === 'string') return primitiveTypeOf(type) ? null : type;
  switch (type.type) {
    case 'struct':
      return type.fields.map((field) => foreignType(field.type)).find((found) => found !== null) ?? null;
    case 'list':
      return foreignType(type.element);
    case 'map':
      return foreignType(type.key) ?? foreignType(type.value);
  }
}

/** The field ids of the top-level fields, in schema order. */
export function fieldIds(schema: IcebergSchema): number[] {
  return schema.fields.map((field) => field.id);
}

function keyOfProperty(properties: Readonly<Record<string, string>>, names: ReadonlySet<string>): string[] {
  const text = properties[keyProperty];
  if (text === undefined) return [];
  const key = keyOfText(text);
  return key.every((name) => names.has(name)) ? key : [];
}

function keyOfText(text: string): string[] {
  try {
    return z.array(z.string()).parse(JSON.parse(text));
  } catch (thrown) {
    throw new DailiesError(
      'table_corrupt',
      `The table property ${keyProperty} is not a JSON list of column names. Set it right or remove it.`,
      { cause: thrown },
    );
  }
}

function fromIcebergField(field: IcebergField, path: string): Field {
  const type = fieldTypeOf(field.type, path);
  const initialDefault = decodeDefault(type, field['initial-default'], path);
  return {
    name: field.name,
    type,
    required: field.required,
    ...(field.doc === undefined ? {} : { doc: field.doc }),
    ...(initialDefault === null ? {} : { initialDefault }),
  };
}

/** Our type of an Iceberg type. Throws `type_unsupported` naming the column for one that we do not carry. */
export function fieldTypeOf(type: IcebergType, path: string): FieldType {
  if (typeof type === 'string') {
    const primitive = primitiveTypeOf(type);
    if (primitive) return primitive;
    throw new DailiesError(
      'type_unsupported',
      `Column "${path}" has the Iceberg type ${type}, which cannot be read here.`,
      { details: { column: path, type } },
    );
  }
  switch (type.type) {
    case 'struct':
      return { kind: 'struct', fields: type.fields.map((field) => fromIcebergField(field, `${path}.${field.name}`)) };
    case 'list':
      return { kind: 'list', element: fieldTypeOf(type.element, `${path}.element`) };
    case 'map':
      return {
        kind: 'map',
        key: fieldTypeOf(type.key, `${path}.key`),
        value: fieldTypeOf(type.value, `${path}.value`),
      };
  }
}

function primitiveTypeOf(type: string): FieldType | null {
  const decimal = /^decimal\((\d+),\s*(\d+)\)$/.exec(type);
  if (decimal) return decimalType(Number(decimal[1]), Number(decimal[2]));
  const fixed = /^fixed\[(\d+)\]$/.exec(type);
  if (fixed) return { kind: 'fixed', length: Number(fixed[1]) };
  switch (type) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'float':
    case 'double':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
    case 'timestamp_ns':
    case 'timestamptz_ns':
    case 'string':
    case 'uuid':
    case 'binary':
      return { kind: type };
    // Holds nothing but NULL, in no column of any file.
    case 'unknown':
      return { kind: 'string' };
    default:
      return null;
  }
}

// What the specification does not allow is nothing that we carry.
function decimalType(precision: number, scale: number): FieldType | null {
  return precision >= 1 && precision <= 38 && scale <= precision ? { kind: 'decimal', precision, scale } : null;
}

/** Table properties that go with the schema: the key, where identifier fields do not hold it, and a name mapping that is. */
export function schemaProperties(
  schema: Schema,
  iceberg: IcebergSchema,
  current: Readonly<Record<string, string>>,
): Record<string, string> {
  const mapping = nameMappingOf(current);
  const names = mapping ? { [nameMappingProperty]: JSON.stringify(followSchema(mapping, iceberg)) } : {};
  const isIdentified = (iceberg['identifier-field-ids'] ?? []).length > 0;
  if (schema.key.length > 0 && !isIdentified) return { ...names, [keyProperty]: JSON.stringify(schema.key) };
  // A key that is gone, or that identifier fields hold by now.
  return keyProperty in current ? { ...names, [keyProperty]: '[]' } : names;
}
