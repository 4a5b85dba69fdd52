import { isUtf8 } from 'node:buffer';
import { DailiesError } from '#catalog/error.ts';
import type { Value } from '#catalog/schemas/schema.ts';

/**
 * Decodes a value from the text that Postgres's output function wrote (DateStyle ISO, TimeZone UTC, bytea_output hex),
 * bytes `start` … `end`, into the form of `catalog/schemas/schema.ts`. ODD where the type cannot carry this value: ±infinity
 * dates, BC and five-digit years, 24:00, NaN in a numeric. Throws `source_protocol` for what no output function writes, and
 * `InvalidText` for text that is not UTF-8.
 */
export type Decode = (bytes: Buffer, start: number, end: number) => Value | typeof ODD;

export const ODD: unique symbol = Symbol('odd');

export function malformed(): DailiesError {
  return new DailiesError('source_protocol', 'The server sent a message or a value that is not of its own form.');
}

/** Bytes that a database without an encoding (SQL_ASCII) holds as text. */
export class InvalidText extends Error {}

const ZERO = 48;
const PLUS = 43;
const MINUS = 45;
const DOT = 46;
const COLON = 58;

export const decodeText: Decode = (bytes, start, end) => {
  const text = bytes.toString('utf8', start, end);
  // Which stands for each byte that is no UTF-8, and seldom for itself.
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) throw new InvalidText();
  return text;
};

export const decodeBoolean: Decode = (bytes, start, end) => {
  const letter = bytes[start];
  if (end - start !== 1 || (letter !== 116 && letter !== 102)) throw malformed();
  return letter === 116;
};

export const decodeInt: Decode = (bytes, start, end) => {
  const isNegative = bytes[start] === MINUS;
  const magnitude = digits(bytes, isNegative ? start + 1 : start, end);
  if (magnitude > 2_147_483_648) throw malformed();
  return isNegative ? -magnitude : magnitude;
};

export const decodeLong: Decode = (bytes, start, end) => bigDigits(bytes, start, end);

export const decodeDouble: Decode = (bytes, start, end) => {
  const text = bytes.toString('latin1', start, end);
  const value = Number(text);
  if (Number.isNaN(value) ? text !== 'NaN' : end === start || !isNumeral(bytes[end - 1])) throw malformed();
  return value;
};

export const decodeFloat: Decode = (bytes, start, end) => Math.fround(decodeDouble(bytes, start, end) as number);

/** A numeric(p, s) prints exactly `scale` decimals; without its point it is the unscaled value. */
export function decimalDecoder(scale: number): Decode {
  return (bytes, start, end) => {
    const first = bytes[bytes[start] === MINUS ? start + 1 : start] ?? 0;
    if (first < ZERO || first > ZERO + 9) return ODD;
    if (scale === 0) return bigDigits(bytes, start, end);
    const point = end - scale - 1;
    if (point < start || bytes[point] !== DOT) throw malformed();
    if (end - start <= 15) {
      const isNegative = bytes[start] === MINUS;
      const whole = digits(bytes, isNegative ? start + 1 : start, point);
      const unscaled = whole * 10 ** scale + digits(bytes, point + 1, end);
      return BigInt(isNegative ? -unscaled : unscaled);
    }
    return wholeNumber(bytes.toString('latin1', start, point) + bytes.toString('latin1', point + 1, end));
  };
}

/** `2024-02-29`; anything longer or shorter is a year or an infinity beyond Iceberg's readers. */
export const decodeDate: Decode = (bytes, start, end) => {
  if (end - start !== 10 || bytes[start + 4] !== MINUS) return ODD;
  return dayNumber(bytes, start);
};

/** `23:59:59[.999999]`. */
export const decodeTime: Decode = (bytes, start, end) => {
  if (end - start < 8) throw malformed();
  const micros = microsOfDay(bytes, start, end);
  return micros >= 86_400_000_000 ? ODD : BigInt(micros);
};

/** `2024-02-29 23:59:59[.999999]`. */
export const decodeTimestamp: Decode = (bytes, start, end) => {
  if (end - start < 19 || bytes[start + 4] !== MINUS || (bytes[end - 1] ?? 0) > ZERO + 9) return ODD;
  return instant(bytes, start, end);
};

/** The same with `+00`, since the connection's TimeZone is UTC. */
export const decodeTimestamptz: Decode = (bytes, start, end) => {
  if (end - start < 22 || bytes[start + 4] !== MINUS || (bytes[end - 1] ?? 0) > ZERO + 9) return ODD;
  if (bytes[end - 3] !== PLUS || bytes[end - 2] !== ZERO || bytes[end - 1] !== ZERO) throw malformed();
  return instant(bytes, start, end - 3);
};

/** `\x` and hex digits. */
export const decodeBytea: Decode = (bytes, start, end) => {
  const length = (end - start - 2) / 2;
  if (!Number.isInteger(length) || length < 0 || bytes[start] !== 92 || bytes[start + 1] !== 120) throw malformed();
  const value = new Uint8Array(length);
  let seen = 0;
  for (let index = 0, at = start + 2; index < length; index++, at += 2) {
    const high = hexDigits[bytes[at] as number] as number;
    const low = hexDigits[bytes[at + 1] as number] as number;
    seen |= high | low;
    value[index] = (high << 4) | low;
  }
  if (seen < 0) throw malformed();
  return value;
};

/** −1 for what is none. */
const hexDigits = Int8Array.from({ length: 256 }, (_, byte) => '0123456789abcdef'.indexOf(String.fromCharCode(byte)));

/** The last character of a number in floating point; Infinity ends in y. */
function isNumeral(byte: number | undefined): boolean {
  return byte !== undefined && ((byte >= ZERO && byte <= ZERO + 9) || byte === 121);
}

function wholeNumber(text: string): bigint {
  if (!/^-?\d+$/.test(text)) throw malformed();
  return BigInt(text);
}

/** Exact up to 15 digits. */
function digits(bytes: Buffer, start: number, end: number): number {
  if (start >= end) throw malformed();
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit >>> 0 > 9) throw malformed();
    value = value * 10 + digit;
  }
  return value;
}

function bigDigits(bytes: Buffer, start: number, end: number): bigint {
  if (end - start > 15) return wholeNumber(bytes.toString('latin1', start, end));
  const isNegative = bytes[start] === MINUS;
  const magnitude = digits(bytes, isNegative ? start + 1 : start, end);
  return BigInt(isNegative ? -magnitude : magnitude);
}

function instant(bytes: Buffer, start: number, end: number): bigint | typeof ODD {
  if (bytes[start + 10] !== 32) return ODD;
  // Below 9e15 for years up to 2255, so a double holds it; beyond, the sum is made in bigint.
  const days = dayNumber(bytes, start);
  const micros = microsOfDay(bytes, start + 11, end);
  if (days > -100_000 && days < 104_000) return BigInt(days * 86_400_000_000 + micros);
  return BigInt(days) * 86_400_000_000n + BigInt(micros);
}

function microsOfDay(bytes: Buffer, start: number, end: number): number {
  const isMarked = bytes[start + 2] === COLON && bytes[start + 5] === COLON;
  if (!isMarked || (end > start + 8 && (bytes[start + 8] !== DOT || end > start + 15))) throw malformed();
  const hours = digits(bytes, start, start + 2);
  const minutes = digits(bytes, start + 3, start + 5);
  const rest = digits(bytes, start + 6, start + 8);
  if (hours > 24 || minutes > 59 || rest > 59) throw malformed();
  const seconds = hours * 3600 + minutes * 60 + rest;
  let fraction = 0;
  if (end > start + 9) {
    fraction = digits(bytes, start + 9, end);
    for (let places = end - start - 9; places < 6; places++) fraction *= 10;
  }
  return seconds * 1_000_000 + fraction;
}

/** Days since 1970-01-01 of a `YYYY-MM-DD` (days_from_civil, howardhinnant.github.io/date_algorithms.html). */
function dayNumber(bytes: Buffer, start: number): number {
  const month = digits(bytes, start + 5, start + 7);
  const day = digits(bytes, start + 8, start + 10);
  if (month < 1 || month > 12 || day < 1 || day > 31 || bytes[start + 7] !== MINUS) throw malformed();
  const year = digits(bytes, start, start + 4) - (month <= 2 ? 1 : 0);
  const era = Math.floor(year / 400);
  const yearOfEra = year - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
