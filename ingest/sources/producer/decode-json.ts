import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import { RawNumber } from '../../raw-number.ts';
import { dayNumber, parseInstant, parseMicrosOfDay } from './date-text.ts';

/** Why a JSON value is none of its field's type; `path` leads to it below the field, `.name` and `[0]`. */
export class NotOfType {
  readonly path: string;
  readonly wanted: string;

  constructor(wanted: string, path = '') {
    this.wanted = wanted;
    this.path = path;
  }

  below(part: string): NotOfType {
    return new NotOfType(this.wanted, part + this.path);
  }
}

/**
 * A value of `parseExactJson` in the form of `catalog/schemas/schema.ts`, exactly or not at all: null stays NULL; numbers of
 * 64 bits and decimals may be texts, too; NaN, Infinity and -Infinity are texts; days, times and instants are ISO 8601;
 * binary is Base64. NotOfType for what the type does not hold, as a number with more decimals than its field.
 */
export function decodeJson(type: FieldType, json: unknown): Value | NotOfType {
  if (json === null || json === undefined) return null;
  switch (type.kind) {
    case 'boolean':
      return typeof json === 'boolean' ? json : new NotOfType('true or false');
    case 'int':
      return (
        whole(json, -(2n ** 31n), 2n ** 31n - 1n, (value) => Number(value)) ??
        new NotOfType('a whole number of 32 bits')
      );
    case 'long':
      return whole(json, -(2n ** 63n), 2n ** 63n - 1n, (value) => value) ?? new NotOfType('a whole number of 64 bits');
    case 'float':
    case 'double':
      return real(json, type.kind) ?? new NotOfType(`a number that a ${type.kind} holds`);
    case 'decimal':
      return (
        decimal(json, type) ??
        new NotOfType(`a number of at most ${type.precision} digits, ${type.scale} of them decimals`)
      );
    case 'date':
      return (typeof json === 'string' ? dayNumber(json) : null) ?? new NotOfType('a day, as in 2026-01-31');
    case 'time':
      return (
        (typeof json === 'string' ? parseMicrosOfDay(json) : null) ?? new NotOfType('a time, as in 23:59:59.999999')
      );
    case 'timestamp':
      return (
        (typeof json === 'string' ? parseInstant(json, false) : null) ??
        new NotOfType('a day and a time without a zone, as in 2026-01-31T09:00:00')
      );
    case 'timestamptz':
      return (
        (typeof json === 'string' ? parseInstant(json, true) : null) ??
        new NotOfType('a day and a time with a zone, as in 2026-01-31T09:00:00Z')
      );
    case 'string':
      return typeof json === 'string' ? json : new NotOfType('a text');
    case 'uuid':
      return typeof json === 'string' && uuid.test(json) ? json.toLowerCase() : new NotOfType('a UUID');
    case 'binary':
      return (typeof json === 'string' ? base64(json) : null) ?? new NotOfType('bytes in Base64');
    case 'struct':
      return struct(type, json);
    case 'list':
      return list(type, json);
    case 'map':
      return map(type, json);
    default:
      return new NotOfType('of a type that producers can write');
  }
}

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
const digits = /^-?\d{1,40}$/;
const words: Readonly<Record<string, number>> = { NaN: Number.NaN, Infinity: Infinity, '-Infinity': -Infinity };

/** The digits of a number as it was written; null for what is no number. */
function numberText(json: unknown): string | null {
  if (json instanceof RawNumber) return json.text;
  return typeof json === 'number' || typeof json === 'string' ? String(json) : null;
}

function whole<T>(json: unknown, least: bigint, most: bigint, as: (value: bigint) => T): T | null {
  const text = numberText(json);
  if (text === null || !digits.test(text)) return null;
  const value = BigInt(text);
  return value < least || value > most ? null : as(value);
}

function real(json: unknown, kind: 'float' | 'double'): number | null {
  if (typeof json === 'string') return words[json] ?? null;
  const text = numberText(json);
  if (text === null) return null;
  const value = Number(text);
  if (!Number.isFinite(value)) return null;
  // A whole number is an id or a count: it is not to be rounded unasked, as fractions always are.
  if (digits.test(text) && String(value) !== text && BigInt(text) !== BigInt(value)) return null;
  if (kind === 'double') return value;
  const rounded = Math.fround(value);
  return Number.isFinite(rounded) ? rounded : null;
}

function decimal(json: unknown, { precision, scale }: { precision: number; scale: number }): bigint | null {
  const match = /^(-?)(\d{1,60})(?:\.(\d{1,60}))?(?:[eE]([+-]?\d{1,3}))?$/.exec(numberText(json) ?? '');
  if (!match) return null;
  const [, sign = '', wholePart = '', fraction = '', exponent = '0'] = match;
  const places = scale + Number(exponent) - fraction.length;
  let unscaled = BigInt(wholePart + fraction);
  if (places >= 0) unscaled *= 10n ** BigInt(Math.min(places, 200));
  else {
    const divisor = 10n ** BigInt(-places);
    if (unscaled % divisor !== 0n) return null;
    unscaled /= divisor;
  }
  if (unscaled >= 10n ** BigInt(precision)) return null;
  return sign === '-' ? -unscaled : unscaled;
}

function base64(text: string): Uint8Array | null {
  if (!/^[A-Za-z\d+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return null;
  return Uint8Array.from(Buffer.from(text, 'base64'));
}

function struct(type: Extract<FieldType, { kind: 'struct' }>, json: unknown): Value | NotOfType {
  if (!isObject(json)) return new NotOfType('an object');
  for (const name of Object.keys(json)) {
    if (!type.fields.some((field) => field.name === name)) return new NotOfType('a field that is declared', `.${name}`);
  }
  const values: Value[] = [];
  for (const field of type.fields) {
    const value = decodeJson(field.type, json[field.name]);
    if (value instanceof NotOfType) return value.below(`.${field.name}`);
    values.push(value);
  }
  return values;
}

function list(type: Extract<FieldType, { kind: 'list' }>, json: unknown): Value | NotOfType {
  if (!Array.isArray(json)) return new NotOfType('a list');
  const values: Value[] = [];
  for (const [index, element] of json.entries()) {
    const value = decodeJson(type.element, element);
    if (value instanceof NotOfType) return value.below(`[${index}]`);
    values.push(value);
  }
  return values;
}

/** An object where the keys are texts, else a list of pairs. */
function map(type: Extract<FieldType, { kind: 'map' }>, json: unknown): Value | NotOfType {
  const entries: unknown[] | null = isObject(json) ? Object.entries(json) : Array.isArray(json) ? json : null;
  if (entries === null) return new NotOfType('an object, or a list of pairs');
  const seen = new Set<string>();
  const pairs: Value[] = [];
  for (const [index, entry] of entries.entries()) {
    if (!Array.isArray(entry) || entry.length !== 2) return new NotOfType('a pair of key and value', `[${index}]`);
    const key = decodeJson(type.key, entry[0]);
    if (key instanceof NotOfType || key === null) return new NotOfType('a key', `[${index}]`);
    const identity = key instanceof Uint8Array ? Buffer.from(key).toString('hex') : `${typeof key} ${String(key)}`;
    if (seen.has(identity)) return new NotOfType('without a key that stands there twice', `[${index}]`);
    seen.add(identity);
    const value = decodeJson(type.value, entry[1]);
    if (value instanceof NotOfType) return value.below(`[${index}]`);
    pairs.push([key, value]);
  }
  return pairs;
}

export function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json) && !(json instanceof RawNumber);
}
