import { z } from 'zod';
import { printJson } from './json.ts';

/*
 * Schemas as table metadata holds them (iceberg.apache.org/spec, Appendix C, Schemas): types are names or nested objects,
 * every field, list element, map key and map value has an id that is never used again.
 */
export type IcebergType = string | IcebergStruct | IcebergList | IcebergMap;
export interface IcebergStruct {
  type: 'struct';
  fields: IcebergField[];
}
export interface IcebergList {
  type: 'list';
  'element-id': number;
  element: IcebergType;
  'element-required': boolean;
}
export interface IcebergMap {
  type: 'map';
  'key-id': number;
  key: IcebergType;
  'value-id': number;
  value: IcebergType;
  'value-required': boolean;
}
export interface IcebergField {
  id: number;
  name: string;
  required: boolean;
  type: IcebergType;
  doc?: string | undefined;
  /** Format 3: what rows hold that were written before the field was added, in the JSON form of single values. */
  'initial-default'?: unknown;
  /** Format 3: what a writer puts where it is given no value. */
  'write-default'?: unknown;
}

const icebergType: z.ZodType<IcebergType> = z.lazy(() =>
  z.union([
    z.string(),
    z.looseObject({ type: z.literal('struct'), fields: z.array(icebergField) }),
    z.looseObject({
      type: z.literal('list'),
      'element-id': z.int(),
      element: icebergType,
      'element-required': z.boolean(),
    }),
    z.looseObject({
      type: z.literal('map'),
      'key-id': z.int(),
      key: icebergType,
      'value-id': z.int(),
      value: icebergType,
      'value-required': z.boolean(),
    }),
  ]),
);

const icebergField: z.ZodType<IcebergField> = z.lazy(() =>
  z.looseObject({
    id: z.int(),
    name: z.string(),
    required: z.boolean(),
    type: icebergType,
    doc: z.string().optional(),
    'initial-default': z.unknown().optional(),
    'write-default': z.unknown().optional(),
  }),
);

export const icebergSchema = z.object({
  type: z.literal('struct'),
  'schema-id': z.int(),
  'identifier-field-ids': z.array(z.int()).optional(),
  fields: z.array(icebergField),
});
export type IcebergSchema = z.infer<typeof icebergSchema>;

/** A field of a schema, or the element, key or value of one, wherever it is nested. */
export interface NestedField {
  id: number;
  /** Names from the top; `element`, `key` and `value` below lists and maps. */
  path: readonly string[];
  type: IcebergType;
  required: boolean;
  /** True at the top level or in structs alone: one value for each row. */
  isSingle: boolean;
}

/** All fields of the schema, each before those inside it. */
export function* nestedFields(
  fields: readonly IcebergField[],
  path: readonly string[] = [],
  isSingle = true,
): Generator<NestedField> {
  for (const { id, name, type, required } of fields) yield* nestedOf(id, [...path, name], type, required, isSingle);
}

function* nestedOf(
  id: number,
  path: readonly string[],
  type: IcebergType,
  required: boolean,
  isSingle: boolean,
): Generator<NestedField> {
  yield { id, path, type, required, isSingle };
  if (typeof type === 'string') return;
  switch (type.type) {
    case 'struct':
      yield* nestedFields(type.fields, path, isSingle);
      return;
    case 'list':
      yield* nestedOf(type['element-id'], [...path, 'element'], type.element, type['element-required'], false);
      return;
    case 'map':
      yield* nestedOf(type['key-id'], [...path, 'key'], type.key, true, false);
      yield* nestedOf(type['value-id'], [...path, 'value'], type.value, type['value-required'], false);
  }
}

/** A primitive's name in one form: writers put a space after a decimal's comma, or none. */
export function compactName(name: string): string {
  return name.replaceAll(' ', '');
}

/** True if a change of schema from one to the other changes nothing that is stored. */
export function sameIcebergSchema(a: IcebergSchema, b: IcebergSchema): boolean {
  return shape(a) === shape(b);
}

function shape(schema: IcebergSchema): string {
  return printJson([schema.fields.map(fieldShape), schema['identifier-field-ids'] ?? []]);
}

function fieldShape(field: IcebergField): unknown {
  const defaults = [field['initial-default'] ?? null, field['write-default'] ?? null];
  return [field.id, field.name, field.required, typeShape(field.type), field.doc ?? null, defaults];
}

function typeShape(type: IcebergType): unknown {
  if (typeof type === 'string') return compactName(type);
  switch (type.type) {
    case 'struct':
      return type.fields.map(fieldShape);
    case 'list':
      return [type['element-id'], typeShape(type.element), type['element-required']];
    case 'map':
      return [type['key-id'], typeShape(type.key), type['value-id'], typeShape(type.value), type['value-required']];
  }
}
