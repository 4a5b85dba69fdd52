import { BadSchema, type ConnectField, type ConnectType, type Primitive } from './connect-type.ts';

/*
 * Avro's binary encoding (avro.apache.org/docs/1.12.0/specification, Binary Encoding) of what a Connect converter writes.
 * The schema's `connect.*` attributes tell what each value means; a library that reads Avro alone drops them. Values come in
 * the form that JsonConverter has them, but exact: a long is a bigint, bytes are bytes.
 */

export interface AvroReader {
  type: ConnectType;
  /** The value that `bytes` hold from `at` to their end. Throws RangeError where they do not. */
  read(bytes: Buffer, at: number): unknown;
}

type Read = (input: Input) => unknown;

interface Node {
  type: ConnectType;
  read: Read;
}

/** Deeper than any schema that is meant. */
const maxDepth = 64;
/** What a block of many without any bytes could pretend to hold. */
const maxItems = 16 << 20;

/** A reader for a schema in JSON, or why there is none. */
export function avroReader(schemaJson: string): AvroReader | BadSchema {
  let json: unknown;
  try {
    json = JSON.parse(schemaJson);
  } catch {
    return new BadSchema('is not JSON');
  }
  const node = new SchemaWalk().node(json, '', 0);
  if (node instanceof BadSchema) return node;
  return {
    type: node.type,
    read(bytes, at) {
      const input = new Input(bytes, at);
      const value = node.read(input);
      if (input.at !== bytes.length) throw new RangeError('there are bytes after the value');
      return value;
    },
  };
}

class Input {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  take(length: number): Buffer {
    if (length < 0 || this.at + length > this.bytes.length) throw new RangeError('the value is cut off');
    const taken = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }

  byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new RangeError('the value is cut off');
    this.at += 1;
    return byte;
  }

  /** Zigzag, seven bits a byte, the lowest first. */
  long(): bigint {
    let small = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      small += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return BigInt(small % 2 === 0 ? small / 2 : -(small + 1) / 2);
    }
    let value = BigInt(small);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (value >= 1n << 64n) break;
        return (value >> 1n) ^ -(value & 1n);
      }
    }
    throw new RangeError('a number has more than 64 bits');
  }

  /** A count or a length. */
  size(): number {
    const value = this.long();
    if (value < 0n || value > 0x7fffffffn) throw new RangeError('a length is none');
    return Number(value);
  }

  int(): number {
    const value = this.long();
    if (BigInt.asIntN(32, value) !== value) throw new RangeError('a number has more than 32 bits');
    return Number(value);
  }
}

const scalars: Readonly<Record<string, { type: Primitive; read: Read }>> = {
  boolean: { type: 'boolean', read: (input) => boolean(input.byte()) },
  int: { type: 'int32', read: (input) => input.int() },
  long: { type: 'int64', read: (input) => input.long() },
  float: { type: 'float', read: (input) => input.take(4).readFloatLE() },
  double: { type: 'double', read: (input) => input.take(8).readDoubleLE() },
  bytes: { type: 'bytes', read: (input) => input.take(input.size()) },
  string: { type: 'string', read: (input) => text(input.take(input.size())) },
};

function boolean(byte: number): boolean {
  if (byte > 1) throw new RangeError('a boolean is none');
  return byte === 1;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new RangeError('a text is not UTF-8');
  }
}

/** Turns one schema into readers; named types are known by their names from where they stand on. */
class SchemaWalk {
  readonly #named = new Map<string, Node>();

  node(json: unknown, namespace: string, depth: number): Node | BadSchema {
    if (depth > maxDepth) return new BadSchema('is nested too deep');
    if (Array.isArray(json)) return this.#union(json, namespace, depth);
    if (typeof json === 'string') return this.#byName(json, namespace);
    if (typeof json !== 'object' || json === null) return new BadSchema('has a type that is none');
    const members = json as Record<string, unknown>;
    const described = describe(members);
    const { type } = members;
    switch (type) {
      case 'record':
        return this.#record(members, described, namespace, depth);
      case 'array':
        return this.#array(members, described, namespace, depth);
      case 'map': {
        const values = this.node(members.values, namespace, depth + 1);
        if (values instanceof BadSchema) return values;
        const keys: ConnectType = { ...plain, type: 'string' };
        return { type: { ...described, type: 'map', keys, values: values.type }, read: readMap(values.read) };
      }
      case 'enum': {
        const { symbols } = members;
        if (!Array.isArray(symbols)) return new BadSchema('has an enum without symbols');
        const node: Node = { type: { ...described, type: 'string' }, read: (input) => symbolOf(symbols, input.int()) };
        return this.#name(members, namespace, node);
      }
      case 'fixed': {
        const { size } = members;
        if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
          return new BadSchema('has a fixed type without a size');
        return this.#name(members, namespace, {
          type: { ...described, type: 'bytes' },
          read: (input) => input.take(size),
        });
      }
      default: {
        const inner = this.node(type, namespace, depth + 1);
        if (inner instanceof BadSchema) return inner;
        const own = narrowed(members['connect.type'], inner.type.type);
        return { type: { ...inner.type, ...described, type: own ?? inner.type.type } as ConnectType, read: inner.read };
      }
    }
  }

  #byName(name: string, namespace: string): Node | BadSchema {
    if (name === 'null') return new BadSchema('has a null that stands alone');
    const scalar = Object.hasOwn(scalars, name) ? scalars[name] : undefined;
    if (scalar) return { type: { ...plain, type: scalar.type }, read: scalar.read };
    return (
      this.#named.get(name.includes('.') || namespace === '' ? name : `${namespace}.${name}`) ??
      this.#named.get(name) ??
      new BadSchema(`names a type that it does not have (${name})`)
    );
  }

  #name(members: Record<string, unknown>, namespace: string, node: Node): Node {
    const { name, namespace: own } = members;
    const space = typeof own === 'string' ? own : namespace;
    const full = String(name).includes('.') || space === '' ? String(name) : `${space}.${String(name)}`;
    this.#named.set(full, node);
    return node;
  }

  /** Connect's optional types: a null and one other, in either order. */
  #union(branches: readonly unknown[], namespace: string, depth: number): Node | BadSchema {
    const nullAt = branches.indexOf('null');
    const others = branches.filter((_, index) => index !== nullAt);
    if (nullAt < 0 || others.length !== 1) return new BadSchema('has a union that is not one type or null');
    const node = this.node(others[0], namespace, depth + 1);
    if (node instanceof BadSchema) return node;
    return {
      type: { ...node.type, isOptional: true },
      read: (input) => {
        const branch = input.int();
        if (branch === nullAt) return null;
        if (branch !== 1 - nullAt) throw new RangeError('a union has no such branch');
        return node.read(input);
      },
    };
  }

  #record(
    members: Record<string, unknown>,
    described: typeof plain,
    namespace: string,
    depth: number,
  ): Node | BadSchema {
    if (!Array.isArray(members.fields)) return new BadSchema('has a record without fields');
    const space =
      typeof members.namespace === 'string' ? members.namespace : namespaceOf(String(members.name), namespace);
    const fields: ConnectField[] = [];
    const readers: [string, Read][] = [];
    for (const field of members.fields as Record<string, unknown>[]) {
      if (typeof field?.name !== 'string') return new BadSchema('has a field without a name');
      const node = this.node(field.type, space, depth + 1);
      if (node instanceof BadSchema) return node;
      const value = node.type.default ?? field.default ?? undefined;
      fields.push({ name: field.name, type: { ...node.type, default: value } });
      readers.push([field.name, node.read]);
    }
    const read: Read = (input) => {
      const record: Record<string, unknown> = Object.create(null);
      for (const [name, readField] of readers) record[name] = readField(input);
      return record;
    };
    return this.#name(members, namespace, { type: { ...described, type: 'struct', fields }, read });
  }

  #array(
    members: Record<string, unknown>,
    described: typeof plain,
    namespace: string,
    depth: number,
  ): Node | BadSchema {
    const items = this.node(members.items, namespace, depth + 1);
    if (items instanceof BadSchema) return items;
    const read = readArray(items.read);
    const { type } = items;
    // Maps whose keys are no texts, or may be null, are arrays of pairs.
    const [key, value] = type.type === 'struct' ? type.fields : [];
    const isMap = type.name?.endsWith('MapEntry') || isMapEntry(members.items);
    if (isMap && key?.name === 'key' && value?.name === 'value') {
      const pairs: Read = (input) =>
        (read(input) as Record<string, unknown>[]).map((entry) => [entry.key, entry.value]);
      return { type: { ...described, type: 'map', keys: key.type, values: value.type }, read: pairs };
    }
    return { type: { ...described, type: 'array', items: type }, read };
  }
}

const plain = {
  name: null as string | null,
  parameters: {} as Readonly<Record<string, string>>,
  isOptional: false,
  default: undefined as unknown,
  doc: null as string | null,
};

function describe(members: Record<string, unknown>): typeof plain {
  const parameters = members['connect.parameters'];
  const name = members['connect.name'];
  const doc = members['connect.doc'] ?? members.doc;
  return {
    name: typeof name === 'string' ? name : null,
    parameters: typeof parameters === 'object' && parameters !== null ? (parameters as Record<string, string>) : {},
    isOptional: false,
    default: members['connect.default'] ?? undefined,
    doc: typeof doc === 'string' ? doc : null,
  };
}

function isMapEntry(items: unknown): boolean {
  const name = (items as { name?: unknown } | null)?.name;
  return typeof name === 'string' && name.endsWith('MapEntry');
}

function narrowed(connectType: unknown, type: string): Primitive | null {
  return type === 'int32' && (connectType === 'int8' || connectType === 'int16') ? connectType : null;
}

function namespaceOf(name: string, outer: string): string {
  const dot = name.lastIndexOf('.');
  return dot < 0 ? outer : name.slice(0, dot);
}

function symbolOf(symbols: readonly unknown[], at: number): unknown {
  if (at < 0 || at >= symbols.length) throw new RangeError('an enum has no such symbol');
  return symbols[at];
}

/** Blocks of a count and so many items, ended by a count of 0; after a negative count stands the block's size in bytes. */
function* blocks(input: Input): Generator<undefined> {
  let total = 0;
  for (;;) {
    let count = input.long();
    if (count === 0n) return;
    if (count < 0n) {
      count = -count;
      input.size();
    }
    total += Number(count);
    if (total > maxItems || Number(count) > (input.bytes.length - input.at + 1) * 8)
      throw new RangeError('a list has more items than bytes');
    for (let left = Number(count); left > 0; left--) yield undefined;
  }
}

function readArray(item: Read): Read {
  return (input) => {
    const list: unknown[] = [];
    for (const _ of blocks(input)) list.push(item(input));
    return list;
  };
}

function readMap(value: Read): Read {
  return (input) => {
    const pairs: [unknown, unknown][] = [];
    for (const _ of blocks(input)) pairs.push([text(input.take(input.size())), value(input)]);
    return pairs;
  };
}
