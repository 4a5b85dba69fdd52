import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import type { IcebergField, IcebergSchema, IcebergType } from './iceberg-schema.ts';

/*
 * Name mapping (iceberg.apache.org/spec, Column Projection and Name Mapping Serialization): which names a field has had, for
 * data files without field ids, which somebody added to the table as they were.
 */
export interface MappedField {
  'field-id'?: number | undefined;
  names: string[];
  fields?: MappedField[] | undefined;
}

/** Table property that holds the mapping as JSON. */
export const nameMappingProperty = 'schema.name-mapping.default';

const mappedField: z.ZodType<MappedField> = z.lazy(() =>
  z.object({
    'field-id': z.int().optional(),
    names: z.array(z.string()),
    fields: z.array(mappedField).optional(),
  }),
);

/** The table's mapping; null where it has none. Throws `table_corrupt` for a property that is not one. */
export function nameMappingOf(properties: Readonly<Record<string, string>>): MappedField[] | null {
  const text = properties[nameMappingProperty];
  if (text === undefined) return null;
  const parsed = z.array(mappedField).safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  throw new DailiesError('table_corrupt', `The table property ${nameMappingProperty} is not a name mapping.`, {
    cause: parsed.error,
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return null;
    throw thrown;
  }
}

/** Field ids of a file's columns by their path in it (`element`, `key`, `value` below lists and maps), joined with `\0`. */
export function mappedIds(mapping: readonly MappedField[], prefix: readonly string[] = []): Map<string, number> {
  const ids = new Map<string, number>();
  for (const field of mapping) {
    for (const name of field.names) {
      const path = [...prefix, name];
      if (field['field-id'] !== undefined) ids.set(path.join('\0'), field['field-id']);
      for (const [below, id] of mappedIds(field.fields ?? [], path)) ids.set(below, id);
    }
  }
  return ids;
}

/**
 * The mapping after the table's schema became `schema`: a field keeps every name that it had and gets its new one; a name
 * that a new field took over is the old one's no more. Fields that are gone stay, for files that hold them.
 */
export function followSchema(mapping: readonly MappedField[], schema: IcebergSchema): MappedField[] {
  return follow(mapping, schema.fields.map(partOf));
}

/** A field, or the element, key or value of one, as a mapping sees it. */
interface Part {
  id: number;
  name: string;
  parts: Part[];
}

function partOf(field: IcebergField): Part {
  return { id: field.id, name: field.name, parts: partsOf(field.type) };
}

function partsOf(type: IcebergType): Part[] {
  if (typeof type === 'string') return [];
  switch (type.type) {
    case 'struct':
      return type.fields.map(partOf);
    case 'list':
      return [{ id: type['element-id'], name: 'element', parts: partsOf(type.element) }];
    case 'map':
      return [
        { id: type['key-id'], name: 'key', parts: partsOf(type.key) },
        { id: type['value-id'], name: 'value', parts: partsOf(type.value) },
      ];
  }
}

function follow(mapping: readonly MappedField[], parts: readonly Part[]): MappedField[] {
  const owners = new Map(parts.map((part) => [part.name, part.id]));
  const kept = mapping.map((field): MappedField => {
    const part = parts.find((candidate) => candidate.id === field['field-id']);
    const own = field.names.filter((name) => (owners.get(name) ?? field['field-id']) === field['field-id']);
    const names = part && !own.includes(part.name) ? [...own, part.name] : own;
    const fields = follow(field.fields ?? [], part?.parts ?? []);
    return { ...field, names, ...(fields.length > 0 ? { fields } : {}) };
  });
  const known = new Set(mapping.map((field) => field['field-id']));
  return [...kept, ...parts.filter((part) => !known.has(part.id)).map(mapped)];
}

function mapped({ id, name, parts }: Part): MappedField {
  return { 'field-id': id, names: [name], ...(parts.length > 0 ? { fields: parts.map(mapped) } : {}) };
}
