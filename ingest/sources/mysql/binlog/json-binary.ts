import { ByteReader } from './byte-reader.ts';
import { decimalShape, decimalText, readDecimal } from './decimal.ts';
import { doubleText } from './double-text.ts';
import { malformed } from './protocol-error.ts';
import { pad } from './temporal.ts';

/** A JSON document: a scalar as its text, an array, an object with its members in the server's order. */
export type JsonTree = string | JsonTree[] | Map<string, JsonTree>;

/** As deep as the server lets documents be. */
const maxDepth = 100;
const literals = ['null', 'true', 'false'];

/**
 * MySQL's binary JSON (sql-common/json_binary.h), little-endian; offsets count from the container's first byte after its
 * type:
 *
 *     document   Int8 type · value
 *     container  count · bytes · keys: (offset · Int16 length) … · values: (Int8 type · offset or the value itself) …
 *     type       0/1 object, 2/3 array (numbers of 2 or, if large, 4 bytes) · 4 literal · 5 Int16 · 6 UInt16 · 7 Int32
 *                8 UInt32 · 9 Int64 · a UInt64 · b double · c text · f another type's value: Int8 type · length · bytes
 *
 * Literals and Int16, in large containers Int32 as well, stand where others have their offset. No bytes at all are null.
 */
export function readJson(bytes: Buffer): JsonTree {
  if (bytes.length === 0) return 'null';
  return new JsonBinary(bytes).read(bytes.readUInt8(0), 1, 0);
}

class JsonBinary {
  readonly #bytes: Buffer;
  /** Every member takes at least three bytes: more of them is a document that contains itself. */
  #left: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#left = bytes.length;
  }

  read(type: number, at: number, depth: number): JsonTree {
    const reader = new ByteReader(this.#bytes, Math.min(at, this.#bytes.length));
    switch (type) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#container(type <= 1, (type & 1) === 1, reader, depth + 1);
      case 4:
        return literal(reader.u8());
      case 5:
        return String(this.#bytes.readInt16LE(reader.skip(2)));
      case 6:
        return String(reader.u16());
      case 7:
        return String(this.#bytes.readInt32LE(reader.skip(4)));
      case 8:
        return String(reader.u32());
      case 9:
        return String(this.#bytes.readBigInt64LE(reader.skip(8)));
      case 10:
        return String(reader.u64());
      case 11:
        return jsonDouble(this.#bytes.readDoubleLE(reader.skip(8)));
      case 12:
        return JSON.stringify(reader.utf8(readLength(reader)));
      case 15: {
        const kind = reader.u8();
        return opaque(kind, reader.take(readLength(reader)));
      }
      default:
        throw malformed('a JSON value is of an unknown kind', { type });
    }
  }

  #container(isObject: boolean, isLarge: boolean, reader: ByteReader, depth: number): JsonTree {
    if (depth > maxDepth) throw malformed('a JSON value is too deep');
    const start = reader.at;
    const number = () => (isLarge ? reader.u32() : reader.u16());
    const count = number();
    reader.skip(isLarge ? 4 : 2);
    this.#left -= count;
    if (this.#left < 0) throw malformed('a JSON value contains itself');
    const keys = isObject ? Array.from({ length: count }, () => this.#key(start + number(), reader.u16())) : null;
    const values = Array.from({ length: count }, () => {
      const type = reader.u8();
      const place = reader.at;
      const offset = number();
      const isInline = type === 4 || type === 5 || type === 6 || (isLarge && (type === 7 || type === 8));
      return this.read(type, isInline ? place : start + offset, depth);
    });
    if (keys === null) return values;
    return new Map(keys.map((key, index) => [key, values[index] ?? 'null']));
  }

  #key(at: number, length: number): string {
    return new ByteReader(this.#bytes, Math.min(at, this.#bytes.length)).utf8(length);
  }
}

/** As MySQL's SELECT prints it: `{"a": 1, "b": [true, "x"]}`. */
export function jsonText(tree: JsonTree): string {
  if (typeof tree === 'string') return tree;
  if (Array.isArray(tree)) return `[${tree.map(jsonText).join(', ')}]`;
  return `{${[...tree].map(([key, value]) => `${JSON.stringify(key)}: ${jsonText(value)}`).join(', ')}}`;
}

function literal(value: number): string {
  const text = literals[value];
  if (text === undefined) throw malformed('a JSON value is of an unknown kind', { literal: value });
  return text;
}

/** A double is told from an integer by its point or exponent. */
function jsonDouble(value: number): string {
  const text = doubleText(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** Seven bits a byte, the lowest first, the eighth set but for the last. */
function readLength(reader: ByteReader): number {
  let length = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = reader.u8();
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return length;
  }
  throw malformed('a JSON value has no length');
}

/** Decimals, dates and times in the types of MySQL, and others' bytes as `base64:type15:…`, broken every 76 characters. */
function opaque(type: number, bytes: Buffer): string {
  const reader = new ByteReader(bytes);
  switch (type) {
    case 246: {
      const [precision, scale] = [reader.u8(), reader.u8()];
      if (precision > 65 || scale > precision) throw malformed('a JSON value is of an unknown kind', { precision });
      return decimalText(readDecimal(reader, decimalShape(precision, scale)), scale);
    }
    case 10:
      return `"${dayText(BigInt.asIntN(64, reader.u64()) >> 41n)}"`;
    case 7:
    case 12: {
      const packed = BigInt.asIntN(64, reader.u64());
      return `"${dayText(packed >> 41n)} ${timeText(packed & 0x1ffffffffffn)}"`;
    }
    case 11: {
      const packed = BigInt.asIntN(64, reader.u64());
      return packed < 0n ? `"-${timeText(-packed)}"` : `"${timeText(packed)}"`;
    }
    default: {
      const lines = bytes.toString('base64').match(/.{1,76}/g) ?? [''];
      return JSON.stringify(`base64:type${type}:${lines.join('\n')}`);
    }
  }
}

/** year × 13 + month · 5 bits day. */
function dayText(packed: bigint): string {
  const value = Number(packed);
  const yearMonth = value >> 5;
  return `${pad(Math.floor(yearMonth / 13), 4)}-${pad(yearMonth % 13, 2)}-${pad(value & 31, 2)}`;
}

/** Hour · 6 bits minute · 6 bits second · 24 bits microseconds. */
function timeText(packed: bigint): string {
  const time = Number(packed >> 24n);
  const micros = Number(packed & 0xffffffn);
  return `${pad(time >> 12, 2)}:${pad((time >> 6) & 63, 2)}:${pad(time & 63, 2)}.${pad(micros, 6)}`;
}

/** The tree of what `jsonText` printed; every other JSON text gives its tree as well. */
export function parseJsonText(text: string): JsonTree {
  const token = /\s*("(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+)/gsuy;
  const next = (): string => token.exec(text)?.[1] ?? '';
  const parse = (first: string): JsonTree => {
    if (first === '[') return parseArray();
    return first === '{' ? parseObject() : first;
  };
  const parseArray = (): JsonTree[] => {
    const items: JsonTree[] = [];
    for (let part = next(); part !== ']'; part = next()) {
      if (part === '') throw malformed('a JSON value has no end');
      if (part !== ',') items.push(parse(part));
    }
    return items;
  };
  const parseObject = (): Map<string, JsonTree> => {
    const members = new Map<string, JsonTree>();
    for (let part = next(); part !== '}'; part = next()) {
      if (part === '') throw malformed('a JSON value has no end');
      if (part === ',') continue;
      next();
      members.set(String(JSON.parse(part)), parse(next()));
    }
    return members;
  };
  return parse(next());
}
