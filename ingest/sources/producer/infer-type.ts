import type { Field, FieldType } from '#catalog/schemas/schema.ts';
import { RawNumber } from '../../raw-number.ts';
import { isObject } from './decode-json.ts';

/*
 * The types of fields that nobody declared, as their first values have them: true and false, whole numbers of 64 bits, other
 * numbers as doubles, texts, lists and structs. Dates and the like are texts: a text that looks like one proves nothing.
 */

/** What a value cannot be carried as, in the words of a sentence's end. */
export class NoType {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/**
 * The type of a field that held `known` (null: nothing yet) and now a JSON value, too: the same or a wider one; null where
 * the value is null and so tells nothing. A known type never changes but for fields that join a struct; what does not fit
 * it is found when it is decoded. `isFresh`: the type was made of this request's own values, so it may still widen.
 */
export function widenType(known: FieldType | null, json: unknown, isFresh: boolean): FieldType | null | NoType {
  if (json === null || json === undefined) return known;
  if (known === null) return typeOf(json);
  if (known.kind === 'struct' && isObject(json)) {
    const type = widenStruct(known.fields, json, isFresh);
    return type instanceof NoType || type.fields !== known.fields ? type : known;
  }
  if (known.kind === 'list' && Array.isArray(json)) {
    const type = widenList(known, json, isFresh);
    return type instanceof NoType || (type?.kind === 'list' && type.element !== known.element) ? type : known;
  }
  if (isFresh && known.kind === 'long' && isReal(json)) return { kind: 'double' };
  return known;
}

function typeOf(json: unknown): FieldType | NoType {
  if (typeof json === 'boolean') return { kind: 'boolean' };
  if (typeof json === 'string') return { kind: 'string' };
  if (typeof json === 'number' || json instanceof RawNumber) return typeOfNumber(json);
  if (Array.isArray(json)) {
    const type = widenList({ kind: 'list', element: null }, json, true);
    return type ?? { kind: 'list', element: { kind: 'string' } };
  }
  if (!isObject(json)) return new NoType('is of no type that can be carried');
  if (Object.keys(json).length === 0) return new NoType('is an empty object, which no table has a type for');
  const type = widenStruct([], json, true);
  if (type instanceof NoType) return type;
  return type.fields.length > 0 ? type : new NoType('is an object of nulls, which tells no types');
}

function typeOfNumber(json: number | RawNumber): FieldType | NoType {
  const text = json instanceof RawNumber ? json.text : String(json);
  if (!/^-?\d+$/.test(text)) return { kind: 'double' };
  const value = BigInt(text);
  if (BigInt.asIntN(64, value) === value) return { kind: 'long' };
  return new NoType('is a whole number of more than 64 bits; declare the field as a decimal');
}

function isReal(json: unknown): boolean {
  return (
    (typeof json === 'number' && !Number.isInteger(json)) || (json instanceof RawNumber && !/^-?\d+$/.test(json.text))
  );
}

function widenList(
  known: { kind: 'list'; element: FieldType | null },
  json: readonly unknown[],
  isFresh: boolean,
): FieldType | null | NoType {
  let { element } = known;
  for (const item of json) {
    const type = widenType(element, item, isFresh);
    if (type instanceof NoType) return type;
    element = type;
  }
  return element === null ? null : { kind: 'list', element };
}

function widenStruct(
  known: readonly Field[],
  json: Readonly<Record<string, unknown>>,
  isFresh: boolean,
): Extract<FieldType, { kind: 'struct' }> | NoType {
  const fields = [...known];
  for (const [name, value] of Object.entries(json)) {
    const at = fields.findIndex((field) => field.name === name);
    const field = fields[at];
    const type = widenType(field?.type ?? null, value, isFresh);
    if (type instanceof NoType) return new NoType(`holds ${name}, which ${type.reason}`);
    if (type === null || type === field?.type) continue;
    if (field) fields[at] = { ...field, type };
    else fields.push({ name, type, required: false });
  }
  return fields.length === known.length && fields.every((field, index) => field === known[index])
    ? { kind: 'struct', fields: known }
    : { kind: 'struct', fields };
}
