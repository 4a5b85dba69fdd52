import type { Field, Value } from '#catalog/schemas/schema.ts';
import { isObject, NotOfType } from '../producer/decode-json.ts';
import type { ConnectType } from './connect-type.ts';
import { type Decoded, OddText, type ValueCodec } from './decoded.ts';
import { bytesOf, realNumber, wholeNumber } from './exact-number.ts';
import { semanticCodec } from './semantic-codecs.ts';

/** The codec of a Connect type: by its name where that means something to us, else by what it is made of. */
export function codecOf(type: ConnectType): ValueCodec {
  return semanticCodec(type) ?? plainCodec(type);
}

function plainCodec(type: ConnectType): ValueCodec {
  switch (type.type) {
    case 'boolean':
      return {
        type: { kind: 'boolean' },
        decode: (raw) => (typeof raw === 'boolean' ? raw : new NotOfType('true or false')),
      };
    case 'int8':
    case 'int16':
    case 'int32':
      return { type: { kind: 'int' }, decode: int };
    case 'int64':
      return { type: { kind: 'long' }, decode: long };
    case 'float':
      return { type: { kind: 'float' }, decode: (raw) => float(raw) ?? new NotOfType('a number that a float holds') };
    case 'double':
      return { type: { kind: 'double' }, decode: (raw) => realNumber(raw) ?? new NotOfType('a number') };
    case 'string':
      return { type: { kind: 'string' }, decode: (raw) => (typeof raw === 'string' ? raw : new NotOfType('a text')) };
    case 'bytes':
      return { type: { kind: 'binary' }, decode: (raw) => bytesOf(raw) ?? new NotOfType('bytes') };
    case 'array':
      return listCodec(type.items);
    case 'map':
      return mapCodec(type.keys, type.values);
    case 'struct':
      return structCodec(type.fields);
  }
}

function int(raw: unknown): Decoded {
  // Most values by far: no bigint is made of them.
  if (typeof raw === 'number' && (raw | 0) === raw) return raw;
  const value = wholeNumber(raw);
  return value !== null && BigInt.asIntN(32, value) === value
    ? Number(value)
    : new NotOfType('a whole number of 32 bits');
}

function long(raw: unknown): Decoded {
  const value = wholeNumber(raw);
  return value !== null && BigInt.asIntN(64, value) === value ? value : new NotOfType('a whole number of 64 bits');
}

function float(raw: unknown): number | null {
  const value = realNumber(raw);
  if (value === null) return null;
  const rounded = Math.fround(value);
  return Number.isFinite(rounded) === Number.isFinite(value) ? rounded : null;
}

function listCodec(items: ConnectType): ValueCodec {
  const codec = codecOf(items);
  return {
    type: { kind: 'list', element: codec.type },
    decode(raw) {
      if (!Array.isArray(raw)) return new NotOfType('a list');
      const list: Value[] = [];
      for (const [index, element] of raw.entries()) {
        const value = element === null ? null : codec.decode(element);
        if (value instanceof NotOfType) return value.below(`[${index}]`);
        if (value instanceof OddText) return new OddText(wholeText(raw));
        list.push(value);
      }
      return list;
    },
  };
}

/** JSON has an object where the keys are texts, else a list of pairs. */
function mapCodec(keys: ConnectType, values: ConnectType): ValueCodec {
  const [keyCodec, valueCodec] = [codecOf(keys), codecOf(values)];
  return {
    type: { kind: 'map', key: keyCodec.type, value: valueCodec.type },
    decode(raw) {
      const entries: unknown = isObject(raw) && !(raw instanceof Uint8Array) ? Object.entries(raw) : raw;
      if (!Array.isArray(entries)) return new NotOfType('a map');
      const pairs: Value[] = [];
      const seen = new Set<string>();
      for (const [index, entry] of entries.entries()) {
        if (!Array.isArray(entry) || entry.length !== 2 || entry[0] === null)
          return new NotOfType('a pair of key and value', `[${index}]`);
        const key = keyCodec.decode(entry[0]);
        if (key instanceof NotOfType) return key.below(`[${index}]`);
        const value = entry[1] === null ? null : valueCodec.decode(entry[1]);
        if (value instanceof NotOfType) return value.below(`[${index}]`);
        if (key instanceof OddText || value instanceof OddText) return new OddText(wholeText(raw));
        const identity = key instanceof Uint8Array ? Buffer.from(key).toString('hex') : String(key);
        if (seen.has(identity)) return new NotOfType('without a key that stands there twice', `[${index}]`);
        seen.add(identity);
        pairs.push([key, value]);
      }
      return pairs;
    },
  };
}

function structCodec(members: readonly { name: string; type: ConnectType }[]): ValueCodec {
  const codecs = members.map(({ name, type }) => ({
    name,
    isOptional: type.isOptional,
    doc: type.doc,
    codec: codecOf(type),
  }));
  const fields = codecs.map(
    ({ name, doc, codec }): Field => ({ name, type: codec.type, required: false, ...(doc === null ? {} : { doc }) }),
  );
  return {
    type: { kind: 'struct', fields },
    decode(raw) {
      if (!isObject(raw) || raw instanceof Uint8Array) return new NotOfType('a struct');
      const values: Value[] = [];
      for (const { name, codec } of codecs) {
        const member = raw[name] ?? null;
        const value = member === null ? null : codec.decode(member);
        if (value instanceof NotOfType) return value.below(`.${name}`);
        if (value instanceof OddText) return new OddText(wholeText(raw));
        values.push(value);
      }
      return values;
    },
  };
}

/** A list, map or struct that holds an odd value, as JSON; bytes as Base64, longs with all digits. */
function wholeText(raw: unknown): string {
  return JSON.stringify(raw, (_, value: unknown) => {
    if (typeof value === 'bigint') return JSON.rawJSON(String(value));
    // JSON.stringify has made an object of a Buffer by now.
    const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown };
    if (type === 'Buffer' && Array.isArray(data)) return Buffer.from(data as number[]).toString('base64');
    return value;
  });
}
