import { DailiesError } from '../../error.ts';
import { type IcebergField, type IcebergSchema, type IcebergType, nestedFields } from './iceberg-schema.ts';

/** Types that format version 3 brought (spec, Appendix E). */
const typesOfVersion3 = /^(unknown|variant|geometry|geography|timestamp_ns|timestamptz_ns)\b/;

/**
 * A schema that somebody wants to put into a table: ids and names used once, identifier fields that exist, nothing that the
 * table's format version lacks. Throws `invalid` naming the column.
 */
export function checkIcebergSchema(schema: IcebergSchema, formatVersion: number): void {
  const names = new Map<number, string>();
  for (const field of nestedFields(schema.fields)) {
    const name = field.path.join('.');
    const other = names.get(field.id);
    if (other !== undefined) throw invalid(`"${other}" and "${name}" both have the field id ${field.id}.`);
    names.set(field.id, name);
    if (formatVersion < 3 && typeof field.type === 'string' && typesOfVersion3.test(field.type)) {
      throw invalid(
        `Invalid schema for v${formatVersion}: "${name}" is ${field.type}, which is not supported until format version 3.`,
      );
    }
  }
  checkFields(schema.fields, '', formatVersion);
  for (const id of schema['identifier-field-ids'] ?? []) {
    if (!names.has(id)) throw invalid(`The identifier field ${id} is not in the schema.`);
  }
}

function checkFields(fields: readonly IcebergField[], prefix: string, formatVersion: number): void {
  const names = new Set<string>();
  for (const field of fields) {
    const path = `${prefix}${field.name}`;
    if (names.has(field.name)) throw invalid(`There are two columns "${path}".`);
    names.add(field.name);
    const initial = field['initial-default'];
    if (formatVersion < 3 && initial !== undefined && initial !== null) {
      throw invalid(
        `Invalid schema for v${formatVersion}: "${path}" has an initial default, which is not supported until format version 3.`,
      );
    }
    checkType(field.type, `${path}.`, formatVersion);
  }
}

function checkType(type: IcebergType, prefix: string, formatVersion: number): void {
  if (typeof type === 'string') return;
  switch (type.type) {
    case 'struct':
      checkFields(type.fields, prefix, formatVersion);
      return;
    case 'list':
      checkType(type.element, `${prefix}element.`, formatVersion);
      return;
    case 'map':
      checkType(type.key, `${prefix}key.`, formatVersion);
      checkType(type.value, `${prefix}value.`, formatVersion);
      return;
  }
}

/** 0 for a schema without fields. */
export function highestFieldId(schema: IcebergSchema): number {
  let highest = 0;
  for (const field of nestedFields(schema.fields)) highest = Math.max(highest, field.id);
  return highest;
}

function invalid(message: string): DailiesError {
  return new DailiesError('invalid', message);
}
