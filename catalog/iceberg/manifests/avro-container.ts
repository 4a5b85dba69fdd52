import { randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync, zstdDecompressSync } from 'node:zlib';
import avro from 'avsc';
import { DailiesError } from '../../error.ts';
import { decompressSnappy } from './snappy.ts';

/*
 * Avro object container file (avro.apache.org/docs/1.12.0/specification, Object Container Files):
 *
 *   "Obj" 1 | header: map<bytes> | sync (16 bytes) | { count: long | size: long | deflated records | sync } …
 *
 * avsc's own encoder drops attributes that it does not know, such as Iceberg's field-id, so the schema's JSON goes into
 * the header as it is.
 */
const magic = Buffer.from('Obj\x01', 'latin1');
/** Of files in Iceberg's AES GCM stream format. */
const encryptedMagic = Buffer.from('AGS1', 'latin1');
const headerType = avro.Type.forSchema({ type: 'map', values: 'bytes' });

const longBuffer = Buffer.alloc(8);

/** Avro longs as bigint in both directions. */
const longType = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  // avsc packs it at once.
  toBuffer: (value: bigint) => {
    longBuffer.writeBigInt64LE(value);
    return longBuffer;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

type AvroType = ReturnType<typeof avro.Type.forSchema>;
type Schema = Parameters<typeof avro.Type.forSchema>[0];

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string']);

const types = new Map<string, AvroType>();

function typeOf(schemaJson: string): AvroType {
  const known = types.get(schemaJson);
  if (known) return known;
  const made = avro.Type.forSchema(plainSchema(JSON.parse(schemaJson), new Set()), {
    registry: { long: longType },
    noAnonymousTypes: false,
    omitRecordMethods: true,
  });
  if (types.size > 50) types.clear();
  types.set(schemaJson, made);
  return made;
}

// avsc takes its registered long by name alone, so `{"type": "long", "logicalType": …}` becomes `"long"`. Some writers
// define a fixed type of one name twice: the second is without a name then.
function plainSchema(schema: unknown, named: Set<unknown>): Schema {
  if (Array.isArray(schema)) return schema.map((option) => plainSchema(option, named)) as Schema;
  if (typeof schema !== 'object' || schema === null) return schema as Schema;
  const { type, fields, items, values, name, ...rest } = schema as Record<string, unknown>;
  if (typeof type === 'string' && primitives.has(type) && name === undefined) return type as Schema;
  const isNamed = name !== undefined && !(type === 'fixed' && named.has(name));
  named.add(name);
  return {
    ...rest,
    ...(isNamed ? { name } : {}),
    ...(type === undefined ? {} : { type: plainSchema(type, named) }),
    ...(fields === undefined ? {} : { fields: (fields as unknown[]).map((field) => plainField(field, named)) }),
    ...(items === undefined ? {} : { items: plainSchema(items, named) }),
    ...(values === undefined ? {} : { values: plainSchema(values, named) }),
  } as Schema;
}

function plainField(field: unknown, named: Set<unknown>): unknown {
  const { type, ...rest } = field as Record<string, unknown>;
  return { ...rest, type: plainSchema(type, named) };
}

/** A whole container file. `header` entries stand beside `avro.schema` and `avro.codec`. Longs are bigint. */
export function encodeContainer(
  schemaJson: string,
  header: Record<string, string>,
  records: readonly unknown[],
): Buffer {
  const type = typeOf(schemaJson);
  const sync = randomBytes(16);
  const entries = { 'avro.schema': schemaJson, 'avro.codec': 'deflate', ...header };
  const head = headerType.toBuffer(
    Object.fromEntries(Object.entries(entries).map(([key, value]) => [key, Buffer.from(value)])),
  );
  const parts = [magic, head, sync];
  const blockRecords = 4096;
  for (let start = 0; start < records.length; start += blockRecords) {
    const block = records.slice(start, start + blockRecords);
    const data = deflateRawSync(Buffer.concat(block.map((record) => type.toBuffer(record))), { level: 1 });
    parts.push(encodeLong(block.length), encodeLong(data.length), data, sync);
  }
  return Buffer.concat(parts);
}

/**
 * Header and records of a container file, codecs null, deflate, zstandard and snappy. Throws `table_corrupt` naming the
 * location, `unsupported` for an encrypted one.
 */
export function decodeContainer(bytes: Buffer, location: string): { header: Map<string, string>; records: unknown[] } {
  if (bytes.subarray(0, 4).equals(encryptedMagic)) {
    throw new DailiesError('unsupported', `The table is encrypted: ${location} cannot be read here.`);
  }
  try {
    if (!bytes.subarray(0, 4).equals(magic)) throw new Error('not an Avro file');
    const head = headerType.decode(bytes, 4) as { value?: Record<string, Buffer>; offset: number };
    if (!head.value || head.offset < 0) throw new Error('header is cut off');
    const header = new Map(Object.entries(head.value).map(([key, value]) => [key, value.toString()]));
    const codec = header.get('avro.codec') ?? 'null';
    const unpack = codecs.get(codec);
    if (!unpack) throw new Error(`codec ${codec} is not supported`);
    const type = typeOf(header.get('avro.schema') ?? '');
    const records: unknown[] = [];
    let offset = head.offset + 16;
    while (offset < bytes.length) {
      const count = decodeLong(bytes, offset);
      const size = decodeLong(bytes, count.offset);
      const end = size.offset + size.value;
      if (end + 16 > bytes.length) throw new Error('last block is cut off');
      const raw = bytes.subarray(size.offset, end);
      const data = unpack(raw);
      let at = 0;
      for (let index = 0; index < count.value; index++) {
        const record = type.decode(data, at) as { value: unknown; offset: number };
        if (record.offset < 0) throw new Error('record is cut off');
        records.push(record.value);
        at = record.offset;
      }
      offset = end + 16;
    }
    return { header, records };
  } catch (thrown) {
    throw new DailiesError('table_corrupt', `The manifest file ${location} is torn or not valid Avro.`, {
      cause: thrown,
    });
  }
}

const codecs = new Map<string, (bytes: Buffer) => Buffer>([
  ['null', (bytes) => bytes],
  ['deflate', (bytes) => inflateRawSync(bytes)],
  ['zstandard', (bytes) => zstdDecompressSync(bytes)],
  // A checksum follows each block.
  ['snappy', (bytes) => decompressSnappy(bytes.subarray(0, -4))],
]);

function encodeLong(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value) << 1n;
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

function decodeLong(bytes: Buffer, start: number): { value: number; offset: number } {
  let value = 0n;
  let offset = start;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[offset++];
    if (byte === undefined || shift > 63n) throw new Error('block header is cut off');
    value |= BigInt(byte & 0x7f) << shift;
    if ((byte & 0x80) === 0) break;
  }
  return { value: Number(value >> 1n), offset };
}
