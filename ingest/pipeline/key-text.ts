import { keyIndexes, type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { ChangeEvent } from '../event.ts';

export type JsonValue = string | number | boolean | null | JsonValue[];

/** The event's key for people and for comparison: a value for each key field, or null for a table without a key. */
export function keyOf(event: ChangeEvent, schema: Schema): JsonValue[] | null {
  const row = event.after ?? event.before;
  if (schema.key.length === 0 || !row) return null;
  return keyIndexes(schema).map((index) => keyValueOf(row[index] ?? null));
}

/** One value of a key: whole numbers beyond a double's reach, and bytes, as text. */
export function keyValueOf(value: Row[number]): JsonValue {
  if (value === UNKNOWN) return null;
  if (typeof value === 'bigint') {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
  }
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return (value as readonly Value[]).map(keyValueOf);
  return value as string | boolean | null;
}
