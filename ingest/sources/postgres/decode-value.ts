import { DailiesError } from '#catalog/error.ts';
import type { Value } from '#catalog/schemas/schema.ts';

/**
 * Decodes a value from the text that Postgres's output function wrote (DateStyle ISO, TimeZone UTC, bytea_output hex),
 * bytes `start` … `end`, into the form of `catalog/schemas/schema.ts`. ODD where the type cannot carry this value: ±infinity
 * dates, BC and five-digit years, 24:00, NaN in a numeric.
 */
export type Decode = (bytes: Buffer, start: number, end: number) => Value | typeof ODD;

export const ODD: unique symbol = Symbol('odd');

export function malformed(): DailiesError {
  return new DailiesError('source_protocol', 'The server sent a message or a value that is not of its own form.');
}

const ZERO = 48;
const MINUS = 45;
const DOT = 46;

export const decodeText: Decode = (bytes, start, end) => bytes.toString('utf8', start, end);

export const decodeBoolean: Decode = (bytes, start) => bytes[start] === 116;

export const decodeInt: Decode = (bytes, start, end) => {
  const isNegative = bytes[start] === MINUS;
  const magnitude = digits(bytes, isNegative ? start + 1 : start, end);
  return isNegative ? -magnitude : magnitude;
};

export const decodeLong: Decode = (bytes, start, end) => bigDigits(bytes, start, end);

export const decodeDouble: Decode = (bytes, start, end) => Number(bytes.toString('latin1', start, end));

export const decodeFloat: Decode = (bytes, start, end) => Math.fround(Number(bytes.toString('latin1', start, end)));

/** A numeric(p, s) prints exactly `scale` decimals; without its point it is the unscaled value. */
export function decimalDecoder(scale: number): Decode {
  return (bytes, start, end) => {
    const first = bytes[bytes[start] === MINUS ? start + 1 : start] ?? 0;
    if (first < ZERO || first > ZERO + 9) return ODD;
    if (scale === 0) return bigDigits(bytes, start, end);
    const point = end - scale - 1;
    if (bytes[point] !== DOT) return ODD;
    if (end - start <= 15) {
      const isNegative = bytes[start] === MINUS;
      const whole = digits(bytes, isNegative ? start + 1 : start, point);
      const unscaled = whole * 10 ** scale + digits(bytes, point + 1, end);
      return BigInt(isNegative ? -unscaled : unscaled);
    }
    return BigInt(bytes.toString('latin1', start, point) + bytes.toString('latin1', point + 1, end));
  };
}

/** `2024-02-29`; anything longer or shorter is a year or an infinity beyond Iceberg's readers. */
export const decodeDate: Decode = (bytes, start, end) => {
  if (end - start !== 10 || bytes[start + 4] !== MINUS) return ODD;
  return dayNumber(bytes, start);
};

/** `23:59:59[.999999]`. */
export const decodeTime: Decode = (bytes, start, end) => {
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
  return instant(bytes, start, end - 3);
};

/** `\x` and hex digits. */
export const decodeBytea: Decode = (bytes, start, end) => {
  const length = (end - start - 2) >> 1;
  const value = new Uint8Array(length);
  for (let index = 0, at = start + 2; index < length; index++, at += 2) {
    value[index] = (hexDigit(bytes[at] ?? 0) << 4) | hexDigit(bytes[at + 1] ?? 0);
  }
  return value;
};

function hexDigit(byte: number): number {
  return byte <= 57 ? byte - ZERO : (byte | 32) - 87;
}

/** Exact up to 15 digits. */
function digits(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value = value * 10 + (bytes[at] as number) - ZERO;
  return value;
}

function bigDigits(bytes: Buffer, start: number, end: number): bigint {
  if (end - start > 15) return BigInt(bytes.toString('latin1', start, end));
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
  const seconds =
    digits(bytes, start, start + 2) * 3600 +
    digits(bytes, start + 3, start + 5) * 60 +
    digits(bytes, start + 6, start + 8);
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
  const year = digits(bytes, start, start + 4) - (month <= 2 ? 1 : 0);
  const era = Math.floor(year / 400);
  const yearOfEra = year - era * 400;
  const dayOfYear =
    Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + digits(bytes, start + 8, start + 10) - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
