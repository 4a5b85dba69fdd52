import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import type { Encoded } from '../destination.ts';
import { decimalText, isoDate, isoNanos, isoTimestamp, nestedJson } from '../value-text.ts';

export const charactersPerCell = 50_000;

/** Days from Google's day 0, 1899-12-30, to 1970-01-01. */
const epochSerial = 25_569;
const microsPerDay = 86_400_000_000n;
/** Serials are shown as dates from 1900-01-01 to 9999-12-31. */
const firstDay = -25_567;
const lastDay = 2_932_896;
const largestExact = 2n ** 53n;

/**
 * A value as a cell of a Google sheet, written RAW, so that no text is ever read as a formula, a number or a date.
 *
 * | type                    | cell                                                                               |
 * | ----------------------- | ---------------------------------------------------------------------------------- |
 * | boolean                 | TRUE, FALSE                                                                        |
 * | int, long               | number up to 2^53 in size; beyond, its digits as text                              |
 * | float, double           | number; NaN, Infinity, -Infinity as text                                           |
 * | decimal                 | number up to 15 significant digits, which a double carries exactly; beyond, text   |
 * | date                    | serial number shown as a date from 1900 to 9999; outside, ISO 8601 text            |
 * | timestamp, timestamptz  | the same with the time of day, timestamptz in UTC; exact to the microsecond of a double near today |
 * | time                    | fraction of a day shown as a time                                                  |
 * | string, uuid            | text as it is; NULL and '' are both an empty cell; above 50,000 characters refused |
 * | binary                  | hexadecimal text                                                                   |
 * | struct, list            | JSON text                                                                          |
 */
export function encodeCell(value: Value, type: FieldType): Encoded {
  if (value === null) return { cell: null };
  switch (type.kind) {
    case 'boolean':
      return { cell: Boolean(value) };
    case 'int':
    case 'long':
      return { cell: integerCell(BigInt(value as bigint | number)) };
    case 'float':
    case 'double': {
      const number = Number(value);
      return { cell: Number.isFinite(number) ? number + 0 : String(number) };
    }
    case 'decimal': {
      const unscaled = BigInt(value as bigint | number);
      const text = decimalText(unscaled, type.scale);
      const digits = (unscaled < 0n ? -unscaled : unscaled).toString().length;
      return { cell: digits <= 15 ? Number(text) : text };
    }
    case 'date': {
      const days = Number(value);
      return { cell: days >= firstDay && days <= lastDay ? days + epochSerial : isoDate(days) };
    }
    case 'time':
      return { cell: Number(BigInt(value as bigint)) / Number(microsPerDay) };
    case 'timestamp':
    case 'timestamptz': {
      const micros = BigInt(value as bigint);
      const days = Number(micros) / Number(microsPerDay);
      const inRange = days >= firstDay && days < lastDay + 1;
      return { cell: inRange ? days + epochSerial : isoTimestamp(micros, type.kind === 'timestamptz') };
    }
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

/** How a column of this type is to be shown; null where Google's automatic format is right. */
export function numberFormat(type: FieldType): { type: string; pattern: string } | null {
  switch (type.kind) {
    case 'date':
      return { type: 'DATE', pattern: 'yyyy-mm-dd' };
    case 'time':
      return { type: 'TIME', pattern: 'hh:mm:ss' };
    case 'timestamp':
      return { type: 'DATE_TIME', pattern: 'yyyy-mm-dd hh:mm:ss' };
    case 'timestamptz':
      return { type: 'DATE_TIME', pattern: 'yyyy-mm-dd hh:mm:ss" UTC"' };
    default:
      return null;
  }
}

function integerCell(value: bigint): number | string {
  return value <= largestExact && value >= -largestExact ? Number(value) : value.toString();
}

function textCell(text: string): Encoded {
  if (text.length <= charactersPerCell) return { cell: text };
  return { refused: `${text.length} characters, and a cell of a Google sheet holds ${charactersPerCell}` };
}
