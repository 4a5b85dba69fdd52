import type { FieldType } from '../../schemas/schema.ts';
import { duckdbTypeName, identifier } from '../files/duckdb-values.ts';
import type { FileField } from '../files/file-schema.ts';
import type { IcebergField, IcebergSchema, IcebergType } from '../metadata/iceberg-schema.ts';
import { absentText, innerName, type ScanColumn } from './scan-columns.ts';

/*
 * Reading a file's columns by field id where DuckDB would not: it takes top-level columns by id, but the fields of structs by
 * name, and gives NULL for all columns of a file without ids. For such files each column is built anew from the file's own,
 * structs, lists and maps at any depth:
 *
 *   movie {1: title, 2: who {3: first}}  of a file with  who {3: given}   →   struct_pack(first := who.given)
 */

/** True where older files of the table may have nested fields that a match by name reads wrongly, or have no field ids. */
export function mayDiffer(columns: readonly ScanColumn[], schemas: readonly IcebergSchema[]): boolean {
  const nested = columns.filter((column) => typeof column.iceberg.type !== 'string');
  if (nested.length === 0) return false;
  // Schemas that were removed from the metadata may still be those of files.
  const ids = new Set(schemas.map((schema) => schema['schema-id']));
  for (let id = 0; id <= Math.max(...ids); id++) if (!ids.has(id)) return true;
  return nested.some((column) =>
    schemas.some((schema) => {
      const old = schema.fields.find((field) => field.id === column.id);
      return hasNestedDefault(column.iceberg.type) || (old !== undefined && !sameByName(column.iceberg.type, old.type));
    }),
  );
}

function hasNestedDefault(type: IcebergType): boolean {
  if (typeof type === 'string') return false;
  if (type.type === 'list') return hasNestedDefault(type.element);
  if (type.type === 'map') return hasNestedDefault(type.key) || hasNestedDefault(type.value);
  return type.fields.some((field) => (field['initial-default'] ?? null) !== null || hasNestedDefault(field.type));
}

/** True if names lead to the same ids in both. */
function sameByName(type: IcebergType, old: IcebergType): boolean {
  if (typeof type === 'string' || typeof old === 'string') return typeof type === typeof old;
  if (type.type === 'list' && old.type === 'list') return sameByName(type.element, old.element);
  if (type.type === 'map' && old.type === 'map') {
    return sameByName(type.key, old.key) && sameByName(type.value, old.value);
  }
  if (type.type !== 'struct' || old.type !== 'struct') return false;
  const olds = old.fields;
  const pairs = type.fields.map((field) => ({
    field,
    byId: olds.find((candidate) => candidate.id === field.id),
    byName: olds.find((candidate) => candidate.name.toLowerCase() === field.name.toLowerCase()),
  }));
  // DuckDB refuses structs that have no field in common.
  return (
    pairs.some(({ byId }) => byId !== undefined) &&
    pairs.every(({ field, byId, byName }) => byId === byName && (!byId || sameByName(field.type, byId.type)))
  );
}

/** The file's columns with ids from a name mapping where it has none of its own. */
export function withMappedIds(fields: readonly FileField[], ids: ReadonlyMap<string, number>): readonly FileField[] {
  return fields.some(hasId) ? fields : fields.map((field) => mapped(field, ids, []));
}

function hasId(field: FileField): boolean {
  return field.id !== null;
}

function mapped(
  field: FileField,
  ids: ReadonlyMap<string, number>,
  above: readonly string[],
  name = field.name,
): FileField {
  const path = [...above, name];
  const id = ids.get(path.join('\0')) ?? null;
  const below = (child: FileField, as?: string) => mapped(child, ids, path, as);
  switch (field.type.kind) {
    case 'leaf':
      return { ...field, id };
    case 'struct':
      return { ...field, id, type: { kind: 'struct', fields: field.type.fields.map((child) => below(child)) } };
    case 'list':
      return { ...field, id, type: { kind: 'list', element: below(field.type.element, 'element') } };
    case 'map': {
      const { key, value } = field.type;
      return { ...field, id, type: { kind: 'map', key: below(key, 'key'), value: below(value, 'value') } };
    }
  }
}

/**
 * The SELECT list that gives the columns from a file's own; null where DuckDB's match by id does as well. `constants` are the
 * texts of columns that the file does not hold since its partition tells them.
 */
export function fileProjection(
  columns: readonly ScanColumn[],
  file: readonly FileField[],
  isById: boolean,
  constants: ReadonlyMap<number, string>,
): string[] | null {
  const pairs = columns.map((column) => ({ column, own: file.find((field) => field.id === column.id) }));
  const isRight = pairs.every(({ column, own }) =>
    own ? readsByName(column.iceberg.type, own) : !constants.has(column.id),
  );
  if (isById && isRight) return null;
  return pairs.map(({ column, own }) => {
    const type = duckdbTypeName(column.field.type);
    const absent = constants.get(column.id) ?? absentText(column.field);
    const value = own ? rebuilt(column.iceberg.type, column.field.type, own, identifier(own.name), 0) : absent;
    return `CAST(${value} AS ${type}) AS ${innerName(column)}`;
  });
}

function readsByName(type: IcebergType, own: FileField): boolean {
  return !hasNestedDefault(type) && sameByName(type, icebergOf(own));
}

function icebergOf(field: FileField): IcebergType {
  const { type } = field;
  switch (type.kind) {
    case 'leaf':
      return '';
    case 'struct':
      return { type: 'struct', fields: type.fields.map(asIceberg) };
    case 'list':
      return { type: 'list', 'element-id': 0, element: icebergOf(type.element), 'element-required': false };
    case 'map': {
      const { key, value } = type;
      return {
        type: 'map',
        'key-id': 0,
        key: icebergOf(key),
        'value-id': 0,
        value: icebergOf(value),
        'value-required': false,
      };
    }
  }
}

function asIceberg(field: FileField): IcebergField {
  return { id: field.id ?? -1, name: field.name, required: false, type: icebergOf(field) };
}

/** The SQL of a value of the table's type, from a value of the file's. */
function rebuilt(type: IcebergType, shape: FieldType, own: FileField, value: string, depth: number): string {
  if (typeof type === 'string' || readsByName(type, own)) return value;
  const item = `x${depth}`;
  if (type.type === 'struct' && shape.kind === 'struct' && own.type.kind === 'struct') {
    const owned = own.type.fields;
    const parts = type.fields.map((field, index) => {
      const inner = shape.fields[index];
      if (!inner) return '';
      const match = owned.find((candidate) => candidate.id === field.id);
      const part = match
        ? rebuilt(field.type, inner.type, match, `${value}.${identifier(match.name)}`, depth + 1)
        : absentText(inner);
      return `${identifier(field.name)} := CAST(${part} AS ${duckdbTypeName(inner.type)})`;
    });
    return `CASE WHEN ${value} IS NULL THEN NULL ELSE struct_pack(${parts.join(', ')}) END`;
  }
  if (type.type === 'list' && shape.kind === 'list' && own.type.kind === 'list') {
    const element = rebuilt(type.element, shape.element, own.type.element, item, depth + 1);
    return `list_transform(${value}, lambda ${item}: ${element})`;
  }
  if (type.type === 'map' && shape.kind === 'map' && own.type.kind === 'map') {
    const key = rebuilt(type.key, shape.key, own.type.key, `${item}.key`, depth + 1);
    const entry = rebuilt(type.value, shape.value, own.type.value, `${item}.value`, depth + 1);
    return `map_from_entries(list_transform(map_entries(${value}), lambda ${item}: struct_pack(k := ${key}, v := ${entry})))`;
  }
  return value;
}
