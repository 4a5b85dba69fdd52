import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import {
  decimalDecoder,
  decodeDouble,
  decodeFloat,
  decodeInt,
  decodeLong,
  decodeText,
} from '../postgres/decode-value.ts';
import type { BinlogColumnType, BinlogValue } from './binlog/binlog-item.ts';
import { decimalText } from './binlog/decimal.ts';
import { inet4Text, inet6Text, uuidText } from './binlog/mariadb-types.ts';
import { dateFromText, datetimeFromText, OddText, timeFromMicros, timeFromText } from './temporal.ts';

/** A column's type as the log tells it, or one that MariaDB writes there as plain bytes and only its catalog knows. */
export type ColumnType = BinlogColumnType | { kind: 'uuid' | 'inet4' | 'inet6' };

/** How values of a column are carried, whether the log brings them or a SELECT. */
export interface ColumnCodec {
  type: FieldType;
  /** From what the binary log's reader gives; null where that is the value already. */
  fromLog: ((value: Exclude<BinlogValue, null>) => Value | OddText) | null;
  /** From what the server prints for `select`. */
  fromText(bytes: Buffer): Value | OddText;
  /** The column in a SELECT, so that every digit of it is printed; `name` is quoted. */
  select(name: string): string;
}

const plain = (name: string) => name;
const whole = (decode: (bytes: Buffer, start: number, end: number) => unknown) => (bytes: Buffer) =>
  decode(bytes, 0, bytes.length) as Value;

const text: ColumnCodec = {
  type: { kind: 'string' },
  fromLog: (value) => (typeof value === 'string' ? value : decodeReplacing(value as Uint8Array)),
  fromText: whole(decodeText),
  select: plain,
};
const bytes: ColumnCodec = {
  type: { kind: 'binary' },
  fromLog: null,
  fromText: (value) => new Uint8Array(value),
  select: plain,
};
const int: ColumnCodec = { type: { kind: 'int' }, fromLog: null, fromText: whole(decodeInt), select: plain };
const long: ColumnCodec = { type: { kind: 'long' }, fromLog: null, fromText: whole(decodeLong), select: plain };
const unsigned64: ColumnCodec = {
  type: { kind: 'decimal', precision: 20, scale: 0 },
  fromLog: null,
  fromText: whole(decodeLong),
  select: plain,
};

/** The one table of types, for snapshot and stream alike; `ingest/sources/README.md` tells it to people. */
export function codecOf(type: ColumnType): ColumnCodec {
  switch (type.kind) {
    case 'integer':
      if (type.bytes === 8) return type.isUnsigned ? unsigned64 : long;
      if (type.bytes !== 4 || !type.isUnsigned) return int;
      return { ...long, fromLog: (value) => BigInt(value as number) };
    case 'decimal':
      return decimalCodec(type.precision, type.scale);
    case 'float':
      // By itself a FLOAT is printed with six digits, and FLOAT(M, D) with D decimals.
      return { type: { kind: 'float' }, fromLog: null, fromText: whole(decodeFloat), select: exactDouble };
    case 'double':
      return { type: { kind: 'double' }, fromLog: null, fromText: whole(decodeDouble), select: exactDouble };
    case 'year':
      return int;
    case 'bit':
      return bitCodec(type.bits);
    case 'date':
      return { type: { kind: 'date' }, fromLog: oddIfText, fromText: dateFromText, select: plain };
    case 'time': {
      const { scale } = type;
      return {
        type: { kind: 'time' },
        fromLog: (value) => timeFromMicros(value as bigint, scale),
        fromText: timeFromText,
        select: plain,
      };
    }
    case 'datetime':
      return { type: { kind: 'timestamp' }, fromLog: oddIfText, fromText: datetimeFromText, select: plain };
    case 'timestamp':
      return { type: { kind: 'timestamptz' }, fromLog: oddIfText, fromText: datetimeFromText, select: plain };
    case 'text':
    case 'json':
      return text;
    case 'bytes':
    case 'geometry':
    case 'vector':
      return bytes;
    case 'enum': {
      const { labels } = type;
      // 0 stands for a value that was none of the labels when it was stored.
      return { ...text, fromLog: (value) => labels[(value as number) - 1] ?? '' };
    }
    case 'set': {
      const { labels } = type;
      return { ...text, fromLog: (value) => labels.filter((_, bit) => ((value as bigint) >> BigInt(bit)) & 1n).join() };
    }
    case 'uuid':
      return { ...text, type: { kind: 'uuid' }, fromLog: (value) => uuidText(value as Uint8Array) };
    case 'inet4':
      return { ...text, fromLog: (value) => inet4Text(value as Uint8Array) };
    case 'inet6':
      return { ...text, fromLog: (value) => inet6Text(value as Uint8Array) };
  }
}

function exactDouble(name: string): string {
  return `${name} + 0e0`;
}

function oddIfText(value: Exclude<BinlogValue, null>): Value | OddText {
  return typeof value === 'string' ? new OddText(value) : value;
}

function decimalCodec(precision: number, scale: number): ColumnCodec {
  if (precision <= 38) {
    return {
      type: { kind: 'decimal', precision, scale },
      fromLog: null,
      fromText: whole(decimalDecoder(scale)),
      select: plain,
    };
  }
  return {
    type: { kind: 'string' },
    fromLog: (value) => decimalText(value as bigint, scale),
    // ZEROFILL prints zeros in front.
    fromText: (value) => value.toString('latin1').replace(/^(-?)0+(?=\d)/, '$1'),
    select: plain,
  };
}

function bitCodec(bits: number): ColumnCodec {
  const select = (name: string) => `${name} + 0`;
  if (bits === 1) {
    return {
      type: { kind: 'boolean' },
      fromLog: (value) => value !== 0n,
      fromText: (value) => value[0] === 49,
      select,
    };
  }
  return { ...(bits === 64 ? unsigned64 : long), select };
}

/** Bytes that are no text of their column's charset; the server, too, gives each a substitute. */
function decodeReplacing(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8');
}
