import { fileURLToPath } from 'node:url';
import { DailiesError } from '#catalog/error.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { Batch, SourcePosition } from '../../event.ts';
import type { ChangesRequest, DiscoveredTable, Requirement, Source, SourceDeps } from '../../source.ts';
import { checkTopics } from './check.ts';
import { chosenTables, discoveredTables, findTopics } from './discovery.ts';
import { KafkaMemory } from './kafka-memory.ts';
import { MessageDecoder } from './message-decoder.ts';
import { distanceBetween, formatOffsets, type Offsets, parseOffsets, setOffset } from './positions.ts';
import { RecordedTopics } from './recorded-topics.ts';
import { confluentRegistry, recordedSchemas, type SchemaRegistry } from './schema-registry.ts';
import { ChangeReader } from './topic-batch.ts';
import type { TopicReader } from './topic-reader.ts';
import { lastRows } from './topic-rows.ts';
import { TopicSession } from './topic-session.ts';
import { TopicTable } from './topic-table.ts';
import { UnavailableValue } from './unavailable-value.ts';

export interface KafkaConfig {
  url: string;
  tables: readonly string[];
  unavailableValue: string;
  skip: readonly string[];
}

/** Tables that Debezium tells of in topics. A topic is the store: its records, from the first that it holds, are the table. */
export class KafkaSource implements Source {
  readonly #config: KafkaConfig;
  readonly #deps: SourceDeps;
  readonly #reader: TopicReader;
  readonly #registry: SchemaRegistry;
  readonly #unavailable: UnavailableValue;
  /** Of a topic, when its head was last asked. */
  #bytesEach: ReadonlyMap<string, number> = new Map();
  #isReading = false;

  constructor(config: KafkaConfig, deps: SourceDeps) {
    const { folder, registry } = parseAddress(config.url);
    this.#config = config;
    this.#deps = deps;
    this.#reader = new RecordedTopics(folder);
    this.#registry = registry;
    this.#unavailable = new UnavailableValue(config.unavailableValue);
  }

  async discover(signal: AbortSignal): Promise<DiscoveredTable[]> {
    const found = await findTopics(this.#discovery(await this.#memory()), signal);
    return discoveredTables(found, this.#config.tables);
  }

  async check(signal: AbortSignal): Promise<Requirement[]> {
    const topics = () => this.#memory().then((memory) => findTopics(this.#discovery(memory), signal));
    return checkTopics(topics, this.#config.tables);
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Batch> {
    if (this.#isReading) {
      throw new DailiesError('conflict', `The changes of source ${this.#deps.name} are already being read.`);
    }
    this.#isReading = true;
    try {
      const memory = await this.#memory();
      const saveMemory = async () => {
        const { version } = memory;
        await this.#deps.memory.write(memory.toText());
        memory.markSaved(version);
      };
      const discovery = this.#discovery(memory);
      const found = await findTopics(discovery, signal);
      const { tables: patterns, skip } = this.#config;
      const { now } = this.#deps;
      const session = new TopicSession({ ...discovery, saveMemory, patterns, skip: skip.map(parseOffsets), now });
      yield* session.run(request, found, signal);
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    } finally {
      this.#isReading = false;
    }
  }

  /** Topics are kept or forgotten by their own rules. */
  async ack(): Promise<void> {}

  async head(signal: AbortSignal): Promise<SourcePosition> {
    const offsets: Offsets = new Map();
    const bytesEach = new Map<string, number>();
    for (const { topic, partition, first, next, bytes } of await this.#reader.extents(signal)) {
      setOffset(offsets, topic, partition, next);
      if (next > first) bytesEach.set(topic, Math.max(bytesEach.get(topic) ?? 0, bytes / (next - first)));
    }
    this.#bytesEach = bytesEach;
    return formatOffsets(offsets);
  }

  distance(from: SourcePosition, to: SourcePosition): number {
    return distanceBetween(parseOffsets(from), parseOffsets(to), this.#bytesEach);
  }

  /** Reads the table's whole topic. */
  async readRows(table: string, schema: Schema, keys: readonly Row[], signal: AbortSignal): Promise<Map<number, Row>> {
    const prefix = `${this.#deps.name}.`;
    const name = table.startsWith(prefix) ? table.slice(prefix.length) : table;
    const memory = await this.#memory();
    const discovery = this.#discovery(memory);
    const [found] = chosenTables(await findTopics(discovery, signal), [name]);
    if (!found) return new Map();
    const topicTable = new TopicTable(name, discovery);
    const changes = new ChangeReader(new MessageDecoder(this.#registry), topicTable, this.#deps.name);
    const topic = { name: found.topic, extents: found.partitions, reader: this.#reader, changes };
    return lastRows(topic, schema, keys, signal);
  }

  async close(): Promise<void> {
    await this.#reader.close();
  }

  /** Nothing was made. */
  async drop(): Promise<void> {}

  async #memory(): Promise<KafkaMemory> {
    return new KafkaMemory(await this.#deps.memory.read());
  }

  #discovery(memory: KafkaMemory) {
    const { name: source } = this.#deps;
    return { source, reader: this.#reader, registry: this.#registry, unavailable: this.#unavailable, memory };
  }
}

/** `file:///folder`, with `?registry=http://…` where Avro's schemas are not in its own folder `schemas`. */
function parseAddress(address: string): { folder: string; registry: SchemaRegistry } {
  let folder: string;
  let registry: string | null;
  try {
    const url = new URL(address);
    registry = url.searchParams.get('registry');
    url.search = '';
    folder = fileURLToPath(url);
  } catch (thrown) {
    throw new DailiesError(
      'source_refused',
      'The address of recorded topics is written as file:///folder, of a folder of this machine.',
      { cause: thrown },
    );
  }
  if (registry === null) return { folder, registry: recordedSchemas(`${folder}/schemas`) };
  if (!URL.canParse(registry) || !/^https?:/.test(registry))
    throw new DailiesError(
      'source_refused',
      'The registry in the address of recorded topics is no http:// or https:// address.',
    );
  return { folder, registry: confluentRegistry(registry) };
}
