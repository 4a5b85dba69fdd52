import { DailiesError } from '../../error.ts';
import { type FieldType, isNested, typeName, type Value } from '../../schemas/schema.ts';

/*
 * Default values of format 3 in their JSON form (iceberg.apache.org/spec, Appendix D, JSON single-value serialization):
 * numbers as numbers, decimals and everything of time as ISO texts, bytes in hex.
 */
const unitsPerSecond = { micros: 1_000_000n, nanos: 1_000_000_000n } as const;

/** The JSON form of a value that is not NULL. Throws `unsupported` for nested types, which have no defaults of their own. */
export function encodeDefault(type: FieldType, value: Value): unknown {
  switch (type.kind) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'float':
    case 'double':
    case 'string':
    case 'uuid':
      return value;
    case 'decimal':
      return decimalText(value as bigint, type.scale);
    case 'date':
      return dayText(BigInt(value as number));
    case 'time':
      return timeText(value as bigint, 'micros');
    case 'timestamp':
      return timestampText(value as bigint, 'micros');
    case 'timestamptz':
      return `${timestampText(value as bigint, 'micros')}+00:00`;
    case 'timestamp_ns':
      return timestampText(value as bigint, 'nanos');
    case 'timestamptz_ns':
      return `${timestampText(value as bigint, 'nanos')}+00:00`;
    case 'binary':
    case 'fixed':
      return Buffer.from(value as Uint8Array).toString('hex');
    case 'struct':
    case 'list':
    case 'map':
      throw new DailiesError('unsupported', `Columns of type ${typeName(type)} have no default values.`);
  }
}

/**
 * The value of a JSON form; null for none, and for structs, whose fields have their own. `column` is for the error: throws
 * `table_corrupt` where the text is not one of the type's.
 */
export function decodeDefault(type: FieldType, json: unknown, column: string): Value {
  if (json === null || json === undefined || isNested(type)) return null;
  const value = parseDefault(type, json);
  if (value === null) {
    throw new DailiesError('table_corrupt', `The default of column "${column}" is not a value of ${typeName(type)}.`);
  }
  return value;
}

function parseDefault(type: Exclude<FieldType, { kind: 'struct' | 'list' | 'map' }>, json: unknown): Value {
  switch (type.kind) {
    case 'boolean':
      return typeof json === 'boolean' ? json : null;
    case 'int':
      return Number.isInteger(json) ? (json as number) : null;
    case 'long':
      return typeof json === 'bigint' || Number.isInteger(json) ? BigInt(json as number | bigint) : null;
    case 'float':
    case 'double':
      return typeof json === 'number' || typeof json === 'bigint' ? Number(json) : null;
  }
  if (typeof json !== 'string') return null;
  switch (type.kind) {
    case 'string':
      return json;
    case 'uuid':
      return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(json) ? json.toLowerCase() : null;
    case 'decimal':
      return parseDecimal(json, type.scale);
    case 'date': {
      const days = parseDay(json);
      return days === null ? null : Number(days);
    }
    case 'time':
      return parseTime(json, 'micros');
    case 'timestamp':
    case 'timestamptz':
      return parseTimestamp(json, 'micros', type.kind === 'timestamptz');
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return parseTimestamp(json, 'nanos', type.kind === 'timestamptz_ns');
    case 'binary':
    case 'fixed': {
      const bytes = /^([0-9a-f]{2})*$/i.test(json) ? Uint8Array.from(Buffer.from(json, 'hex')) : null;
      return bytes && (type.kind === 'binary' || bytes.length === type.length) ? bytes : null;
    }
  }
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
  return unscaled < 0n ? `-${text}` : text;
}

function parseDecimal(text: string, scale: number): bigint | null {
  const match = /^(-?\d+)(?:\.(\d*))?$/.exec(text);
  const fraction = match?.[2] ?? '';
  return match && fraction.length <= scale ? BigInt(`${match[1]}${fraction.padEnd(scale, '0')}`) : null;
}

function dayText(days: bigint): string {
  const date = new Date(Number(days) * 86_400_000);
  const text = Number.isNaN(date.getTime()) ? '' : (date.toISOString().split('T')[0] ?? '');
  if (!/^\d{4}-/.test(text)) throw new DailiesError('unsupported', 'A default value has a year outside 0000 to 9999.');
  return text;
}

function parseDay(text: string): bigint | null {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return Number.isNaN(time) ? null : BigInt(time / 86_400_000);
}

function timeText(units: bigint, unit: keyof typeof unitsPerSecond): string {
  const perSecond = unitsPerSecond[unit];
  const seconds = Number(units / perSecond);
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const fraction = String(units % perSecond).padStart(unit === 'micros' ? 6 : 9, '0');
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}.${fraction}`;
}

function parseTime(text: string, unit: keyof typeof unitsPerSecond): bigint | null {
  const digits = unit === 'micros' ? 6 : 9;
  const match = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?$/.exec(text);
  const fraction = (match?.[4] ?? '').padEnd(digits, '0');
  if (!match || /[^0]/.test(fraction.slice(digits))) return null;
  const seconds = Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3] ?? 0);
  return BigInt(seconds) * unitsPerSecond[unit] + BigInt(fraction.slice(0, digits));
}

function timestampText(units: bigint, unit: keyof typeof unitsPerSecond): string {
  const perDay = unitsPerSecond[unit] * 86_400n;
  const inDay = ((units % perDay) + perDay) % perDay;
  return `${dayText((units - inDay) / perDay)}T${timeText(inDay, unit)}`;
}

function parseTimestamp(text: string, unit: keyof typeof unitsPerSecond, isInstant: boolean): bigint | null {
  const match = /^([\d-]+)T([\d:.]+)(Z|[+-]\d\d:\d\d)?$/.exec(text);
  if (!match || isInstant !== (match[3] !== undefined)) return null;
  const days = parseDay(match[1] ?? '');
  const time = parseTime(match[2] ?? '', unit);
  if (days === null || time === null) return null;
  const zone = /^([+-])(\d\d):(\d\d)$/.exec(match[3] ?? '');
  const minutes = zone ? (Number(zone[2]) * 60 + Number(zone[3])) * (zone[1] === '-' ? -1 : 1) : 0;
  return days * unitsPerSecond[unit] * 86_400n + time - BigInt(minutes) * 60n * unitsPerSecond[unit];
}
