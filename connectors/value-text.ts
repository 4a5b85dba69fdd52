import type { FieldType, Value } from '#catalog/schemas/schema.ts';

/** 1230n at scale 2 is `12.30`. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 0) return unscaled.toString();
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Days since 1970-01-01 as ISO 8601, proleptic Gregorian. */
export function isoDate(days: number): string {
  const date = new Date(days * 86_400_000);
  if (Number.isNaN(date.getTime())) return `${days} days since 1970-01-01`;
  return date.toISOString().split('T')[0] ?? '';
}

/** Microseconds since midnight as hh:mm:ss, with a fraction where there is one. */
export function isoTime(micros: bigint): string {
  const seconds = micros / 1_000_000n;
  const two = (value: bigint) => value.toString().padStart(2, '0');
  const fraction = micros % 1_000_000n;
  const tail = fraction === 0n ? '' : `.${fraction.toString().padStart(6, '0').replace(/0+$/, '')}`;
  return `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}${tail}`;
}

/** Microseconds since 1970-01-01T00:00:00 as ISO 8601, with Z where it is an instant. */
export function isoTimestamp(micros: bigint, isInstant: boolean): string {
  const perDay = 86_400_000_000n;
  const days = micros >= 0n ? micros / perDay : -((-micros + perDay - 1n) / perDay);
  return `${isoDate(Number(days))}T${isoTime(micros - days * perDay)}${isInstant ? 'Z' : ''}`;
}

/** Nanoseconds since 1970-01-01T00:00:00 in the same form. */
export function isoNanos(nanos: bigint, isInstant: boolean): string {
  const below = ((nanos % 1000n) + 1000n) % 1000n;
  const text = isoTimestamp((nanos - below) / 1000n, false);
  if (below === 0n) return `${text}${isInstant ? 'Z' : ''}`;
  const [whole = '', fraction = ''] = text.split('.');
  return `${whole}.${fraction.padEnd(6, '0')}${below.toString().padStart(3, '0').replace(/0+$/, '')}${isInstant ? 'Z' : ''}`;
}

/** A struct, list or map as JSON; numbers that a JSON reader would bend are texts in it. */
export function nestedJson(value: Value, type: FieldType): string {
  return JSON.stringify(plain(value, type));
}

function plain(value: Value, type: FieldType): unknown {
  if (value === null) return null;
  switch (type.kind) {
    case 'struct': {
      const values = value as readonly Value[];
      return Object.fromEntries(
        type.fields.map((field, index) => [field.name, plain(values[index] ?? null, field.type)]),
      );
    }
    case 'list':
      return (value as readonly Value[]).map((element) => plain(element, type.element));
    case 'map':
      return (value as readonly (readonly Value[])[]).map(([key = null, item = null]) => [
        plain(key, type.key),
        plain(item, type.value),
      ]);
    case 'long': {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : String(value);
    }
    case 'float':
    case 'double':
      return Number.isFinite(Number(value)) ? Number(value) : String(value);
    case 'decimal':
      return decimalText(BigInt(value as bigint | number), type.scale);
    case 'date':
      return isoDate(Number(value));
    case 'time':
      return isoTime(BigInt(value as bigint));
    case 'timestamp':
    case 'timestamptz':
      return isoTimestamp(BigInt(value as bigint), type.kind === 'timestamptz');
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return isoNanos(BigInt(value as bigint), type.kind === 'timestamptz_ns');
    case 'binary':
    case 'fixed':
      return Buffer.from(value as Uint8Array).toString('hex');
    case 'boolean':
    case 'int':
    case 'string':
    case 'uuid':
      return value;
    default:
      return type satisfies never;
  }
}
