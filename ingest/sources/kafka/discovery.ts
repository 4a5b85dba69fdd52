import { DailiesError } from '#catalog/error.ts';
import { nearestName } from '#catalog/services/nearest-name.ts';
import { isPattern } from '../../pipeline/table-patterns.ts';
import type { DiscoveredTable } from '../../source.ts';
import { isObject } from '../producer/decode-json.ts';
import { type Envelope, openEnvelope } from './envelope.ts';
import type { KafkaMemory } from './kafka-memory.ts';
import { type Message, MessageDecoder } from './message-decoder.ts';
import type { SchemaRegistry } from './schema-registry.ts';
import type { PartitionExtent, TopicReader, TopicRecord } from './topic-reader.ts';
import { TopicTable } from './topic-table.ts';
import type { UnavailableValue } from './unavailable-value.ts';

/** What a topic is: of a table, of Debezium's own, or something else. */
export type FoundTopic = { topic: string; partitions: readonly PartitionExtent[] } & (
  | { kind: 'table'; table: DiscoveredTable; hasKey: boolean }
  /** Heartbeats, transactions, DDL, messages of the database, and topics without a record. */
  | { kind: 'silent' }
  | { kind: 'unreadable'; error: DailiesError }
);

export interface DiscoveryDeps {
  source: string;
  reader: TopicReader;
  registry: SchemaRegistry;
  unavailable: UnavailableValue;
  memory: KafkaMemory;
}

const peekBytes = 128 << 10;
/** Of a topic that tells no types so much is read for them. */
const sampleBytes = 8 << 20;

/**
 * Every topic, with the table that its last change tells. Types that a topic does not tell are inferred from its beginning
 * and its end, and noted in the memory. Throws `source_unreachable` where the topics, or the registry, cannot be reached.
 */
export async function findTopics(deps: DiscoveryDeps, signal: AbortSignal): Promise<FoundTopic[]> {
  const topics = Map.groupBy(await deps.reader.extents(signal), ({ topic }) => topic);
  const found: FoundTopic[] = [];
  for (const [topic, partitions] of topics)
    found.push({ topic, partitions, ...(await look(deps, partitions, signal)) });
  return refuseDoubles(deps.source, found);
}

/** Tables of the patterns, in the order of their names. A pattern without `*` that matches none is `table_unknown`. */
export function chosenTables(
  found: readonly FoundTopic[],
  patterns: readonly string[],
): Extract<FoundTopic, { kind: 'table' }>[] {
  const names = found.flatMap((topic) => nameOf(topic) ?? []);
  for (const pattern of patterns) {
    if (isPattern(pattern) || names.includes(pattern)) continue;
    const near = nearestName(pattern, names);
    const hint = near === null ? 'No topic tells of any table.' : `The nearest is ${near}.`;
    throw new DailiesError('table_unknown', `No topic tells of the table ${pattern}. ${hint}`, {
      details: { table: pattern },
    });
  }
  return found
    .filter((topic) => topic.kind === 'table')
    .filter((topic) => isChosen(topic, patterns))
    .sort((a, b) => (a.table.name < b.table.name ? -1 : 1));
}

/** The same with those that cannot be read, each with the reason. */
export function discoveredTables(found: readonly FoundTopic[], patterns: readonly string[]): DiscoveredTable[] {
  const refused = found.flatMap((topic): DiscoveredTable[] => {
    if (topic.kind !== 'unreadable' || !isChosen(topic, patterns)) return [];
    const name = nameOf(topic) ?? topic.topic;
    return [{ name, schema: { fields: [], key: [] }, refusal: topic.error.message, notes: [] }];
  });
  const tables = chosenTables(found, patterns).map(({ table }) => table);
  const readable = new Set(tables.map(({ name }) => name));
  return [...tables, ...refused.filter(({ name }) => !readable.has(name))];
}

/** What cannot be read is called as a topic of its name would be. */
function nameOf(topic: FoundTopic): string | null {
  if (topic.kind === 'table') return topic.table.name;
  if (topic.kind === 'silent') return null;
  const parts = topic.topic.split('.');
  return parts.length > 2 ? parts.slice(1).join('.') : topic.topic;
}

function isChosen(topic: FoundTopic, patterns: readonly string[]): boolean {
  const name = nameOf(topic);
  return name !== null && patterns.some((pattern) => matches(pattern, name));
}

function matches(pattern: string, name: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^]*')}$`).test(name);
}

type Look =
  | { kind: 'table'; table: DiscoveredTable; hasKey: boolean }
  | { kind: 'silent' }
  | { kind: 'unreadable'; error: DailiesError };

interface Change {
  envelope: Envelope;
  key: Message | null;
  record: TopicRecord;
  partition: PartitionExtent;
}

async function look(deps: DiscoveryDeps, partitions: readonly PartitionExtent[], signal: AbortSignal): Promise<Look> {
  const decoder = new MessageDecoder(deps.registry);
  let error: DailiesError | null = null;
  for (const isTail of [true, false]) {
    for (const partition of partitions) {
      if (partition.first === partition.next) continue;
      try {
        const records = isTail
          ? (await deps.reader.readLast(partition.topic, partition.partition, peekBytes, signal)).reverse()
          : await deps.reader.read({ ...partition, offset: partition.first }, peekBytes, signal);
        const change = await firstChange(decoder, records, partition, signal);
        if (change === 'silent') return { kind: 'silent' };
        if (change) return await tableOf(deps, decoder, change, partitions, signal);
      } catch (thrown) {
        if (!(thrown instanceof DailiesError) || !ofOneTopic.has(thrown.code)) throw thrown;
        error ??= thrown;
      }
    }
  }
  return error === null ? { kind: 'silent' } : { kind: 'unreadable', error };
}

const ofOneTopic: ReadonlySet<string> = new Set(['value_unsupported', 'source_not_ready', 'source_protocol']);

async function firstChange(
  decoder: MessageDecoder,
  records: readonly TopicRecord[],
  partition: PartitionExtent,
  signal: AbortSignal,
): Promise<Change | 'silent' | null> {
  for (const record of records) {
    if (record.value === null) continue;
    await decoder.prepare([record.key, record.value], signal);
    const place = { topic: partition.topic, partition: partition.partition, offset: record.offset };
    const message = decoder.decode(record.value, { ...place, part: 'value' }, true);
    const opened = openEnvelope(message);
    // A truncation tells no row.
    if (opened.kind === 'change' && opened.envelope.op === 't') continue;
    if (opened.kind === 'message') return 'silent';
    if (opened.kind === 'change') {
      const key = record.key && decoder.decode(record.key, { ...place, part: 'key' });
      return { envelope: opened.envelope, key, record, partition };
    }
    if (isOfDebezium(partition.topic, message.value)) return 'silent';
    throw new DailiesError(
      'value_unsupported',
      `The record of ${place.topic}, partition ${place.partition}, offset ${place.offset}, ${opened.what}.`,
      { details: { ...place } },
    );
  }
  return null;
}

/** Heartbeats, transactions, and the changes of MySQL's schemas. */
function isOfDebezium(topic: string, value: unknown): boolean {
  if (topic.startsWith('__debezium')) return true;
  if (!isObject(value)) return false;
  const names = Object.keys(value);
  return (
    ['status', 'id', 'event_count'].every((name) => names.includes(name)) ||
    ['source', 'databaseName', 'ddl'].every((name) => names.includes(name)) ||
    (names.length === 1 && names[0] === 'ts_ms')
  );
}

async function tableOf(
  deps: DiscoveryDeps,
  decoder: MessageDecoder,
  change: Change,
  partitions: readonly PartitionExtent[],
  signal: AbortSignal,
): Promise<Look> {
  const { topic } = change.partition;
  const name = tableName(topic, change.envelope);
  const table = new TopicTable(name, deps);
  const notes: string[] = [];
  if (change.envelope.rowType === null) {
    notes.push('Its topic tells no types: fields are those of the records that came.');
    if (deps.memory.inferred(name).length === 0) await sample(deps, decoder, table, partitions, signal);
  }
  const { schema } = table.change(change.envelope, change.key, placeOf(change));
  const defaults = change.envelope.rowType?.fields.filter(({ type }) => type.isOptional && type.default !== undefined);
  if (defaults && defaults.length > 0) {
    const list = defaults.map((field) => field.name).join(', ');
    notes.push(
      `NULL in ${list} comes as the column's default, unless Debezium's converter has replace.null.with.default=false.`,
    );
  }
  const texts = deps.memory.textColumns(name);
  if (texts.length > 0)
    notes.push(`Values that the type of ${texts.join(', ')} cannot hold stand as text in a column of their own.`);
  if (schema.key.length === 0) notes.push('Its records have no key: rows are told apart by all their values.');
  return { kind: 'table', table: { name, schema, refusal: null, notes }, hasKey: schema.key.length > 0 };
}

/** Types of what nobody told, from the beginning of each partition and its end. */
async function sample(
  { reader }: DiscoveryDeps,
  decoder: MessageDecoder,
  table: TopicTable,
  partitions: readonly PartitionExtent[],
  signal: AbortSignal,
): Promise<void> {
  for (const partition of partitions) {
    const first = await reader.read({ ...partition, offset: partition.first }, sampleBytes / partitions.length, signal);
    const last = await reader.readLast(partition.topic, partition.partition, peekBytes, signal);
    for (const record of [...first, ...last]) {
      if (record.value === null) continue;
      try {
        await decoder.prepare([record.key, record.value], signal);
        const place = { topic: partition.topic, partition: partition.partition, offset: record.offset };
        const opened = openEnvelope(decoder.decode(record.value, { ...place, part: 'value' }, true));
        const key = record.key && decoder.decode(record.key, { ...place, part: 'key' });
        if (opened.kind === 'change') table.change(opened.envelope, key, place, true);
      } catch (thrown) {
        // It is told when the table is followed up to it.
        if (!(thrown instanceof DailiesError) || !ofOneTopic.has(thrown.code)) throw thrown;
      }
    }
  }
}

function placeOf({ partition: { topic, partition }, record: { offset } }: Change) {
  return { topic, partition, offset };
}

/**
 * schema.table (database.table of MySQL) as the database holds them, where the topic is named after them; else the topic's
 * own name behind its prefix.
 */
function tableName(topic: string, { prefix, schema, table }: Envelope): string {
  if (schema !== null && table !== null) {
    const plain = `${prefix}.${schema}.${table}`.replace(/[^A-Za-z\d._-]/g, '_');
    if (plain === topic || `${prefix}.${schema}.${table}` === topic) return `${schema}.${table}`;
  }
  return prefix !== '' && topic.startsWith(`${prefix}.`) ? topic.slice(prefix.length + 1) : topic;
}

/** Of topics that tell of one table only the first is followed. */
function refuseDoubles(source: string, found: readonly FoundTopic[]): FoundTopic[] {
  const topicOf = new Map<string, string>();
  return found.map((topic) => {
    if (topic.kind !== 'table') return topic;
    const { name } = topic.table;
    const other = topicOf.get(name);
    if (other === undefined) {
      topicOf.set(name, topic.topic);
      return topic;
    }
    const message = `The topics ${other} and ${topic.topic} both tell of ${source}.${name}; only the first is followed. Put the topics of each prefix into a folder of their own.`;
    return {
      topic: topic.topic,
      partitions: topic.partitions,
      kind: 'unreadable',
      error: new DailiesError('source_not_ready', message, { details: { topic: topic.topic } }),
    };
  });
}
