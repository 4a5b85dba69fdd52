import { bytes } from './encode.ts';

/** A value that MySQL holds in JSON in a type of its own. */
export class Opaque {
  readonly type: number;
  readonly data: Buffer;

  constructor(type: number, data: Buffer) {
    this.type = type;
    this.data = data;
  }
}

/** Told from integers, which are bigints. */
export type Json = null | boolean | number | bigint | string | Opaque | Json[] | { [key: string]: Json };

const inlined = new Set([4, 5, 6]);

/** A document as MySQL stores it (sql-common/json_binary.h), small containers where they fit, or all of them large. */
export function encodeJson(value: Json, isLarge = false): Buffer {
  const { type, data } = encode(value, isLarge);
  return Buffer.concat([bytes.u8(type), data]);
}

function encode(value: Json, isLarge: boolean): { type: number; data: Buffer } {
  if (value === null) return { type: 4, data: bytes.u8(0) };
  if (typeof value === 'boolean') return { type: 4, data: bytes.u8(value ? 1 : 2) };
  if (typeof value === 'bigint') return integer(value);
  if (typeof value === 'number') {
    const data = Buffer.alloc(8);
    data.writeDoubleLE(value);
    return { type: 11, data };
  }
  if (typeof value === 'string') return { type: 12, data: sized(Buffer.from(value)) };
  if (value instanceof Opaque) return { type: 15, data: Buffer.concat([bytes.u8(value.type), sized(value.data)]) };
  return container(value, isLarge);
}

function integer(value: bigint): { type: number; data: Buffer } {
  const low = bytes.u64(value);
  if (value >= -(2n ** 15n) && value < 2n ** 15n) return { type: 5, data: low.subarray(0, 2) };
  if (value >= 0n && value < 2n ** 16n) return { type: 6, data: low.subarray(0, 2) };
  if (value >= -(2n ** 31n) && value < 2n ** 31n) return { type: 7, data: low.subarray(0, 4) };
  if (value >= 0n && value < 2n ** 32n) return { type: 8, data: low.subarray(0, 4) };
  return { type: value < 2n ** 63n ? 9 : 10, data: low };
}

function sized(data: Buffer): Buffer {
  const length: number[] = [];
  let left = data.length;
  do {
    length.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return Buffer.concat([Buffer.from(length), data]);
}

function container(value: Json[] | { [key: string]: Json }, isLarge: boolean): { type: number; data: Buffer } {
  const width = isLarge ? 4 : 2;
  const number = (size: number) => (isLarge ? bytes.u32(size) : bytes.u16(size));
  const members: [Buffer | null, Json][] = Array.isArray(value)
    ? value.map((item) => [null, item])
    : Object.entries(value)
        .map(([key, item]): [Buffer, Json] => [Buffer.from(key), item])
        .sort(([a], [b]) => a.length - b.length || Buffer.compare(a, b));
  const isObject = !Array.isArray(value);
  let offset = width * 2 + members.length * (isObject ? width + 2 : 0) + members.length * (1 + width);
  const keys: Buffer[] = [];
  const tail: Buffer[] = [];
  for (const [key] of members) {
    if (key === null) continue;
    keys.push(number(offset), bytes.u16(key.length));
    tail.push(key);
    offset += key.length;
  }
  const values: Buffer[] = [];
  for (const [, item] of members) {
    const { type, data } = encode(item, isLarge);
    values.push(bytes.u8(type));
    if (inlined.has(type) || (isLarge && (type === 7 || type === 8)))
      values.push(Buffer.concat([data, Buffer.alloc(4)]).subarray(0, width));
    else {
      values.push(number(offset));
      tail.push(data);
      offset += data.length;
    }
  }
  return {
    type: (isObject ? 0 : 2) + (isLarge ? 1 : 0),
    data: Buffer.concat([number(members.length), number(offset), ...keys, ...values, ...tail]),
  };
}

/** A partial update's changes: `replace`, `insert`, `remove`. */
export function encodeDiffs(diffs: [operation: 0 | 1 | 2, path: string, value?: Json][]): Buffer {
  const whole = Buffer.concat(
    diffs.flatMap(([operation, path, value]) => [
      bytes.u8(operation),
      bytes.text(path),
      ...(value === undefined ? [] : [bytes.text(encodeJson(value))]),
    ]),
  );
  return Buffer.concat([bytes.u32(whole.length), whole]);
}
