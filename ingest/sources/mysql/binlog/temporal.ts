import type { ByteReader } from './byte-reader.ts';

/** Bytes that a fraction of a second takes. */
export function fractionBytes(scale: number): number {
  return (scale + 1) >> 1;
}

/** A fraction in hundredths, ten-thousandths or millionths, by its bytes, to microseconds. */
const microsPerUnit = [0, 10_000, 100, 1];

/** Days since 1970-01-01 of a day of the proleptic Gregorian calendar in the years 1 to 9999; null for what is none. */
export function calendarDay(year: number, month: number, day: number): number | null {
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return null;
  // Months counted from March, so that the odd day comes last (Howard Hinnant, days_from_civil).
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  return era * 146_097 + yearOfEra * 365 + (yearOfEra >> 2) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** DATE: 3 bytes, little-endian: year × 2^9 + month × 2^5 + day. */
export function readDate(reader: ByteReader): number | string {
  return dateOf(reader.u24());
}

export function dateOf(packed: number): number | string {
  const [year, month, day] = [packed >> 9, (packed >> 5) & 15, packed & 31];
  return calendarDay(year, month, day) ?? `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
}

/** Big-endian, as MySQL 5.6 and later hold times; `bytes` ≤ 6. */
function readBig(reader: ByteReader, bytes: number): number {
  return bytes === 0 ? 0 : reader.bytes.readUIntBE(reader.skip(bytes), bytes);
}

/**
 * DATETIME (WL#946), big-endian: 1 bit, set · 17 bits year × 13 + month · 5 bits day · 5 bits hour · 6 bits minute · 6 bits
 * second, then the fraction.
 */
export function readDatetime(reader: ByteReader, scale: number): bigint | string {
  const packed = readBig(reader, 5);
  const bytes = fractionBytes(scale);
  const micros = readBig(reader, bytes) * (microsPerUnit[bytes] ?? 0);
  const date = Math.floor(packed / 2 ** 17) & 0x3fffff;
  const time = packed % 2 ** 17;
  const yearMonth = date >> 5;
  return datetimeOf(
    Math.floor(yearMonth / 13),
    yearMonth % 13,
    date & 31,
    [time >> 12, (time >> 6) & 63, time & 63],
    micros,
    scale,
  );
}

export function datetimeOf(
  year: number,
  month: number,
  day: number,
  [hour, minute, second]: [number, number, number],
  micros: number,
  scale: number,
): bigint | string {
  const days = calendarDay(year, month, day);
  if (days !== null && hour < 24 && minute < 60 && second < 60 && micros < 1_000_000) {
    return BigInt(days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000n + BigInt(micros);
  }
  const time = `${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}${fractionText(micros, scale)}`;
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)} ${time}`;
}

/** TIMESTAMP: seconds since 1970 UTC, 4 bytes, big-endian and without sign (MariaDB's reach 2106), then the fraction. All zero is the zero date. */
export function readTimestamp(reader: ByteReader, scale: number): bigint | string {
  const seconds = readBig(reader, 4);
  const bytes = fractionBytes(scale);
  const micros = readBig(reader, bytes) * (microsPerUnit[bytes] ?? 0);
  if (seconds === 0 && micros === 0) return `0000-00-00 00:00:00${fractionText(0, scale)}`;
  return BigInt(seconds) * 1_000_000n + BigInt(micros);
}

/**
 * TIME (WL#946), big-endian, as one number with its fraction, over an offset of half its range: 1 bit · 10 bits hour · 6
 * bits minute · 6 bits second · fraction.
 */
export function readTime(reader: ByteReader, scale: number): bigint {
  const bytes = fractionBytes(scale);
  const units = 2 ** (8 * bytes);
  const value = readBig(reader, 3 + bytes) - 0x800000 * units;
  const size = Math.abs(value);
  const whole = Math.floor(size / units);
  const seconds = (whole >> 12) * 3_600 + ((whole >> 6) & 63) * 60 + (whole & 63);
  const micros = BigInt(seconds * 1_000_000 + (size % units) * (microsPerUnit[bytes] ?? 0));
  return value < 0 ? -micros : micros;
}

export function fractionText(micros: number, scale: number): string {
  return scale === 0 ? '' : `.${pad(micros, 6).slice(0, scale)}`;
}

export function pad(value: number, length: number): string {
  return String(value).padStart(length, '0');
}
