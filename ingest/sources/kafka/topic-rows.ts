import { DailiesError } from '#catalog/error.ts';
import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { type ChangeReader, isKeyChange, type ReadChange } from './topic-batch.ts';
import type { PartitionExtent, TopicReader } from './topic-reader.ts';

const batchBytes = 4 << 20;

type Held = Map<string, Value>;

interface Topic {
  name: string;
  extents: readonly PartitionExtent[];
  reader: TopicReader;
  changes: ChangeReader;
}

/**
 * Rows of a table by key as its topic tells them by now, by reading all of it: each value is the last that any record told.
 * Throws `value_unsupported` for a row of which no record tells a value that is asked for.
 */
export async function lastRows(
  topic: Topic,
  schema: Schema,
  keys: readonly Row[],
  signal: AbortSignal,
): Promise<Map<number, Row>> {
  const keySchema: Schema = { fields: schema.fields.filter(({ name }) => schema.key.includes(name)), key: schema.key };
  const order = keySchema.fields.map(({ name }) => schema.key.indexOf(name));
  const encodeKey = keyEncoder(keySchema);
  const textOf = keys.map((key) => encodeKey(order.map((at) => key[at] ?? null)).toString('latin1'));
  const followed = new RowsByKey(keySchema, encodeKey, textOf);
  for (;;) {
    await readWhole(topic, followed, signal);
    // A row that has come from another key is followed from there, once it is known that it has.
    if (!followed.beginAnew()) break;
  }
  const rows = new Map<number, Row>();
  for (const [index, text] of textOf.entries()) {
    const held = followed.held(text);
    if (held)
      rows.set(
        index,
        schema.fields.map(({ name, type }) => widened(type.kind, lastTold(held, name, topic.name))),
      );
  }
  return rows;
}

async function readWhole({ name, extents, reader, changes }: Topic, followed: RowsByKey, signal: AbortSignal) {
  for (const { partition, first, next } of extents) {
    let lastChange: ReadChange | null = null;
    for (let offset = first; offset < next; ) {
      signal.throwIfAborted();
      const records = await reader.read({ topic: name, partition, offset }, batchBytes, signal);
      const last = records.at(-1);
      if (!last) break;
      await changes.prepare(records, name, partition, signal);
      for (const record of records) {
        const change: ReadChange | null = changes.read(name, partition, record, lastChange);
        if (!change) continue;
        followed.take(change, isKeyChange(record) ? lastChange : null);
        lastChange = change;
      }
      offset = last.offset + 1;
    }
  }
}

/** What is told of some rows, by their keys; null for one that is not there. */
class RowsByKey {
  readonly #keySchema: Schema;
  readonly #encodeKey: (key: Row) => Buffer;
  readonly #rows: Map<string, Held | null>;
  /** Keys that rows have come from and that were not followed. */
  readonly #origins = new Set<string>();
  /** The row that the last change has removed. */
  #removed: Held | null = null;

  constructor(keySchema: Schema, encodeKey: (key: Row) => Buffer, keys: readonly string[]) {
    this.#keySchema = keySchema;
    this.#encodeKey = encodeKey;
    this.#rows = new Map(keys.map((key) => [key, null]));
  }

  held(key: string): Held | null {
    return this.#rows.get(key) ?? null;
  }

  /** True if there are more keys to follow now, from the beginning of the topic. */
  beginAnew(): boolean {
    if (this.#origins.size === 0) return false;
    for (const key of [...this.#rows.keys(), ...this.#origins]) this.#rows.set(key, null);
    this.#origins.clear();
    return true;
  }

  /** `origin`: the removal under its old key of a row that has come under another one. */
  take({ event: { op, before, after }, schema }: ReadChange, origin: ReadChange | null): void {
    const removed = this.#removed;
    this.#removed = null;
    if (op === 't') for (const key of this.#rows.keys()) this.#rows.set(key, null);
    const key = this.#keyOf(schema, after ?? before);
    if (key === null || !this.#rows.has(key)) return;
    if (after === null) {
      this.#removed = this.held(key);
      this.#rows.set(key, null);
      return;
    }
    const held: Held = new Map(this.held(key));
    for (const [index, value] of after.entries()) {
      const name = schema.fields[index]?.name ?? '';
      const told = value === UNKNOWN ? this.#carried(name, origin, removed) : value;
      if (told !== undefined) held.set(name, told);
    }
    this.#rows.set(key, held);
  }

  #carried(field: string, origin: ReadChange | null, removed: Held | null): Value | undefined {
    const key = origin && this.#keyOf(origin.schema, origin.event.before);
    if (key === null) return undefined;
    if (!this.#rows.has(key)) this.#origins.add(key);
    return removed?.get(field);
  }

  #keyOf({ fields }: Schema, row: Row | null): string | null {
    if (row === null) return null;
    const key = this.#keySchema.fields.map(({ name }) => row[fields.findIndex((field) => field.name === name)] ?? null);
    return key.includes(UNKNOWN) ? null : this.#encodeKey(key).toString('latin1');
  }
}

function lastTold(held: Held, field: string, topic: string): Value {
  const value = held.get(field);
  if (value !== undefined) return value;
  throw new DailiesError(
    'value_unsupported',
    `No record of the topic ${topic} tells the ${field} of a row whose last change leaves it out. Have Debezium take a snapshot of its table.`,
    { details: { topic, field } },
  );
}

/** From before a column's type grew. */
function widened(kind: string, value: Value): Value {
  return kind === 'long' && typeof value === 'number' ? BigInt(value) : value;
}
