import { DailiesError } from '#catalog/error.ts';
import type { Batch, BatchItem } from '../../event.ts';
import type { ChangesRequest } from '../../source.ts';
import { chosenTables, type FoundTopic } from './discovery.ts';
import type { KafkaMemory } from './kafka-memory.ts';
import { MessageDecoder } from './message-decoder.ts';
import { formatOffsets, type Offsets, offsetOf, parseOffsets, setOffset } from './positions.ts';
import type { SchemaRegistry } from './schema-registry.ts';
import { TableSnapshot } from './table-snapshot.ts';
import { addedRows, ChangeReader, changeItems, type ReadChange } from './topic-batch.ts';
import type { PartitionExtent, TopicReader, TopicRecord } from './topic-reader.ts';
import { TopicTable } from './topic-table.ts';
import type { UnavailableValue } from './unavailable-value.ts';

const batchBytes = 1 << 20;
const idleEveryMs = 1_000;
/** Debezium writes both halves of a key change at once. */
const patienceMs = 10_000;

export interface SessionDeps {
  source: string;
  reader: TopicReader;
  registry: SchemaRegistry;
  unavailable: UnavailableValue;
  memory: KafkaMemory;
  /** Makes what the memory holds durable. */
  saveMemory: () => Promise<void>;
  /** Records that are known to be broken. */
  skip: Offsets[];
  patterns: readonly string[];
  now: () => Date;
}

interface Followed {
  topic: string;
  /** source.schema.table */
  name: string;
  reader: ChangeReader;
  found: Extract<FoundTopic, { kind: 'table' }>;
  snapshot: TableSnapshot | null;
}

/**
 * One run of a source over its topics. Each table is read from its own offsets on, a megabyte of a partition at a time, all of
 * them in turns:
 *
 *   to be snapshotted, no key   ──► begin, end, then its topic as changes, one incomplete whole to where it ended at the start
 *   to be snapshotted, a key    ──► begin (chunked), its topic from the first record on, end where it ended at the start
 *   all                         ──► changes as they come
 */
export class TopicSession {
  readonly #deps: SessionDeps;
  readonly #offsets: Offsets = new Map();
  readonly #followed: Followed[] = [];
  /** Where a key change was held back till the rest of it is there. */
  readonly #heldBack = new Map<string, { offset: number; sinceMs: number }>();
  #timeMicros = 0n;

  constructor(deps: SessionDeps) {
    this.#deps = deps;
  }

  async *run(request: ChangesRequest, found: readonly FoundTopic[], signal: AbortSignal): AsyncGenerator<Batch> {
    this.#start(request, found);
    yield* this.#keylessSnapshots(signal);
    while (!signal.aborted) {
      // Before the topics' ends are looked at, so that nothing older can be behind it.
      const lookedMicros = this.#nowMicros();
      let isIdle = true;
      for (const followed of this.#followed) {
        for (const partition of [...(this.#offsets.get(followed.topic)?.keys() ?? [])]) {
          if (signal.aborted) return;
          const batch = await this.#next(followed, partition, signal);
          if (batch === null) continue;
          isIdle = false;
          yield batch;
        }
      }
      if (!isIdle) continue;
      this.#pass(await this.#deps.reader.extents(signal));
      yield this.#batch([], lookedMicros);
      await this.#deps.reader.changed(idleEveryMs, signal);
    }
  }

  /** Throws `source_slot_lost` where a topic no longer holds what comes next. */
  #start({ from, tables }: ChangesRequest, found: readonly FoundTopic[]): void {
    const known: Offsets = from === null ? new Map() : parseOffsets(from);
    for (const topic of chosenTables(found, this.#deps.patterns)) {
      const requested = tables.get(topic.table.name);
      if (!requested) continue;
      const { source, memory, unavailable, registry } = this.#deps;
      const name = `${source}.${topic.table.name}`;
      const table = new TopicTable(topic.table.name, { source, memory, unavailable });
      const isNew = from === null || requested.snapshot;
      const resumed =
        isNew && requested.cursor !== null && topic.hasKey
          ? TableSnapshot.resume(name, requested.generation, requested.cursor, topic.partitions)
          : null;
      for (const extent of topic.partitions) {
        const { partition, first } = extent;
        const held = resumed
          ? (resumed.at.get(partition) ?? first)
          : isNew
            ? null
            : offsetOf(known, topic.topic, partition);
        if (held !== null) refuseLost(extent, held);
        setOffset(this.#offsets, topic.topic, partition, held ?? first);
      }
      this.#followed.push({
        topic: topic.topic,
        name,
        reader: new ChangeReader(new MessageDecoder(registry), table, source),
        found: topic,
        snapshot:
          resumed?.snapshot ?? (isNew ? TableSnapshot.begin(name, requested.generation, topic.partitions) : null),
      });
    }
    this.#pass(found.flatMap(({ partitions }) => partitions));
  }

  /** Each as one whole: its rows are matched by all their values, so that none may be told twice. */
  async *#keylessSnapshots(signal: AbortSignal): AsyncGenerator<Batch> {
    for (const followed of this.#followed) {
      const { snapshot, found } = followed;
      if (snapshot === null || found.hasKey) continue;
      followed.snapshot = null;
      const before = formatOffsets(this.#offsets);
      let items: BatchItem[] = snapshot.whole(found.table.schema);
      while (!signal.aborted) {
        const isDone = snapshot.isEnd(this.#offsets.get(followed.topic) ?? new Map());
        const position = isDone ? formatOffsets(this.#offsets) : before;
        yield { items, position, timeMicros: this.#timeMicros, isComplete: isDone };
        if (isDone) break;
        items = [];
        for (const { partition } of found.partitions)
          items.push(...((await this.#next(followed, partition, signal))?.items ?? []));
      }
    }
  }

  /** The next records of a partition as a batch; null if there are none now. */
  async #next(followed: Followed, partition: number, signal: AbortSignal): Promise<Batch | null> {
    const { topic, name, reader, snapshot, found } = followed;
    const offset = offsetOf(this.#offsets, topic, partition) ?? 0;
    let read: TopicRecord[];
    try {
      read = await this.#deps.reader.read({ topic, partition, offset }, batchBytes, signal);
    } catch (thrown) {
      throw ofTable(thrown, name);
    }
    const records = this.#withoutHalfKeyChange(topic, partition, read);
    const [last] = records.slice(-1);
    if (!last) return null;
    const isSkipped = (record: TopicRecord) =>
      this.#deps.skip.some((skipped) => offsetOf(skipped, topic, partition) === record.offset);
    const wanted = this.#deps.skip.length > 0 ? records.filter((record) => !isSkipped(record)) : records;
    await reader.prepare(wanted, topic, partition, signal);
    const changes: ReadChange[] = [];
    for (const record of wanted) {
      const change = reader.read(topic, partition, record, changes.at(-1) ?? null);
      if (change) changes.push(change);
    }
    // What a restart has to know of these rows is durable before they are.
    if (!this.#deps.memory.isSaved) await this.#deps.saveMemory();
    setOffset(this.#offsets, topic, partition, last.offset + 1);
    const position = formatOffsets(this.#offsets);
    for (const { timeMicros } of changes)
      if (timeMicros !== null && timeMicros > this.#timeMicros) this.#timeMicros = timeMicros;
    const items = changeItems(name, changes, position, this.#nowMicros());
    if (snapshot === null) return this.#batch(items, this.#timeMicros);
    const at = this.#offsets.get(topic) ?? new Map<number, number>();
    const begin = snapshot.begin(changes[0]?.schema ?? found.table.schema, true);
    const chunk = snapshot.chunk(at, addedRows(changes));
    if (snapshot.isEnd(at)) followed.snapshot = null;
    return this.#batch([...begin, ...items, ...chunk], this.#timeMicros);
  }

  /**
   * A delete that a row under a new key follows is taken together with it, for its values may be the row's own. In a topic of
   * several partitions that row may stand in another one: nothing waits for it.
   */
  #withoutHalfKeyChange(topic: string, partition: number, records: TopicRecord[]): TopicRecord[] {
    const at = records.findLastIndex(({ headers }) => !headers.includes('__debezium.newkey')) + 1;
    const first = records[at];
    if (!first || (this.#offsets.get(topic)?.size ?? 1) > 1) return records;
    const name = `${topic} ${partition}`;
    const held = this.#heldBack.get(name);
    const nowMs = this.#deps.now().getTime();
    if (held?.offset !== first.offset) this.#heldBack.set(name, { offset: first.offset, sinceMs: nowMs });
    else if (nowMs - held.sinceMs > patienceMs) return records;
    return records.slice(0, at);
  }

  /** The ends were looked at: partitions that followed topics have got are taken up, topics that are not followed are passed. */
  #pass(extents: readonly PartitionExtent[]): void {
    const followed = new Set(this.#followed.map(({ topic }) => topic));
    for (const topic of [...this.#offsets.keys()]) if (!followed.has(topic)) this.#offsets.delete(topic);
    for (const extent of extents) {
      const { topic, partition, first, next } = extent;
      if (!followed.has(topic)) {
        setOffset(this.#offsets, topic, partition, next);
        continue;
      }
      const held = offsetOf(this.#offsets, topic, partition);
      if (held === null) setOffset(this.#offsets, topic, partition, first);
      else refuseLost(extent, held);
    }
  }

  #batch(items: BatchItem[], timeMicros: bigint): Batch {
    return { items, position: formatOffsets(this.#offsets), timeMicros, isComplete: true };
  }

  #nowMicros(): bigint {
    return BigInt(this.#deps.now().getTime()) * 1000n;
  }
}

/** Where a topic was cut at its beginning behind what was read, or is another one now. */
function refuseLost({ topic, partition, first, next }: PartitionExtent, held: number): void {
  if (first <= held && held <= next) return;
  const what =
    first > held
      ? `now begins at offset ${first}, and ${first - held} offsets behind ${held} are gone unread`
      : `ends at offset ${next}, before ${held}, to which it was read: it is another topic now`;
  throw new DailiesError(
    'source_slot_lost',
    `The topic ${topic}, partition ${partition}, ${what}. Have Debezium take a snapshot of its table into the topic, then resume the source: its tables are read again from what the topics hold.`,
    { details: { topic, partition, held, first, next } },
  );
}

function ofTable(thrown: unknown, table: string): unknown {
  if (!(thrown instanceof DailiesError) || thrown.code !== 'value_unsupported') return thrown;
  return new DailiesError(thrown.code, thrown.message, { cause: thrown, details: { table, ...thrown.details } });
}
