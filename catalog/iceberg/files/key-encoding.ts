import { createHash } from 'node:crypto';
import type { FieldType, Row, Schema, UNKNOWN, Value } from '../../schemas/schema.ts';
import { keyIndexes } from '../../schemas/schema.ts';

/*
 * Keys as bytes: equal exactly for equal values. Each value is a byte 1 and its content, or a byte 0 for NULL. Numbers are
 * big-endian with the sign flipped, so that rising keys are stored side by side. The first byte of a key is 1, or 0 for a
 * long one, of which only the SHA-256 follows.
 */
const maxKeyBytes = 400;

let scratch = Buffer.alloc(4096);
// Several times as fast as a Buffer's own functions.
let view = new DataView(scratch.buffer, scratch.byteOffset, scratch.length);
let used = 0;
/** Shorter keys are copied faster byte by byte. */
const shortKey = 32;

/** A function that encodes the key of a row given in schema order. */
export function keyEncoder(schema: Schema): (row: Row) => Buffer {
  const parts = keyIndexes(schema).map((index) => ({ index, type: schema.fields[index]?.type }));
  return (row) => {
    used = 0;
    putByte(1);
    for (const { index, type } of parts) if (type) putValue(type, row[index] ?? null);
    if (used <= maxKeyBytes) return takeScratch();
    return Buffer.concat([Buffer.of(0), createHash('sha256').update(scratch.subarray(0, used)).digest()]);
  };
}

function takeScratch(): Buffer {
  const key = Buffer.allocUnsafe(used);
  if (used > shortKey) scratch.copy(key, 0, 0, used);
  else for (let at = 0; at < used; at++) key[at] = scratch[at] ?? 0;
  return key;
}

/** A function that gives 16 bytes for a whole row: equal rows give the same, a NULL column counts as absent. */
export function rowHasher(schema: Schema, ids: readonly number[]): (row: Row) => Buffer {
  const types = schema.fields.map((field) => field.type);
  return (row) => {
    used = 0;
    for (let index = 0; index < types.length; index++) {
      const type = types[index];
      const value = row[index];
      if (!type || value === null || value === undefined) continue;
      putUint32(ids[index] ?? 0);
      putValue(type, value);
    }
    return createHash('sha256').update(scratch.subarray(0, used)).digest().subarray(0, 16);
  };
}

function putValue(type: FieldType, value: Value | typeof UNKNOWN): void {
  if (value === null || typeof value === 'symbol') {
    putByte(0);
    return;
  }
  putByte(1);
  switch (type.kind) {
    case 'boolean':
      putByte(value ? 1 : 0);
      return;
    case 'int':
    case 'date':
    case 'long':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
    case 'timestamp_ns':
    case 'timestamptz_ns':
      reserve(8);
      view.setBigInt64(used, BigInt(value as number | bigint));
      scratch[used] = (scratch[used] ?? 0) ^ 0x80;
      used += 8;
      return;
    case 'float':
    case 'double':
      reserve(8);
      scratch.writeDoubleBE(Number.isNaN(value) ? Number.NaN : (value as number), used);
      used += 8;
      return;
    case 'decimal': {
      const unsigned = BigInt.asUintN(128, value as bigint) ^ (1n << 127n);
      reserve(16);
      view.setBigUint64(used, unsigned >> 64n);
      view.setBigUint64(used + 8, BigInt.asUintN(64, unsigned));
      used += 16;
      return;
    }
    case 'string':
    case 'uuid': {
      const text = value as string;
      const length = Buffer.byteLength(text);
      putUint32(length);
      reserve(length);
      scratch.write(text, used);
      used += length;
      return;
    }
    case 'binary':
    case 'fixed': {
      const bytes = value as Uint8Array;
      putUint32(bytes.length);
      reserve(bytes.length);
      scratch.set(bytes, used);
      used += bytes.length;
      return;
    }
    case 'struct': {
      const values = value as readonly Value[];
      type.fields.forEach((field, index) => {
        putValue(field.type, values[index] ?? null);
      });
      return;
    }
    case 'list': {
      const values = value as readonly Value[];
      putUint32(values.length);
      for (const item of values) putValue(type.element, item);
      return;
    }
    case 'map': {
      const entries = value as readonly (readonly Value[])[];
      putUint32(entries.length);
      for (const [key = null, item = null] of entries) {
        putValue(type.key, key);
        putValue(type.value, item);
      }
      return;
    }
  }
}

function putByte(value: number): void {
  reserve(1);
  scratch[used++] = value;
}

function putUint32(value: number): void {
  reserve(4);
  view.setUint32(used, value);
  used += 4;
}

function reserve(bytes: number): void {
  if (used + bytes <= scratch.length) return;
  const grown = Buffer.alloc(Math.max(used + bytes, scratch.length * 2));
  scratch.copy(grown);
  scratch = grown;
  view = new DataView(scratch.buffer, scratch.byteOffset, scratch.length);
}
