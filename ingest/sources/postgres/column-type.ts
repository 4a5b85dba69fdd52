import type { FieldType } from '#catalog/schemas/schema.ts';
import { arrayDecoder } from './decode-array.ts';
import {
  type Decode,
  decimalDecoder,
  decodeBoolean,
  decodeBytea,
  decodeDate,
  decodeDouble,
  decodeFloat,
  decodeInt,
  decodeLong,
  decodeText,
  decodeTime,
  decodeTimestamp,
  decodeTimestamptz,
} from './decode-value.ts';

export interface ColumnType {
  type: FieldType;
  decode: Decode;
}

/** What pg_type says of a type that is not in the fixed table below. */
export type TypeRow =
  | { kind: 'domain'; base: number; typmod: number }
  | { kind: 'array'; element: number }
  | { kind: 'other' };

const NUMERIC = 1700;
const text: ColumnType = { type: { kind: 'string' }, decode: decodeText };

/** Object ids of pg_catalog never change. A type that is neither here nor a domain or array over one travels as its text. */
const builtIn: ReadonlyMap<number, ColumnType> = new Map([
  [16, { type: { kind: 'boolean' }, decode: decodeBoolean }], // bool
  [17, { type: { kind: 'binary' }, decode: decodeBytea }], // bytea
  [18, text], // "char"
  [19, text], // name
  [20, { type: { kind: 'long' }, decode: decodeLong }], // int8
  [21, { type: { kind: 'int' }, decode: decodeInt }], // int2
  [23, { type: { kind: 'int' }, decode: decodeInt }], // int4
  [25, text], // text
  [26, { type: { kind: 'long' }, decode: decodeLong }], // oid, unsigned 32 bits
  [28, { type: { kind: 'long' }, decode: decodeLong }], // xid, unsigned 32 bits
  [114, text], // json
  [700, { type: { kind: 'float' }, decode: decodeFloat }], // float4
  [701, { type: { kind: 'double' }, decode: decodeDouble }], // float8
  [1042, text], // bpchar
  [1043, text], // varchar
  [1082, { type: { kind: 'date' }, decode: decodeDate }], // date
  [1083, { type: { kind: 'time' }, decode: decodeTime }], // time
  [1114, { type: { kind: 'timestamp' }, decode: decodeTimestamp }], // timestamp
  [1184, { type: { kind: 'timestamptz' }, decode: decodeTimestamptz }], // timestamptz
  [2950, { type: { kind: 'uuid' }, decode: decodeText }], // uuid
  [3802, text], // jsonb
]);

/** True where the type is known without asking the database. */
export function isBuiltInType(oid: number): boolean {
  return oid === NUMERIC || builtIn.has(oid);
}

/** `typmod` is pg_attribute's, -1 where there is none. A type that `rows` does not hold (dropped since) travels as text. */
export function columnType(oid: number, typmod: number, rows: ReadonlyMap<number, TypeRow>): ColumnType {
  if (oid === NUMERIC) return numericType(typmod);
  const known = builtIn.get(oid);
  if (known) return known;
  const row = rows.get(oid);
  switch (row?.kind) {
    case 'domain':
      return columnType(row.base, row.typmod, rows);
    case 'array': {
      const element = columnType(row.element, typmod, rows);
      return { type: { kind: 'list', element: element.type }, decode: arrayDecoder(element.decode) };
    }
    default:
      return text;
  }
}

/** numeric's typmod holds precision in its upper and scale, an 11-bit signed number, in its lower half, plus 4. */
function numericType(typmod: number): ColumnType {
  if (typmod < 4) return text;
  const precision = ((typmod - 4) >> 16) & 0xffff;
  const scale = (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400;
  // numeric(3, -2) holds 12300 and prints no decimals; numeric(2, 5) holds 0.00012.
  const digits = scale < 0 ? precision - scale : Math.max(precision, scale);
  if (digits > 38) return text;
  const decimals = Math.max(scale, 0);
  return { type: { kind: 'decimal', precision: digits, scale: decimals }, decode: decimalDecoder(decimals) };
}
