import { DuckDBDateValue, type DuckDBValue, type Json } from '@duckdb/node-api';
import { fromDuckdb } from '../iceberg/files/duckdb-values.ts';
import type { FieldType, Value } from '../schemas/schema.ts';

/** A cell as it travels in JSON. */
export type JsonCell = Json;

/**
 * A function that turns DuckDB's values of a column into JSON without loss: 64-bit integers and decimals as text, times
 * as ISO 8601 with their microseconds (UTC as `Z`), bytes as hexadecimal text, NaN and the infinities as `NaN`,
 * `Infinity`, `-Infinity`, lists as arrays, structs as objects.
 */
export function jsonFromDuckdb(type: FieldType): (value: DuckDBValue) => JsonCell {
  const read = fromDuckdb(type);
  const write = jsonOf(type);
  return (value) => write(read(value));
}

/** The same for values as events carry them. */
export function jsonOf(type: FieldType): (value: Value) => JsonCell {
  const write = notNullJsonOf(type);
  return (value) => (value === null ? null : write(value));
}

function notNullJsonOf(type: FieldType): (value: Value) => JsonCell {
  switch (type.kind) {
    case 'boolean':
    case 'int':
    case 'string':
    case 'uuid':
      return (value) => value as JsonCell;
    case 'float':
    case 'double':
      return (value) => (Number.isFinite(value) ? (value as number) : String(value));
    case 'long':
      return String;
    case 'decimal':
      return (value) => decimalText(value as bigint, type.scale);
    case 'date':
      return (value) => dateText(value as number);
    case 'time':
      return (value) => timeText(value as bigint);
    case 'timestamp':
      return (value) => timestampText(value as bigint);
    case 'timestamptz':
      return (value) => timestampText(value as bigint, 'Z');
    case 'timestamp_ns':
      return (value) => nanosText(value as bigint);
    case 'timestamptz_ns':
      return (value) => nanosText(value as bigint, 'Z');
    case 'binary':
    case 'fixed':
      return (value) => Buffer.from(value as Uint8Array).toString('hex');
    case 'struct': {
      const fields = type.fields.map((field) => ({ name: field.name, write: jsonOf(field.type) }));
      return (value) =>
        Object.fromEntries(fields.map((field, index) => [field.name, field.write((value as Value[])[index] ?? null)]));
    }
    case 'list': {
      const write = jsonOf(type.element);
      return (value) => (value as Value[]).map(write);
    }
    case 'map': {
      const writeKey = jsonOf(type.key);
      const writeItem = jsonOf(type.value);
      return (value) => (value as Value[][]).map(([key = null, item = null]) => [writeKey(key), writeItem(item)]);
    }
  }
}

function decimalText(unscaled: bigint, scale: number): string {
  const sign = unscaled < 0n ? '-' : '';
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function dateText(days: number): string {
  if (days === DuckDBDateValue.PosInf.days) return 'Infinity';
  if (days === DuckDBDateValue.NegInf.days) return '-Infinity';
  const { year, month, day } = civil(days);
  return `${yearText(year)}-${two(month)}-${two(day)}`;
}

const dayMicros = 86_400_000_000n;
/** DuckDB's marks of the infinite timestamps. */
const positiveInfinity = 2n ** 63n - 1n;

function timestampText(micros: bigint, zone = ''): string {
  if (micros === positiveInfinity) return 'Infinity';
  if (micros === -positiveInfinity) return '-Infinity';
  const inDay = ((micros % dayMicros) + dayMicros) % dayMicros;
  return `${dateText(Number((micros - inDay) / dayMicros))}T${timeText(inDay)}${zone}`;
}

function nanosText(nanos: bigint, zone = ''): string {
  const below = ((nanos % 1000n) + 1000n) % 1000n;
  const text = timestampText((nanos - below) / 1000n);
  if (below === 0n) return `${text}${zone}`;
  const [whole = '', fraction = ''] = text.split('.');
  return `${whole}.${fraction.padEnd(6, '0')}${String(below).padStart(3, '0').replace(/0+$/, '')}${zone}`;
}

function timeText(micros: bigint): string {
  const seconds = Number(micros / 1_000_000n);
  const fraction = String(micros % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const whole = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return fraction === '' ? whole : `${whole}.${fraction}`;
}

/** Years outside 0000–9999 are written with a sign and six digits, as ISO 8601 agrees on. */
function yearText(year: number): string {
  if (year >= 0 && year <= 9999) return String(year).padStart(4, '0');
  return `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`;
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, chrono-compatible low-level date algorithms). */
function civil(days: number): { year: number; month: number; day: number } {
  const z = days + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1,
  };
}
