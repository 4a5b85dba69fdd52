import type { Value } from '#catalog/schemas/schema.ts';

/** A value that its column's type cannot carry for every reader, as the server prints it. */
export class OddText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const dayMicros = 86_400_000_000n;
const ZERO = 48;
const COLON = 58;
const MINUS = 45;

/** `2024-02-29`, as days since 1970-01-01. Zeros in place of year, month or day, and days that no month has, are odd. */
export function dateFromText(bytes: Buffer): Value | OddText {
  return dayOf(bytes) ?? new OddText(bytes.toString('latin1'));
}

/** `2024-02-29 23:59:59[.999999]`, as microseconds since 1970-01-01T00:00:00. */
export function datetimeFromText(bytes: Buffer): Value | OddText {
  const day = dayOf(bytes);
  if (day === null) return new OddText(bytes.toString('latin1'));
  const micros = day * 86_400_000_000 + clock(bytes, 11, bytes.length);
  // Beyond 2^53 a double no longer holds every microsecond.
  if (Number.isSafeInteger(micros)) return BigInt(micros);
  return BigInt(day) * dayMicros + BigInt(clock(bytes, 11, bytes.length));
}

/** `[-]838:59:59[.999999]`, as microseconds since midnight; what is no time of a day is odd. */
export function timeFromText(bytes: Buffer): Value | OddText {
  if (bytes[0] === MINUS || bytes[2] !== COLON) return new OddText(bytes.toString('latin1'));
  const micros = BigInt(clock(bytes, 0, bytes.length));
  return micros < dayMicros ? micros : new OddText(bytes.toString('latin1'));
}

/** The same for what the log holds: microseconds of any sign and size, of a column with `scale` digits of a second's fraction. */
export function timeFromMicros(micros: bigint, scale: number): Value | OddText {
  return micros >= 0n && micros < dayMicros ? micros : new OddText(timeText(micros, scale));
}

/** As the server prints a TIME(scale). */
export function timeText(micros: bigint, scale: number): string {
  const magnitude = micros < 0n ? -micros : micros;
  const seconds = magnitude / 1_000_000n;
  const fraction = String(magnitude % 1_000_000n).padStart(6, '0');
  const two = (value: bigint) => String(value).padStart(2, '0');
  const text = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`;
  return `${micros < 0n ? '-' : ''}${text}${scale > 0 ? `.${fraction.slice(0, scale)}` : ''}`;
}

/** Days of the `YYYY-MM-DD` that `bytes` begin with; null where it is no day of the calendar, or before year 1. */
function dayOf(bytes: Buffer): number | null {
  const year = digits(bytes, 0, 4);
  const month = digits(bytes, 5, 7);
  const day = digits(bytes, 8, 10);
  if (year < 1 || month < 1 || day < 1 || month > 12) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCDate() === day ? date.getTime() / 86_400_000 : null;
}

/** `HH:MM:SS[.ffffff]` in microseconds. */
function clock(bytes: Buffer, start: number, end: number): number {
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

function digits(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value = value * 10 + (bytes[at] as number) - ZERO;
  return value;
}
