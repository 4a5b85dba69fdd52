import { isObject } from '../producer/decode-json.ts';

/*
 * Kafka Connect's schemas (org.apache.kafka.connect.data.Schema), as JsonConverter writes them beside its payloads:
 *
 *   {"type": "struct" | "array" | "map" | "int8" … "bytes", "optional": true, "name": "io.debezium.time.Date", "version": 1,
 *    "parameters": {"scale": "2"}, "default": …, "doc": …, "fields": [{…, "field": "id"}], "items": …, "keys": …, "values": …}
 */

export const primitives = ['int8', 'int16', 'int32', 'int64', 'float', 'double', 'boolean', 'string', 'bytes'] as const;
export type Primitive = (typeof primitives)[number];

interface Described {
  /** What the value means, `io.debezium.time.Date`; null where it is just what its type says. */
  name: string | null;
  parameters: Readonly<Record<string, string>>;
  isOptional: boolean;
  /** As the values are; undefined without one. */
  default: unknown;
  doc: string | null;
}

export type ConnectType = Described &
  (
    | { type: Primitive }
    | { type: 'struct'; fields: readonly ConnectField[] }
    | { type: 'array'; items: ConnectType }
    | { type: 'map'; keys: ConnectType; values: ConnectType }
  );
export type ConnectStruct = Extract<ConnectType, { type: 'struct' }>;

export interface ConnectField {
  name: string;
  type: ConnectType;
}

/** What is wrong with a schema, in the words of a sentence's end. */
export class BadSchema {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** A type of JsonConverter's JSON. `path` leads to it, for the reason why it is none. */
export function parseConnectType(json: unknown, path = 'its top'): ConnectType | BadSchema {
  if (!isObject(json) || typeof json.type !== 'string') return new BadSchema(`has no type at ${path}`);
  const { type } = json;
  const described: Described = {
    name: typeof json.name === 'string' ? json.name : null,
    parameters: textsOf(json.parameters),
    isOptional: json.optional === true,
    default: json.default ?? undefined,
    doc: typeof json.doc === 'string' ? json.doc : null,
  };
  switch (type) {
    case 'struct': {
      if (!Array.isArray(json.fields)) return new BadSchema(`has a struct without fields at ${path}`);
      const fields: ConnectField[] = [];
      for (const entry of json.fields) {
        if (!isObject(entry) || typeof entry.field !== 'string')
          return new BadSchema(`has a field without a name at ${path}`);
        const field = parseConnectType(entry, `${path}, ${entry.field}`);
        if (field instanceof BadSchema) return field;
        fields.push({ name: entry.field, type: field });
      }
      return { ...described, type, fields };
    }
    case 'array': {
      const items = parseConnectType(json.items, `${path}, its items`);
      return items instanceof BadSchema ? items : { ...described, type, items };
    }
    case 'map': {
      const keys = parseConnectType(json.keys, `${path}, its keys`);
      if (keys instanceof BadSchema) return keys;
      const values = parseConnectType(json.values, `${path}, its values`);
      return values instanceof BadSchema ? values : { ...described, type, keys, values };
    }
    default: {
      const primitive = primitives.find((known) => known === type);
      return primitive ? { ...described, type: primitive } : new BadSchema(`has an unknown type at ${path}`);
    }
  }
}

export function fieldOf(type: ConnectType, name: string): ConnectType | null {
  return type.type === 'struct' ? (type.fields.find((field) => field.name === name)?.type ?? null) : null;
}

function textsOf(json: unknown): Record<string, string> {
  if (!isObject(json)) return {};
  return Object.fromEntries(
    Object.entries(json).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
