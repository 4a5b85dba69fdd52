import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import type { Cell, Encoded } from '../destination.ts';
import { decimalText, isoDate, isoNanos, isoTime, isoTimestamp, nestedJson } from '../value-text.ts';

export const charactersPerCell = 100_000;

/**
 * A value as the exact text or number that an Airtable field of the kind made for it (see `fieldFor`) holds.
 *
 * | type                   | cell                                                                            |
 * | ---------------------- | ------------------------------------------------------------------------------- |
 * | boolean                | true, false (Airtable reads false as empty)                                     |
 * | int, long              | number up to 2^53 in size; beyond, its digits as text                           |
 * | float, double          | number; NaN and infinities as text                                              |
 * | decimal                | number up to 15 significant digits and 8 places; beyond, text                   |
 * | date                   | ISO 8601 date                                                                   |
 * | timestamp, timestamptz | ISO 8601 text with microseconds; a dateTime field keeps its milliseconds        |
 * | time                   | hh:mm:ss text                                                                   |
 * | string, uuid           | text; NULL and '' are both empty; above 100,000 characters refused              |
 * | binary, struct, list   | hexadecimal, JSON text                                                          |
 */
export function encodeCell(value: Value, type: FieldType): Encoded {
  if (value === null) return { cell: null };
  switch (type.kind) {
    case 'boolean':
      return { cell: Boolean(value) };
    case 'int':
    case 'long': {
      const number = Number(value);
      return { cell: Number.isSafeInteger(number) ? number : String(value) };
    }
    case 'float':
    case 'double': {
      const number = Number(value);
      return { cell: Number.isFinite(number) ? number + 0 : String(number) };
    }
    case 'decimal': {
      const unscaled = BigInt(value as bigint | number);
      const text = decimalText(unscaled, type.scale);
      const digits = (unscaled < 0n ? -unscaled : unscaled).toString().length;
      return { cell: digits <= 15 && type.scale <= 8 ? Number(text) : text };
    }
    case 'date':
      return { cell: isoDate(Number(value)) };
    case 'time':
      return { cell: isoTime(BigInt(value as bigint)) };
    case 'timestamp':
    case 'timestamptz':
      return { cell: isoTimestamp(BigInt(value as bigint), type.kind === 'timestamptz') };
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return { cell: isoNanos(BigInt(value as bigint), type.kind === 'timestamptz_ns') };
    case 'string':
    case 'uuid':
      return textCell(String(value));
    case 'binary':
    case 'fixed':
      return textCell(Buffer.from(value as Uint8Array).toString('hex'));
    case 'struct':
    case 'list':
    case 'map':
      return textCell(nestedJson(value, type));
    default:
      return type satisfies never;
  }
}

function textCell(text: string): Encoded {
  if (text.length <= charactersPerCell) return { cell: text };
  return { refused: `${text.length} characters, and a field of Airtable holds ${charactersPerCell}` };
}

export interface NewField {
  name: string;
  type: string;
  options?: Record<string, unknown>;
}

/** The field to make for a column: one of numbers or dates only where it holds every value of this run exactly. */
export function fieldFor(name: string, type: FieldType, values: readonly Cell[]): NewField {
  const isNumeric = values.every((cell) => cell === null || typeof cell === 'number');
  switch (type.kind) {
    case 'boolean':
      return { name, type: 'checkbox', options: { icon: 'check', color: 'greenBright' } };
    case 'int':
    case 'long':
      return isNumeric ? { name, type: 'number', options: { precision: 0 } } : { name, type: 'singleLineText' };
    case 'float':
    case 'double':
      return isNumeric ? { name, type: 'number', options: { precision: 8 } } : { name, type: 'singleLineText' };
    case 'decimal':
      return isNumeric && type.scale <= 8
        ? { name, type: 'number', options: { precision: type.scale } }
        : { name, type: 'singleLineText' };
    case 'date':
      return { name, type: 'date', options: { dateFormat: { name: 'iso' } } };
    case 'timestamp':
    case 'timestamptz': {
      const holdsAll = values.every((cell) => cell === null || !/\.\d{4}/.test(String(cell)));
      if (!holdsAll) return { name, type: 'singleLineText' };
      const options = { dateFormat: { name: 'iso' }, timeFormat: { name: '24hour' }, timeZone: 'utc' };
      return { name, type: 'dateTime', options };
    }
    case 'string':
    case 'struct':
    case 'list':
    case 'map':
      return { name, type: 'multilineText' };
    case 'time':
    case 'timestamp_ns':
    case 'timestamptz_ns':
    case 'uuid':
    case 'binary':
    case 'fixed':
      return { name, type: 'singleLineText' };
    default:
      return type satisfies never;
  }
}

const numericFields = new Set(['number', 'currency', 'percent', 'duration', 'rating']);
const textFields = new Set(['singleLineText', 'multilineText', 'richText', 'email', 'url', 'phoneNumber']);
const choiceFields = new Set(['singleSelect', 'multipleSelects']);
const computedFields = new Set([
  'formula',
  'rollup',
  'lookup',
  'multipleLookupValues',
  'count',
  'autoNumber',
  'createdTime',
  'lastModifiedTime',
  'createdBy',
  'lastModifiedBy',
  'button',
  'externalSyncSource',
  'aiText',
]);

export function isComputed(fieldType: string): boolean {
  return computedFields.has(fieldType);
}

/** True if Airtable has to make choices by itself for this field. */
export function needsTypecast(fieldType: string): boolean {
  return choiceFields.has(fieldType);
}

/** A cell for the field that people chose, or the reason why that field cannot hold it. */
export function cellForField(cell: Cell, fieldType: string): Encoded | { cell: string[] } {
  if (cell === null || cell === '') return { cell: null };
  if (textFields.has(fieldType) || fieldType === 'singleSelect') return { cell: String(cell) };
  if (fieldType === 'multipleSelects') return { cell: [String(cell)] };
  if (numericFields.has(fieldType) && typeof cell !== 'number') {
    return { refused: 'not a number that its field holds exactly: make the field a text' };
  }
  if (fieldType === 'checkbox' && typeof cell !== 'boolean')
    return { refused: 'neither true nor false, as its field wants' };
  if (fieldType === 'dateTime' && typeof cell === 'string') return { cell: cell.replace(/(\.\d{3})\d+/, '$1') };
  return { cell };
}
