import type { FieldType } from '../../schemas/schema.ts';

/** Bounds of texts keep this many code points, those of bytes as many bytes, as other writers do. */
const boundLength = 16;

/**
 * A column bound in Iceberg's binary form (spec, Appendix D), from the text that DuckDB gives for a file's minimum or
 * maximum. Null where none can be given safely: bounds are optional, wrong ones lose rows.
 */
export function encodeBound(type: FieldType, text: string, side: 'lower' | 'upper'): Uint8Array | null {
  switch (type.kind) {
    case 'boolean':
      return text === 'true' ? Uint8Array.of(1) : text === 'false' ? Uint8Array.of(0) : null;
    case 'int':
    case 'date': {
      const value = type.kind === 'int' ? readInteger(text) : readDays(text);
      return value === null ? null : encodeInt(Number(value));
    }
    case 'long':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
    case 'timestamp_ns':
    case 'timestamptz_ns': {
      const value = readLong(type.kind, text);
      return value === null ? null : encodeLong(value);
    }
    case 'float':
    case 'double':
      return encodeFloating(type.kind, text, side);
    case 'decimal':
      return encodeDecimal(text, type.scale);
    case 'string':
      return truncateText(text, side);
    case 'uuid':
      return /^[0-9a-f-]{36}$/.test(text) ? Buffer.from(text.replaceAll('-', ''), 'hex') : null;
    case 'binary':
    case 'fixed':
      return /^([0-9a-f]{2})*$/i.test(text) ? truncateBytes(Buffer.from(text, 'hex'), side) : null;
    case 'struct':
    case 'list':
    case 'map':
      return null;
  }
}

export function encodeLong(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
}

function encodeInt(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function readInteger(text: string): bigint | null {
  return /^-?\d+$/.test(text) ? BigInt(text) : null;
}

function readLong(
  kind: 'long' | 'time' | 'timestamp' | 'timestamptz' | 'timestamp_ns' | 'timestamptz_ns',
  text: string,
): bigint | null {
  if (kind === 'long') return readInteger(text);
  if (kind === 'time') return readTimeOfDay(text, 6);
  const digits = kind === 'timestamp' || kind === 'timestamptz' ? 6 : 9;
  const match = /^(\d{4}-\d\d-\d\d) ([\d:.]+)(?:\+00)?$/.exec(text);
  const days = match?.[1] === undefined ? null : readDays(match[1]);
  const time = match?.[2] === undefined ? null : readTimeOfDay(match[2], digits);
  return days === null || time === null ? null : days * 86_400n * 10n ** BigInt(digits) + time;
}

function readDays(text: string): bigint | null {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return null;
  return BigInt(Date.parse(`${text}T00:00:00Z`) / 86_400_000);
}

/** In units of the last of so many digits of a second. */
function readTimeOfDay(text: string, digits: number): bigint | null {
  const match = /^(\d\d):(\d\d):(\d\d)(?:\.(\d+))?$/.exec(text);
  const fraction = match?.[4] ?? '';
  if (!match || fraction.length > digits) return null;
  const seconds = Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3]);
  return BigInt(seconds) * 10n ** BigInt(digits) + BigInt(fraction.padEnd(digits, '0'));
}

function encodeFloating(kind: 'float' | 'double', text: string, side: 'lower' | 'upper'): Uint8Array | null {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) return null;
  // The two zeros are equal to DuckDB but ordered to Iceberg: take the outer one.
  const outer = value === 0 ? (side === 'lower' ? -0 : 0) : value;
  const bytes = Buffer.alloc(kind === 'float' ? 4 : 8);
  if (kind === 'float') bytes.writeFloatLE(outer);
  else bytes.writeDoubleLE(outer);
  return bytes;
}

function encodeDecimal(text: string, scale: number): Uint8Array | null {
  const match = /^(-?)(\d*)(?:\.(\d+))?$/.exec(text);
  if (!match) return null;
  const fraction = (match[3] ?? '').padEnd(scale, '0');
  if (fraction.length !== scale) return null;
  let value = BigInt(`${match[2]}${fraction}` || '0');
  if (match[1] === '-') value = -value;
  return encodeDecimalBytes(value);
}

/** An unscaled decimal as the fewest bytes of its two's complement, big-endian. */
export function encodeDecimalBytes(value: bigint): Uint8Array {
  let length = 1;
  while (BigInt.asIntN(length * 8, value) !== value) length += 1;
  const hex = BigInt.asUintN(length * 8, value)
    .toString(16)
    .padStart(length * 2, '0');
  return Buffer.from(hex, 'hex');
}

/** A text cut to so many code points, in UTF-8; the upper one is above all that begin so. Null where none is. */
export function truncateText(text: string, side: 'lower' | 'upper', length = boundLength): Uint8Array | null {
  // A code point takes two units at the most: the rest of a long text is not looked at.
  const points = [...text.slice(0, length * 2 + 2)];
  if (points.length <= length) return Buffer.from(text);
  const kept = points.slice(0, length);
  if (side === 'lower') return Buffer.from(kept.join(''));
  while (kept.length > 0) {
    const next = nextCodePoint(kept.pop() ?? '');
    if (next !== null) return Buffer.from(kept.join('') + next);
  }
  return null;
}

/** Bytes cut to where a bound is cut; the upper one is above all that begin so. Null where none is. */
export function truncateBytes(bytes: Uint8Array, side: 'lower' | 'upper', length = boundLength): Uint8Array | null {
  if (bytes.length <= length) return bytes;
  const kept = Uint8Array.from(bytes.subarray(0, length));
  if (side === 'lower') return kept;
  for (let end = kept.length; end > 0; end--) {
    const last = kept[end - 1] ?? 0;
    if (last === 0xff) continue;
    kept[end - 1] = last + 1;
    return kept.subarray(0, end);
  }
  return null;
}

function nextCodePoint(character: string): string | null {
  const next = (character.codePointAt(0) ?? 0) + 1;
  if (next > 0x10ffff) return null;
  return String.fromCodePoint(next >= 0xd800 && next <= 0xdfff ? 0xe000 : next);
}
