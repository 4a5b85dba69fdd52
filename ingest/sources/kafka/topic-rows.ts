import { DailiesError } from '#catalog/error.ts';
import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { ChangeReader, ReadChange } from './topic-batch.ts';
import type { PartitionExtent, TopicReader } from './topic-reader.ts';

const batchBytes = 4 << 20;

type Held = Map<string, Value>;

/**
 * Rows of a table by key as its topic tells them by now, by reading all of it: each value is the last that any record told.
 * Throws `value_unsupported` for a row of which no record tells a value that is asked for.
 */
export async function lastRows(
  topic: { name: string; extents: readonly PartitionExtent[]; reader: TopicReader; changes: ChangeReader },
  schema: Schema,
  keys: readonly Row[],
  signal: AbortSignal,
): Promise<Map<number, Row>> {
  const keySchema: Schema = { fields: schema.fields.filter(({ name }) => schema.key.includes(name)), key: schema.key };
  const order = keySchema.fields.map(({ name }) => schema.key.indexOf(name));
  const encodeKey = keyEncoder(keySchema);
  const wanted = new Map<string, Held | null>();
  const textOf = keys.map((key) => encodeKey(order.map((at) => key[at] ?? null)).toString('latin1'));
  for (const text of textOf) wanted.set(text, null);
  for (const { partition, first, next } of topic.extents) {
    // A row that is followed without being asked for: under its new key it may be.
    let removed: Held | null = null;
    let lastChange: ReadChange | null = null;
    for (let offset = first; offset < next; ) {
      signal.throwIfAborted();
      const records = await topic.reader.read({ topic: topic.name, partition, offset }, batchBytes, signal);
      const last = records.at(-1);
      if (!last) break;
      await topic.changes.prepare(records, topic.name, partition, signal);
      for (const record of records) {
        const change: ReadChange | null = topic.changes.read(topic.name, partition, record, lastChange);
        if (!change) continue;
        lastChange = change;
        const { op, before, after } = change.event;
        const carried: Held | null = op === 'c' ? removed : null;
        removed = null;
        if (op === 't') for (const text of wanted.keys()) wanted.set(text, null);
        const row = after ?? before;
        if (row === null) continue;
        const { fields } = change.schema;
        const keyRow = keySchema.fields.map(
          ({ name }) => row[fields.findIndex((field) => field.name === name)] ?? null,
        );
        if (keyRow.includes(UNKNOWN)) continue;
        const text = encodeKey(keyRow).toString('latin1');
        if (after === null) {
          removed = wanted.get(text) ?? null;
          if (wanted.has(text)) wanted.set(text, null);
          continue;
        }
        if (!wanted.has(text)) continue;
        const held: Held = new Map(wanted.get(text) ?? carried);
        for (const [index, value] of after.entries()) {
          if (value !== UNKNOWN) held.set(fields[index]?.name ?? '', value as Value);
        }
        wanted.set(text, held);
      }
      offset = last.offset + 1;
    }
  }
  const rows = new Map<number, Row>();
  for (const [index, text] of textOf.entries()) {
    const held = wanted.get(text);
    if (held)
      rows.set(
        index,
        schema.fields.map(({ name, type }) => widened(type.kind, lastTold(held, name, topic.name))),
      );
  }
  return rows;
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
