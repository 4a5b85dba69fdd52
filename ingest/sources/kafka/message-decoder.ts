import { DailiesError } from '#catalog/error.ts';
import { parseExactJson } from '../../raw-number.ts';
import { isObject } from '../producer/decode-json.ts';
import { type AvroReader, avroReader } from './avro-reader.ts';
import { BadSchema, type ConnectType, parseConnectType } from './connect-type.ts';
import type { SchemaRegistry } from './schema-registry.ts';

/** A key or a value, with its type where the topic tells it. */
export interface Message {
  type: ConnectType | null;
  value: unknown;
}

export interface MessagePlace {
  topic: string;
  partition: number;
  offset: number;
  part: 'key' | 'value';
}

/** Beyond these few topics' schemas are parsed again. */
const mostPrefixes = 2_000;

/**
 * Reads keys and values, whichever way they are written:
 *
 *   JSON with schemas   {"schema": {…}, "payload": …}
 *   JSON without        …
 *   Avro                0x00, the schema's id (4 bytes, the highest first), Avro
 */
export class MessageDecoder {
  readonly #registry: SchemaRegistry;
  readonly #readers = new Map<number, AvroReader>();
  /** The last bytes up to the payload by topic and part, so that a schema is parsed once and not with every record. */
  readonly #prefixes = new Map<string, { bytes: Buffer; type: ConnectType }>();

  constructor(registry: SchemaRegistry) {
    this.#registry = registry;
  }

  /** True for bytes that name a schema which was not fetched yet. */
  lacks(bytes: Uint8Array | null): boolean {
    const id = bytes && schemaId(bytes);
    return id !== null && !this.#readers.has(id);
  }

  /** Fetches the schemas that these bytes name; to be called before they are decoded. */
  async prepare(parts: Iterable<Uint8Array | null>, signal: AbortSignal): Promise<void> {
    for (const bytes of parts) {
      const id = bytes && schemaId(bytes);
      if (id === null || this.#readers.has(id)) continue;
      const reader = avroReader(await this.#registry.schema(id, signal));
      if (reader instanceof BadSchema)
        throw new DailiesError('source_not_ready', `The Avro schema ${id} ${reader.reason}.`, { details: { id } });
      this.#readers.set(id, reader);
    }
  }

  /**
   * Whole numbers are exact; of others it is not told whether they were written as 1 or as 1.0, unless `isLiteral`, which
   * takes several times as long. Throws `value_unsupported`, naming topic, partition and offset but nothing of the value.
   */
  decode(bytes: Uint8Array, place: MessagePlace, isLiteral = false): Message {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const id = schemaId(buffer);
    if (id !== null) return this.#avro(buffer, id, place);
    if (buffer[0] === 0) throw badMessage(place, 'begins with 0 as Avro does, but names no schema');
    const name = `${place.part} ${place.topic}`;
    const known = this.#prefixes.get(name);
    if (known && startsWith(buffer, known.bytes) && buffer.at(-1) === closing)
      return {
        type: known.type,
        value: parseJson(buffer.toString('utf8', known.bytes.length, buffer.length - 1), place, isLiteral),
      };
    const json = parseJson(buffer.toString(), place, isLiteral);
    if (!isObject(json) || Object.keys(json).length !== 2 || !('schema' in json) || !('payload' in json))
      return { type: null, value: json };
    // What has no schema of its own.
    if (json.schema === null) return { type: null, value: json.payload };
    const type = parseConnectType(json.schema);
    if (type instanceof BadSchema) throw badMessage(place, `has a schema that ${type.reason}`);
    const end = payloadStart(buffer);
    if (end !== null) {
      if (this.#prefixes.size >= mostPrefixes) this.#prefixes.clear();
      this.#prefixes.set(name, { bytes: Buffer.from(buffer.subarray(0, end)), type });
    }
    return { type, value: json.payload };
  }

  #avro(buffer: Buffer, id: number, place: MessagePlace): Message {
    const reader = this.#readers.get(id);
    if (!reader) throw new DailiesError('internal', `The Avro schema ${id} was not fetched.`);
    try {
      return { type: reader.type, value: reader.read(buffer, 5) };
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
      throw badMessage(place, `is not of its schema ${id}: ${thrown.message}`);
    }
  }
}

export function badMessage({ topic, partition, offset, part }: MessagePlace, what: string): DailiesError {
  return new DailiesError(
    'value_unsupported',
    `The ${part} of ${topic}, partition ${partition}, offset ${offset}, ${what}.`,
    {
      details: { topic, partition, offset },
    },
  );
}

function schemaId(bytes: Uint8Array): number | null {
  if (bytes[0] !== 0 || bytes.length < 5) return null;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(1);
}

function parseJson(text: string, place: MessagePlace, isLiteral: boolean): unknown {
  try {
    if (isLiteral) return parseExactJson(text);
    const json: unknown = JSON.parse(text);
    return losesDigits(json) ? parseExactJson(text) : json;
  } catch {
    throw badMessage(place, 'is neither JSON nor Avro with a schema of a registry');
  }
}

/** True where a number may have more digits than a double: in a row, or in what is no envelope. What else an envelope holds is not looked at. */
function losesDigits(json: unknown): boolean {
  if (!isObject(json)) return isLong(json);
  const body = isObject(json.payload) ? json.payload : json;
  if ('op' in body && 'source' in body) return isLong(body.before) || isLong(body.after);
  return isLong(body);
}

function isLong(json: unknown): boolean {
  if (typeof json === 'number') return json > Number.MAX_SAFE_INTEGER || json < -Number.MAX_SAFE_INTEGER;
  if (typeof json !== 'object' || json === null) return false;
  for (const name in json) if (isLong((json as Record<string, unknown>)[name])) return true;
  return false;
}

const closing = '}'.charCodeAt(0);
const schemaFirst = Buffer.from('{"schema":{');
const payloadNext = Buffer.from(',"payload":');

function startsWith(buffer: Buffer, prefix: Buffer): boolean {
  return buffer.length > prefix.length && buffer.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}

/** Where the payload begins in what JsonConverter writes; null in any other order or spacing. */
function payloadStart(buffer: Buffer): number | null {
  if (!startsWith(buffer, schemaFirst)) return null;
  let depth = 0;
  let isText = false;
  for (let at = schemaFirst.length - 1; at < buffer.length; at++) {
    const byte = buffer[at];
    if (isText) {
      if (byte === 0x5c) at += 1;
      else if (byte === 0x22) isText = false;
    } else if (byte === 0x22) isText = true;
    else if (byte === 0x7b) depth += 1;
    else if (byte === 0x7d) {
      depth -= 1;
      if (depth > 0) continue;
      const end = at + 1 + payloadNext.length;
      return payloadNext.equals(buffer.subarray(at + 1, end)) ? end : null;
    }
  }
  return null;
}
