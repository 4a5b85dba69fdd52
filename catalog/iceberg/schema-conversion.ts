import { DailiesError } from '../error.ts';
import { type Field, type FieldType, type Schema, typeName } from '../schemas/schema.ts';
import type { IcebergField, IcebergSchema, IcebergStruct, IcebergType } from './table-metadata.ts';

/** Table property that names the key's columns (a JSON array) where Iceberg's identifier fields cannot. */
const keyProperty = 'dailies.key';

/** Our schema of an Iceberg schema. Throws `type_unsupported` naming the column for types that we do not carry. */
export function fromIcebergSchema(schema: IcebergSchema, properties: Readonly<Record<string, string>>): Schema {
  const names = new Map(schema.fields.map((field) => [field.id, field.name]));
  const identifiers = (schema['identifier-field-ids'] ?? []).flatMap((id) => names.get(id) ?? []);
  return {
    fields: schema.fields.map((field) => fromIcebergField(field, field.name)),
    key: identifiers.length > 0 ? identifiers : keyOfProperty(properties, new Set(names.values())),
  };
}

/** The field ids of the top-level fields, in schema order. */
export function fieldIds(schema: IcebergSchema): number[] {
  return schema.fields.map((field) => field.id);
}

function keyOfProperty(properties: Readonly<Record<string, string>>, names: ReadonlySet<string>): string[] {
  const text = properties[keyProperty];
  if (text === undefined) return [];
  const key: unknown = JSON.parse(text);
  return Array.isArray(key) && key.every((name) => typeof name === 'string' && names.has(name)) ? key : [];
}

function fromIcebergField(field: IcebergField, path: string): Field {
  return {
    name: field.name,
    type: fieldTypeOf(field.type, path),
    required: field.required,
    ...(field.doc === undefined ? {} : { doc: field.doc }),
  };
}

/** Our type of an Iceberg type. Throws `type_unsupported` naming the column for one that we do not carry. */
export function fieldTypeOf(type: IcebergType, path: string): FieldType {
  if (typeof type !== 'string') {
    switch (type.type) {
      case 'struct':
        return { kind: 'struct', fields: type.fields.map((field) => fromIcebergField(field, `${path}.${field.name}`)) };
      case 'list':
        return { kind: 'list', element: fieldTypeOf(type.element, `${path}.element`) };
      case 'map':
        throw unsupported(path, 'map');
    }
  }
  const decimal = /^decimal\((\d+),\s*(\d+)\)$/.exec(type);
  if (decimal) return { kind: 'decimal', precision: Number(decimal[1]), scale: Number(decimal[2]) };
  if (type.startsWith('fixed[')) return { kind: 'binary' };
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
    case 'string':
    case 'uuid':
    case 'binary':
      return { kind: type };
    default:
      throw unsupported(path, type);
  }
}

function unsupported(path: string, type: string): DailiesError {
  return new DailiesError(
    'type_unsupported',
    `Column "${path}" has the Iceberg type ${type}, which cannot be read here.`,
  );
}

/** What evolving needs to know of the table, and what it changes. */
export interface SchemaState {
  schema: IcebergSchema;
  lastColumnId: number;
}

/** A new table's schema: ids from 1, in field order, nested fields after their parent. */
export function createIcebergSchema(schema: Schema): SchemaState {
  return evolve({ schema: { type: 'struct', 'schema-id': -1, fields: [] }, lastColumnId: 0 }, schema, false);
}

/**
 * The table's schema after it follows `next`: fields keep their ids by path, new ones get new ids and are optional (old
 * rows hold NULL there), gone ones leave and their ids are never used again, types widen as the specification allows.
 * Throws `schema_incompatible` naming the column for any other change of type.
 */
export function evolveIcebergSchema(current: SchemaState, next: Schema): SchemaState {
  return evolve(current, next, false);
}

/** The same for a table whose rows are all replaced: a field whose type changed beyond widening gets a new id. */
export function replaceIcebergSchema(current: SchemaState, next: Schema): SchemaState {
  return evolve(current, next, true);
}

function evolve(current: SchemaState, next: Schema, isReplacing: boolean): SchemaState {
  const isNew = current.lastColumnId === 0;
  const ids = { last: current.lastColumnId };
  const fields = evolveFields(current.schema.fields, next.fields, {
    ids,
    isReplacing,
    canRequire: isNew || isReplacing,
    path: '',
  });
  const keyFields = next.key.map((name) => fields.find((field) => field.name === name));
  const canIdentify = keyFields.every((field) => field?.required && field.type !== 'float' && field.type !== 'double');
  const identifiers = canIdentify ? keyFields.flatMap((field) => field?.id ?? []) : [];
  return {
    schema: {
      type: 'struct',
      'schema-id': current.schema['schema-id'] + 1,
      ...(identifiers.length > 0 ? { 'identifier-field-ids': identifiers } : {}),
      fields,
    },
    lastColumnId: ids.last,
  };
}

/** Table properties that go with the schema: the key, where identifier fields do not hold it. */
export function schemaProperties(
  schema: Schema,
  iceberg: IcebergSchema,
  current: Readonly<Record<string, string>>,
): Record<string, string> {
  const isIdentified = (iceberg['identifier-field-ids'] ?? []).length > 0;
  if (schema.key.length > 0 && !isIdentified) return { [keyProperty]: JSON.stringify(schema.key) };
  // A key that is gone, or that identifier fields hold by now.
  return keyProperty in current ? { [keyProperty]: '[]' } : {};
}

interface Evolution {
  ids: { last: number };
  isReplacing: boolean;
  /** Whether a field without older rows may be required. */
  canRequire: boolean;
  path: string;
}

function evolveFields(current: readonly IcebergField[], next: readonly Field[], evolution: Evolution): IcebergField[] {
  return next.map((field) => {
    const path = evolution.path === '' ? field.name : `${evolution.path}.${field.name}`;
    const old = current.find((candidate) => candidate.name === field.name);
    const doc = field.doc === undefined ? {} : { doc: field.doc };
    if (old && !(evolution.isReplacing && !canFollow(old.type, field.type))) {
      const type = evolveType(old.type, field.type, { ...evolution, path });
      const isRequired = field.required && (old.required || evolution.isReplacing);
      return { id: old.id, name: field.name, required: isRequired, type, ...doc };
    }
    const id = ++evolution.ids.last;
    return {
      id,
      name: field.name,
      required: field.required && evolution.canRequire,
      type: newType(field.type, { ...evolution, path }),
      ...doc,
    };
  });
}

function evolveType(old: IcebergType, next: FieldType, evolution: Evolution): IcebergType {
  if (typeof old === 'object' && old.type === 'struct' && next.kind === 'struct') {
    return { type: 'struct', fields: evolveFields(old.fields, next.fields, evolution) };
  }
  if (typeof old === 'object' && old.type === 'list' && next.kind === 'list') {
    return {
      ...old,
      element: evolveType(old.element, next.element, { ...evolution, path: `${evolution.path}.element` }),
    };
  }
  if (typeof old === 'string' && canWiden(old, next)) return primitiveName(next);
  throw new DailiesError(
    'schema_incompatible',
    `Column "${evolution.path}" changed its type from ${icebergTypeName(old)} to ${typeName(next)}, which the rows already landed cannot follow. Take a new snapshot of its table.`,
    { details: { column: evolution.path, from: icebergTypeName(old), to: typeName(next) } },
  );
}

function canFollow(old: IcebergType, next: FieldType): boolean {
  if (typeof old === 'string') return canWiden(old, next);
  if (old.type === 'struct') return next.kind === 'struct';
  return old.type === 'list' && next.kind === 'list' && canFollow(old.element, next.element);
}

/** Type promotion of the specification (v2): int → long, float → double, a decimal's precision. */
function canWiden(old: string, next: FieldType): boolean {
  if (isNested(next)) return false;
  if (old === primitiveName(next)) return true;
  if (old === 'int' && next.kind === 'long') return true;
  if (old === 'float' && next.kind === 'double') return true;
  const from = /^decimal\((\d+),\s*(\d+)\)$/.exec(old);
  return (
    from !== null && next.kind === 'decimal' && Number(from[2]) === next.scale && Number(from[1]) <= next.precision
  );
}

function newType(type: FieldType, evolution: Evolution): IcebergType {
  switch (type.kind) {
    case 'struct':
      return { type: 'struct', fields: evolveFields([], type.fields, evolution) } satisfies IcebergStruct;
    case 'list': {
      const id = ++evolution.ids.last;
      return { type: 'list', 'element-id': id, element: newType(type.element, evolution), 'element-required': false };
    }
    default:
      return primitiveName(type);
  }
}

function isNested(type: FieldType): boolean {
  return type.kind === 'struct' || type.kind === 'list';
}

function primitiveName(type: FieldType): string {
  return type.kind === 'decimal' ? `decimal(${type.precision}, ${type.scale})` : type.kind;
}

function icebergTypeName(type: IcebergType): string {
  return typeof type === 'string' ? type : type.type;
}

/** True if a change of schema from one to the other changes nothing that is stored. */
export function sameIcebergSchema(a: IcebergSchema, b: IcebergSchema): boolean {
  const shape = (schema: IcebergSchema) => JSON.stringify([schema.fields, [...(schema['identifier-field-ids'] ?? [])]]);
  return shape(a) === shape(b);
}
