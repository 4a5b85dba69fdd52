import type { Field, FieldType, Schema, Value } from '#catalog/schemas/schema.ts';
import { decodeJson, isObject } from '../producer/decode-json.ts';
import { fieldsWithTexts } from '../text-columns.ts';
import type { ConnectStruct, ConnectType } from './connect-type.ts';
import type { Decoded } from './decoded.ts';
import { codecOf } from './value-codec.ts';

export interface ShapeColumn {
  name: string;
  type: FieldType;
  doc: string | null;
  /** What rows hold that were there before the column; undefined where nobody told. */
  initialDefault: Value | undefined;
  /** `raw` is never null. */
  decode(raw: unknown): Decoded;
}

/** How rows of one type are read. */
export interface RowShape {
  schema: Schema;
  columns: readonly ShapeColumn[];
  /** Index of the field with the text of a column, by the column's index. */
  textAt: ReadonlyMap<number, number>;
  /** Indexes of the key's columns, in key order; -1 for one that is none. */
  keyAt: readonly number[];
}

/** Columns of a type that the topic tells. */
export function connectColumns(type: ConnectStruct): ShapeColumn[] {
  return type.fields.map(({ name, type: fieldType }) => {
    const codec = codecOf(fieldType);
    return {
      name,
      type: codec.type,
      doc: fieldType.doc,
      initialDefault: initialDefault(fieldType, (raw) => codec.decode(raw)),
      decode: (raw) => codec.decode(raw),
    };
  });
}

/** Columns of fields that were inferred. */
export function inferredColumns(fields: readonly Field[]): ShapeColumn[] {
  return fields.map(({ name, type }) => ({
    name,
    type,
    doc: null,
    initialDefault: undefined,
    decode: (raw) => decodeJson(type, withoutStrangeNulls(type, raw)),
  }));
}

/** `textOf`: columns, by name, that have a text beside them. Only the key is required: what else is NOT NULL, old rows may lack. */
export function rowShape(columns: readonly ShapeColumn[], key: readonly string[], textOf: readonly string[]): RowShape {
  const texts = textOf.map((name) => columns.findIndex((column) => column.name === name)).filter((at) => at >= 0);
  const plain = columns.map(({ name, type, doc }) => ({ name, type, comment: doc }));
  const fields = fieldsWithTexts(plain, texts, (index) => key.includes(columns[index]?.name ?? '')).map(
    (field, index) => {
      const value = columns[index]?.initialDefault;
      return value === undefined ? field : { ...field, initialDefault: value };
    },
  );
  return {
    schema: { fields, key },
    columns,
    textAt: new Map(texts.map((column, index) => [column, columns.length + index])),
    keyAt: key.map((name) => columns.findIndex((column) => column.name === name)),
  };
}

/**
 * The column's default, but for what Debezium also tells where the default is computed (0, '', 1970-01-01, the UUID of
 * zeros): such a column's old rows are NULL until they change.
 */
function initialDefault(type: ConnectType, decode: (raw: unknown) => Decoded): Value | undefined {
  const raw = type.default;
  if (raw === undefined || raw === null) return undefined;
  const value = decode(raw);
  if (value === null || typeof value === 'object') return undefined;
  const isComputed =
    value === '' || value === false || value === 0 || value === 0n || value === '00000000-0000-0000-0000-000000000000';
  return isComputed ? undefined : (value as Value);
}

/** A member of a struct that is NULL in all records so far has no type, and nothing is lost without it. */
function withoutStrangeNulls(type: FieldType, raw: unknown): unknown {
  if (type.kind === 'list' && Array.isArray(raw)) return raw.map((item) => withoutStrangeNulls(type.element, item));
  if (type.kind !== 'struct' || !isObject(raw)) return raw;
  return Object.fromEntries(
    Object.entries(raw).flatMap(([name, member]) => {
      const field = type.fields.find((known) => known.name === name);
      if (!field) return member === null ? [] : [[name, member]];
      return [[name, withoutStrangeNulls(field.type, member)]];
    }),
  );
}
