import { DailiesError } from '../../error.ts';
import { type FieldType, typeName, type Value } from '../../schemas/schema.ts';
import { encodeDecimalBytes, encodeLong } from '../manifests/bounds.ts';

/*
 * Single values in Iceberg's binary form (iceberg.apache.org/spec, Appendix D), as bounds of columns and of partition
 * fields hold them: little-endian numbers, decimals as the fewest bytes big-endian, texts as UTF-8.
 */

/** A value that is not NULL in its binary form. */
export function encodeSingleValue(type: FieldType, value: Value): Uint8Array {
  switch (type.kind) {
    case 'boolean':
      return Uint8Array.of(value ? 1 : 0);
    case 'int':
    case 'date': {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(value as number);
      return bytes;
    }
    case 'long':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return encodeLong(BigInt(value as number | bigint));
    case 'float': {
      const bytes = Buffer.alloc(4);
      bytes.writeFloatLE(value as number);
      return bytes;
    }
    case 'double': {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(value as number);
      return bytes;
    }
    case 'decimal':
      return encodeDecimalBytes(value as bigint);
    case 'string':
      return Buffer.from(value as string);
    case 'uuid':
      return Buffer.from((value as string).replaceAll('-', ''), 'hex');
    case 'binary':
    case 'fixed':
      return value as Uint8Array;
    case 'struct':
    case 'list':
    case 'map':
      throw new DailiesError('invalid', `Values of type ${typeName(type)} have no binary form.`);
  }
}

/**
 * The value of a binary form; null where the bytes are not of this type. Bytes from before the column was widened (int to
 * long, float to double, date to timestamp) are read as such.
 */
export function decodeSingleValue(type: FieldType, bytes: Uint8Array): Value {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = view;
  switch (type.kind) {
    case 'boolean':
      return length === 1 ? view[0] !== 0 : null;
    case 'int':
    case 'date':
      return length === 4 ? view.readInt32LE() : null;
    case 'timestamp':
    case 'timestamptz':
      if (length === 4) return BigInt(view.readInt32LE()) * 86_400_000_000n;
      return length === 8 ? view.readBigInt64LE() : null;
    case 'timestamp_ns':
    case 'timestamptz_ns':
      if (length === 4) return BigInt(view.readInt32LE()) * 86_400_000_000_000n;
      return length === 8 ? view.readBigInt64LE() : null;
    case 'long':
    case 'time':
      if (length === 4) return BigInt(view.readInt32LE());
      return length === 8 ? view.readBigInt64LE() : null;
    case 'float':
      return length === 4 ? view.readFloatLE() : null;
    case 'double':
      if (length === 4) return view.readFloatLE();
      return length === 8 ? view.readDoubleLE() : null;
    case 'decimal':
      return length === 0 ? null : BigInt.asIntN(length * 8, BigInt(`0x${view.toString('hex')}`));
    case 'string':
      return view.toString();
    case 'uuid':
      return length === 16 ? view.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') : null;
    case 'binary':
      return Uint8Array.from(view);
    case 'fixed':
      return length === type.length ? Uint8Array.from(view) : null;
    case 'struct':
    case 'list':
    case 'map':
      return null;
  }
}

/**
 * Below, at or above zero as the first stands before, with or after the second in the order that bounds follow: texts by
 * their UTF-8 bytes, -0 before 0. Neither is NULL or NaN.
 */
export function compareValues(type: FieldType, a: Value, b: Value): number {
  switch (type.kind) {
    case 'string':
      return compareTexts(a as string, b as string);
    case 'binary':
    case 'fixed':
      return Buffer.compare(a as Uint8Array, b as Uint8Array);
    case 'float':
    case 'double':
      if (a === 0 && b === 0) return Number(Object.is(b, -0)) - Number(Object.is(a, -0));
      return Number((a as number) > (b as number)) - Number((a as number) < (b as number));
    case 'struct':
    case 'list':
    case 'map':
      throw new DailiesError('invalid', `Values of type ${typeName(type)} have no order.`);
    default:
      return Number((a as number) > (b as number)) - Number((a as number) < (b as number));
  }
}

// As their UTF-8 bytes stand, which is by code points: surrogates come after all other units of UTF-16.
function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return inOrder(left) - inOrder(right);
  }
  return a.length - b.length;
}

function inOrder(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
