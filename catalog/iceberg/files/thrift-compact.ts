import { DailiesError } from '../../error.ts';

/*
 * Thrift's compact protocol (github.com/apache/thrift, thrift-compact-protocol.md), in which Parquet's footers are: read into a
 * tree that tells each value's wire type, so that what nobody here knows is written again as it was.
 *
 *   struct: fields × (delta of the id << 4 | type; delta 0: the id follows, zigzag), then 0
 *   list:   size << 4 | type (size 15: the size follows, varint), then the values
 *   1, 2 true and false (no bytes)   3 byte   4, 5, 6 integers, zigzag   7 double   8 bytes with their length   9 list   12 struct
 */
const typeTrue = 1;
const typeFalse = 2;
const typeByte = 3;
export const typeInteger = 5;
export const typeLong = 6;
const typeDouble = 7;
export const typeBytes = 8;
const typeList = 9;
const typeStruct = 12;

export interface ThriftField {
  id: number;
  type: number;
  value: ThriftValue;
}

/** Fields in the order of their ids. */
export class ThriftStruct {
  readonly fields: ThriftField[];

  constructor(fields: ThriftField[]) {
    this.fields = fields;
  }

  get(id: number): ThriftValue | undefined {
    return this.fields.find((field) => field.id === id)?.value;
  }

  integer(id: number): bigint | null {
    const value = this.get(id);
    return typeof value === 'bigint' ? value : null;
  }

  bytes(id: number): Uint8Array | null {
    const value = this.get(id);
    return value instanceof Uint8Array ? value : null;
  }

  struct(id: number): ThriftStruct | null {
    const value = this.get(id);
    return value instanceof ThriftStruct ? value : null;
  }

  structs(id: number): ThriftStruct[] {
    const value = this.get(id);
    return value instanceof ThriftList ? value.values.filter((one) => one instanceof ThriftStruct) : [];
  }

  /** The struct with a field of this value, in place of the one that it may have. */
  with(id: number, type: number, value: ThriftValue): ThriftStruct {
    const others = this.fields.filter((field) => field.id !== id);
    return new ThriftStruct([...others, { id, type, value }].sort((a, b) => a.id - b.id));
  }

  withStructs(id: number, values: readonly ThriftStruct[]): ThriftStruct {
    return this.with(id, typeList, new ThriftList(typeStruct, values));
  }
}

export class ThriftList {
  readonly type: number;
  readonly values: readonly ThriftValue[];

  constructor(type: number, values: readonly ThriftValue[]) {
    this.type = type;
    this.values = values;
  }
}

/** Integers of any width are bigints. */
type ThriftValue = boolean | bigint | number | Uint8Array | ThriftList | ThriftStruct;

/** Throws `table_corrupt` where the bytes are no whole struct. */
export function readThrift(bytes: Uint8Array): ThriftStruct {
  const reader = new Reader(bytes);
  try {
    return reader.struct();
  } catch (cause) {
    throw new DailiesError('table_corrupt', 'The footer of a Parquet file is torn.', { cause });
  }
}

export function writeThrift(struct: ThriftStruct): Buffer {
  const bytes: number[] = [];
  putStruct(bytes, struct);
  return Buffer.from(bytes);
}

class Reader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  struct(): ThriftStruct {
    const fields: ThriftField[] = [];
    let id = 0;
    for (let head = this.#byte(); head !== 0; head = this.#byte()) {
      id = head >> 4 ? id + (head >> 4) : Number(this.#zigzag());
      const type = head & 15;
      fields.push({ id, type, value: type === typeTrue || type === typeFalse ? type === typeTrue : this.#value(type) });
    }
    return new ThriftStruct(fields);
  }

  #value(type: number): ThriftValue {
    switch (type) {
      case typeTrue:
      case typeFalse:
        return this.#byte() === typeTrue;
      case typeByte:
        return BigInt(this.#byte());
      case 4:
      case typeInteger:
      case typeLong:
        return this.#zigzag();
      case typeDouble:
        this.#at += 8;
        return this.#view.getFloat64(this.#at - 8, true);
      case typeBytes: {
        const length = Number(this.#varint());
        if (this.#at + length > this.#bytes.length) throw new RangeError('a value ends beyond the footer');
        this.#at += length;
        return this.#bytes.subarray(this.#at - length, this.#at);
      }
      case typeList: {
        const head = this.#byte();
        const size = head >> 4 === 15 ? Number(this.#varint()) : head >> 4;
        const values: ThriftValue[] = [];
        for (let left = size; left > 0; left--) values.push(this.#value(head & 15));
        return new ThriftList(head & 15, values);
      }
      case typeStruct:
        return this.struct();
      default:
        throw new RangeError(`a value is of type ${type}`);
    }
  }

  #byte(): number {
    return this.#view.getUint8(this.#at++);
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  #zigzag(): bigint {
    const value = this.#varint();
    return (value >> 1n) ^ -(value & 1n);
  }
}

function putStruct(bytes: number[], { fields }: ThriftStruct): void {
  let last = 0;
  for (const { id, type, value } of fields) {
    const isBoolean = typeof value === 'boolean';
    const tag = isBoolean ? (value ? typeTrue : typeFalse) : type;
    if (id - last > 0 && id - last <= 15) bytes.push(((id - last) << 4) | tag);
    else {
      bytes.push(tag);
      putVarint(bytes, zigzag(BigInt(id)));
    }
    last = id;
    if (!isBoolean) putValue(bytes, type, value);
  }
  bytes.push(0);
}

function putValue(bytes: number[], type: number, value: ThriftValue): void {
  if (typeof value === 'boolean') bytes.push(value ? typeTrue : typeFalse);
  else if (typeof value === 'bigint') {
    if (type === typeByte) bytes.push(Number(value));
    else putVarint(bytes, zigzag(value));
  } else if (typeof value === 'number') {
    const double = Buffer.alloc(8);
    double.writeDoubleLE(value);
    bytes.push(...double);
  } else if (value instanceof ThriftStruct) putStruct(bytes, value);
  else if (value instanceof ThriftList) {
    const { type: inner, values } = value;
    bytes.push((Math.min(values.length, 15) << 4) | inner);
    if (values.length >= 15) putVarint(bytes, BigInt(values.length));
    for (const one of values) putValue(bytes, inner, one);
  } else {
    putVarint(bytes, BigInt(value.length));
    for (const byte of value) bytes.push(byte);
  }
}

function zigzag(value: bigint): bigint {
  return value < 0n ? -value * 2n - 1n : value * 2n;
}

function putVarint(bytes: number[], value: bigint): void {
  let left = value;
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
}
