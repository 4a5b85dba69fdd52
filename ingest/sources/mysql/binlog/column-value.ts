import { DailiesError } from '#catalog/error.ts';
import type { BinlogColumnType, BinlogValue } from './binlog-item.ts';
import type { ByteReader } from './byte-reader.ts';
import { decoderOf } from './charsets.ts';
import type { ColumnLayout } from './column-layout.ts';
import { uncompressColumn } from './compression.ts';
import { decimalShape, readDecimal } from './decimal.ts';
import { jsonText, readJson } from './json-binary.ts';
import { malformed } from './protocol-error.ts';
import { readDate, readDatetime, readTime, readTimestamp } from './temporal.ts';

/** Reads one column's value in a row; never called for NULL. */
export type ReadValue = (reader: ByteReader) => BinlogValue;

/** `name` is the column's with its table's, for errors. Throws `type_unsupported` for a charset that we cannot decode exactly. */
export function valueReader(layout: ColumnLayout, type: BinlogColumnType, name: string): ReadValue {
  switch (type.kind) {
    case 'integer':
      return integerReader(type.bytes, type.isUnsigned);
    case 'decimal': {
      const shape = decimalShape(type.precision, type.scale);
      return (reader) => readDecimal(reader, shape);
    }
    case 'float':
      return (reader) => reader.bytes.readFloatLE(reader.skip(4));
    case 'double':
      return (reader) => reader.bytes.readDoubleLE(reader.skip(8));
    case 'year':
      return (reader) => {
        const year = reader.u8();
        return year === 0 ? 0 : year + 1900;
      };
    case 'date':
      return readDate;
    case 'time':
      return (reader) => readTime(reader, type.scale);
    case 'datetime':
      return (reader) => readDatetime(reader, type.scale);
    case 'timestamp':
      return (reader) => readTimestamp(reader, type.scale);
    case 'bit':
      return (reader) => readBits(reader, (type.bits + 7) >> 3);
    case 'enum':
      return (reader) => readSmall(reader, layout.lengthBytes);
    case 'set':
      return (reader) => readMask(reader, layout.lengthBytes);
    case 'json':
      return (reader) => jsonText(readJson(readBytes(reader, layout)));
    case 'geometry':
    case 'vector':
      return (reader) => Buffer.from(readBytes(reader, layout));
    case 'bytes':
      if (!type.isFixed) return (reader) => Buffer.from(readBytes(reader, layout));
      // Trailing zeros are left out of the log.
      return (reader) => {
        const value = readBytes(reader, layout);
        if (value.length > type.maxBytes) throw malformed('a BINARY value is longer than its column');
        const whole = Buffer.alloc(type.maxBytes);
        whole.set(value);
        return whole;
      };
    case 'text':
      return textReader(layout, type.charset, name);
  }
}

function textReader(layout: ColumnLayout, charset: string, name: string): ReadValue {
  const decode = decoderOf(charset);
  if (decode === null) {
    throw new DailiesError(
      'type_unsupported',
      `Column ${name} has the character set ${charset}, which cannot be decoded exactly; leave the column out, or convert it to utf8mb4.`,
      { details: { column: name, charset } },
    );
  }
  if (layout.isCompressed) {
    return (reader) => {
      const bytes = readBytes(reader, layout);
      return decode(bytes, 0, bytes.length) ?? Buffer.from(bytes);
    };
  }
  const { lengthBytes } = layout;
  return (reader) => {
    const length = readSmall(reader, lengthBytes);
    const start = reader.skip(length);
    return decode(reader.bytes, start, start + length) ?? Buffer.from(reader.bytes.subarray(start, start + length));
  };
}

/** A view; unpacked where the column is COMPRESSED. */
function readBytes(reader: ByteReader, layout: ColumnLayout): Buffer {
  const bytes = reader.take(readSmall(reader, layout.lengthBytes));
  return layout.isCompressed ? uncompressColumn(bytes) : bytes;
}

function integerReader(bytes: number, isUnsigned: boolean): ReadValue {
  switch (bytes) {
    case 1:
      return isUnsigned ? (reader) => reader.u8() : (reader) => (reader.u8() << 24) >> 24;
    case 2:
      return isUnsigned ? (reader) => reader.u16() : (reader) => (reader.u16() << 16) >> 16;
    case 3:
      return isUnsigned ? (reader) => reader.u24() : (reader) => (reader.u24() << 8) >> 8;
    case 4:
      return isUnsigned ? (reader) => reader.u32() : (reader) => reader.u32() | 0;
    default:
      return isUnsigned ? (reader) => reader.u64() : (reader) => reader.bytes.readBigInt64LE(reader.skip(8));
  }
}

/** A number of 1 to 4 bytes, little-endian. */
function readSmall(reader: ByteReader, bytes: number): number {
  if (bytes === 1) return reader.u8();
  if (bytes === 2) return reader.u16();
  if (bytes === 3) return reader.u24();
  if (bytes === 4) return reader.u32();
  throw malformed('an ENUM column is of an unknown kind');
}

/** A SET's bits, 1 to 8 bytes, little-endian. */
function readMask(reader: ByteReader, bytes: number): bigint {
  if (bytes < 1 || bytes > 8) throw malformed('a SET column is of an unknown kind');
  if (bytes <= 4) return BigInt(readSmall(reader, bytes));
  let mask = 0n;
  const start = reader.skip(bytes);
  for (let index = bytes - 1; index >= 0; index--) mask = (mask << 8n) | BigInt(reader.bytes[start + index] ?? 0);
  return mask;
}

/** BIT: big-endian. */
function readBits(reader: ByteReader, bytes: number): bigint {
  let value = 0n;
  const start = reader.skip(bytes);
  for (let index = 0; index < bytes; index++) value = (value << 8n) | BigInt(reader.bytes[start + index] ?? 0);
  return value;
}
