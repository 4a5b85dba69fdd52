import { DailiesError } from '../../error.ts';
import { type FieldType, isNested, typeName, type Value } from '../../schemas/schema.ts';
import { encodeDecimalBytes, encodeLong } from '../manifests/bounds.ts';
import { murmur3 } from './murmur3.ts';

/*
 * Partition transforms (iceberg.apache.org/spec, Partition Transforms): from a column's value to the value that all rows
 * of one data file share. NULL gives NULL.
 */
export type Transform =
  | { kind: 'identity' | 'year' | 'month' | 'day' | 'hour' | 'void' }
  | { kind: 'bucket'; buckets: number }
  | { kind: 'truncate'; width: number }
  /** Of a later specification: its partition values can be read and compared, but not made. */
  | { kind: 'unknown'; text: string };

export function parseTransform(text: string): Transform {
  switch (text) {
    case 'identity':
    case 'year':
    case 'month':
    case 'day':
    case 'hour':
    case 'void':
      return { kind: text };
  }
  const match = /^(bucket|truncate)\[(\d+)\]$/.exec(text);
  const parameter = Number(match?.[2]);
  if (!match || parameter < 1 || parameter > 0x7fffffff) return { kind: 'unknown', text };
  return match[1] === 'bucket' ? { kind: 'bucket', buckets: parameter } : { kind: 'truncate', width: parameter };
}

/** As metadata files name it. */
export function transformName(transform: Transform): string {
  switch (transform.kind) {
    case 'bucket':
      return `bucket[${transform.buckets}]`;
    case 'truncate':
      return `truncate[${transform.width}]`;
    case 'unknown':
      return transform.text;
    default:
      return transform.kind;
  }
}

/** The type of the transform's values, or null where it does not take columns of this type. */
export function transformResultType(transform: Transform, type: FieldType): FieldType | null {
  switch (transform.kind) {
    case 'identity':
      return isNested(type) ? null : type;
    case 'void':
      return type;
    case 'bucket':
      return isNested(type) || type.kind === 'boolean' || type.kind === 'float' || type.kind === 'double'
        ? null
        : { kind: 'int' };
    case 'truncate':
      return ['int', 'long', 'decimal', 'string', 'binary'].includes(type.kind) ? type : null;
    case 'year':
    case 'month':
      return isTimestamp(type) || type.kind === 'date' ? { kind: 'int' } : null;
    case 'day':
      // The specification says int; all writers store a date, which is the same number of days.
      return isTimestamp(type) || type.kind === 'date' ? { kind: 'date' } : null;
    case 'hour':
      return isTimestamp(type) ? { kind: 'int' } : null;
    case 'unknown':
      return null;
  }
}

/**
 * A function from a column's values to the transform's. Throws `unsupported` for a transform that we do not know,
 * `invalid` for one that does not take the type.
 */
export function transformer(transform: Transform, type: FieldType): (value: Value) => Value {
  if (transform.kind === 'unknown') {
    throw new DailiesError(
      'unsupported',
      `The partition transform "${transform.text}" is not known here; let the engine that set it write the table.`,
    );
  }
  if (!transformResultType(transform, type)) {
    throw new DailiesError(
      'invalid',
      `The partition transform ${transformName(transform)} does not take ${typeName(type)}.`,
    );
  }
  const convert = conversion(transform, type);
  return (value) => (value === null ? null : convert(value));
}

export function applyTransform(transform: Transform, type: FieldType, value: Value): Value {
  return transformer(transform, type)(value);
}

function conversion(transform: Exclude<Transform, { kind: 'unknown' }>, type: FieldType): (value: Value) => Value {
  switch (transform.kind) {
    case 'identity':
      return (value) => value;
    case 'void':
      return () => null;
    case 'bucket':
      return (value) => (bucketHash(type, value) & 0x7fffffff) % transform.buckets;
    case 'truncate':
      return (value) => truncate(type, value, transform.width);
    case 'year':
      return (value) => Math.floor(monthsOf(daysOf(type, value)) / 12);
    case 'month':
      return (value) => monthsOf(daysOf(type, value));
    case 'day':
      return (value) => daysOf(type, value);
    case 'hour':
      return (value) => Number(floorDivide(value as bigint, unitsPerSecond(type) * 3600n));
  }
}

/** The 32-bit hash that buckets are made of (spec, Appendix B). */
export function bucketHash(type: FieldType, value: Value): number {
  switch (type.kind) {
    case 'int':
    case 'long':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return murmur3(encodeLong(BigInt(value as number | bigint)));
    // As microseconds, so that a column keeps its buckets at any precision.
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return murmur3(encodeLong(floorDivide(value as bigint, 1000n)));
    case 'decimal':
      return murmur3(encodeDecimalBytes(value as bigint));
    case 'string':
      return murmur3(Buffer.from(value as string));
    case 'uuid':
      return murmur3(Buffer.from((value as string).replaceAll('-', ''), 'hex'));
    case 'binary':
    case 'fixed':
      return murmur3(value as Uint8Array);
    case 'boolean':
    case 'float':
    case 'double':
    case 'struct':
    case 'list':
    case 'map':
      throw new DailiesError('invalid', `Values of type ${typeName(type)} cannot be put into buckets.`);
  }
}

function truncate(type: FieldType, value: Value, width: number): Value {
  switch (type.kind) {
    case 'int': {
      const number = value as number;
      // Below the smallest int it wraps, as in the reference implementation.
      return (number - (((number % width) + width) % width)) | 0;
    }
    case 'long':
      return BigInt.asIntN(64, truncateInteger(value as bigint, BigInt(width)));
    case 'decimal':
      return truncateInteger(value as bigint, BigInt(width));
    case 'string':
      return truncateString(value as string, width);
    case 'binary':
      return (value as Uint8Array).slice(0, width);
    default:
      throw new DailiesError('invalid', `Values of type ${typeName(type)} cannot be truncated.`);
  }
}

function truncateInteger(value: bigint, width: bigint): bigint {
  return value - (((value % width) + width) % width);
}

/** The first characters, counted in code points. */
export function truncateString(text: string, codePoints: number): string {
  let end = 0;
  for (let count = 0; count < codePoints && end < text.length; count++) {
    end += (text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1;
  }
  return text.slice(0, end);
}

/** Whole months from 1970-01 to the day's, proleptic Gregorian; for any 32-bit day, which a Date cannot hold. */
function monthsOf(days: number): number {
  // Counted from 0000-03-01, so that a leap day is the last of its year; an era is 400 years.
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  return (era * 400 + yearOfEra - 1970) * 12 + monthFromMarch + 2;
}

function daysOf(type: FieldType, value: Value): number {
  if (type.kind === 'date') return value as number;
  return Number(floorDivide(value as bigint, unitsPerSecond(type) * 86_400n));
}

function unitsPerSecond(type: FieldType): bigint {
  return type.kind === 'timestamp_ns' || type.kind === 'timestamptz_ns' ? 1_000_000_000n : 1_000_000n;
}

function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
}

function isTimestamp(type: FieldType): boolean {
  return ['timestamp', 'timestamptz', 'timestamp_ns', 'timestamptz_ns'].includes(type.kind);
}
