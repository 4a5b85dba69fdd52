import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import { wait } from '#catalog/wait.ts';
import type { Batch, BatchItem, ChangeEvent, SourcePosition, Transaction } from '../../event.ts';
import { notRunning, type ProducerReceipt, type ProducerRequest } from '../../intake.ts';
import type { ChangesRequest, DiscoveredTable, Requirement, Source, SourceDeps, SourceRuntime } from '../../source.ts';
import { type CheckedEvents, checkEvents, type ProducerTable } from './check-events.ts';
import { readBody } from './read-body.ts';
import { Sequences, storedSequences } from './sequences.ts';

const idleEveryMs = 1_000;
/** What is taken and not yet durable; beyond it producers are asked to wait. */
const maxPendingBytes = 64 << 20;
/** A batch of several requests holds about so much of their bodies. */
const batchBytes = 4 << 20;
const saveEveryMs = 5_000;

const memorySchema = z.object({
  position: z.string(),
  sequences: storedSequences,
  /** Shapes of tables whose fields nobody declared, by name. */
  schemas: z.record(z.string(), z.custom<Schema>()),
});
type Memory = z.infer<typeof memorySchema>;

export interface ProducerConfig {
  /** By name; `schema` is null where its fields are inferred. */
  tables: Readonly<Record<string, { key: readonly string[]; schema: Schema | null }>>;
}

interface Pending {
  table: string;
  checked: CheckedEvents;
  bytes: number;
  producer: ProducerRequest['producer'];
  position: SourcePosition;
  isDurable: PromiseWithResolvers<void>;
}

/**
 * Tables whose changes programs send us. We are the store: the log is all that there is of the past, so there is nothing
 * to take a snapshot of, and nothing to read again. A position counts the bytes of all requests taken.
 *
 * A request is answered when it is durable in the log; the transaction there bears its producer's id and sequence, by which
 * the sequences of what was taken after the last note are found again.
 */
export class ProducerSource implements Source {
  readonly #config: ProducerConfig;
  readonly #name: string;
  readonly #runtime: SourceRuntime | undefined;
  readonly #memory: SourceDeps['memory'];
  readonly #askHead: SourceDeps['askHead'];
  readonly #now: () => Date;
  readonly #tables = new Map<string, ProducerTable>();
  readonly #sequences = new Sequences();
  /** Taken, not yet handed out. */
  #queue: Pending[] = [];
  /** Taken, not yet durable, in order. */
  #pending: Pending[] = [];
  #pendingBytes = 0;
  /** Tables whose snapshot, an empty one, is not handed out yet: generation by name. */
  readonly #unbegun = new Map<string, number>();
  /** After the last request that was taken; that is handed out; that is durable. */
  #position = 0n;
  #handedOut = 0n;
  #durable = 0n;
  #savedMs = 0;
  #wake: () => void = () => undefined;

  constructor(config: ProducerConfig, deps: SourceDeps) {
    this.#config = config;
    this.#name = deps.name;
    this.#now = deps.now;
    this.#runtime = deps.runtime;
    this.#memory = deps.memory;
    this.#askHead = deps.askHead;
  }

  async discover(): Promise<DiscoveredTable[]> {
    await this.#load();
    return [...this.#tables.values()].map(({ name, schema, isInferred }) => ({
      name,
      schema,
      refusal: null,
      notes: isInferred ? ['Its fields are those of the events that came.'] : [],
    }));
  }

  async check(): Promise<Requirement[]> {
    return [];
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Batch> {
    const runtime = this.#requireRuntime();
    const memory = await this.#load();
    // Where the log was lost, positions go on above those that tables hold.
    const noted = BigInt(memory?.position ?? 0);
    const from = BigInt(request.from ?? 0);
    this.#position = this.#handedOut = this.#durable = from > noted ? from : noted;
    await this.#recover(runtime, noted);
    for (const [table, { snapshot, generation }] of request.tables) {
      if (snapshot) this.#unbegun.set(table, generation);
    }
    const place = runtime.intake.join(this.#name, {
      receive: (sent) => this.#receive(sent, request.tables),
      head: () => String(this.#position),
    });
    try {
      const declared = [...this.#unbegun.keys()].filter((table) => this.#tables.get(table)?.schema.fields.length);
      if (declared.length > 0) yield this.#batch(declared.flatMap((table) => this.#begin(table)));
      while (!signal.aborted) {
        if (this.#queue.length === 0) await this.#woken(signal);
        if (signal.aborted) break;
        yield* this.#next();
      }
    } finally {
      place.leave();
      for (const pending of this.#pending) pending.isDurable.reject(notRunning(this.#name));
      this.#pending = [];
      this.#queue = [];
    }
  }

  async ack(upTo: SourcePosition): Promise<void> {
    this.#durable = BigInt(upTo);
    while (this.#pending[0] && BigInt(this.#pending[0].position) <= this.#durable) {
      const pending = this.#pending.shift() as Pending;
      this.#pendingBytes -= pending.bytes;
      pending.isDurable.resolve();
    }
    const nowMs = this.#now().getTime();
    if (nowMs - this.#savedMs < saveEveryMs) return;
    this.#savedMs = nowMs;
    await this.#save();
  }

  async head(signal: AbortSignal): Promise<SourcePosition> {
    return this.#askHead ? this.#askHead(signal) : String(this.#position);
  }

  distance(from: SourcePosition, to: SourcePosition): number {
    return Math.max(0, Number(BigInt(to) - BigInt(from)));
  }

  /** There is nowhere to read them: events carry whole rows. */
  async readRows(_table: string, _schema: Schema, _keys: readonly Row[]): Promise<Map<number, Row>> {
    return new Map();
  }

  async close(): Promise<void> {}

  async drop(): Promise<void> {}

  /**
   * Throws `table_unknown`; `invalid` with the problems of each event in `details.problems`; `conflict` for a sequence that
   * does not follow; `throttled` while too much waits to become durable; `source_unreachable` where the source stopped
   * before it could tell: the same request may be sent again.
   */
  async #receive(sent: ProducerRequest, followed: ChangesRequest['tables']): Promise<ProducerReceipt> {
    const { producer } = sent;
    const table = this.#tables.get(sent.table);
    if (!table || !followed.has(sent.table)) {
      const known = [...this.#tables.keys()].join(', ');
      throw new DailiesError('table_unknown', `The source ${this.#name} has no table ${sent.table}; it has ${known}.`);
    }
    const answered = producer && this.#sequences.answered(producer.id, producer.sequence);
    if (answered !== null) {
      // The first of the two may still be on its way.
      await this.#pending.find(({ position }) => position === answered)?.isDurable.promise;
      return { position: answered, events: readBody(sent.body).length, isRepeat: true };
    }
    if (this.#pendingBytes > maxPendingBytes) {
      throw new DailiesError(
        'throttled',
        `The source ${this.#name} has more events in hand than it can write; wait a second.`,
        {
          details: { retryAfterSeconds: 1 },
        },
      );
    }
    const items = readBody(sent.body);
    if (items.length === 0) throw new DailiesError('invalid', 'The request holds no event.');
    const checked = checkEvents(table, items);
    if (Array.isArray(checked)) {
      const [first] = checked;
      const place = first?.field === undefined ? 'it' : first.field;
      const message = `Nothing was taken, for ${checked.length === 1 ? 'one thing is' : `${checked.length} things are`} wrong with the events. The first: event ${first?.index}, ${place} ${first?.message}`;
      throw new DailiesError('invalid', message, { details: { problems: checked } });
    }
    const bytes = Buffer.byteLength(sent.body);
    this.#position += BigInt(Math.max(1, bytes));
    const position = String(this.#position);
    const isDurable = Promise.withResolvers<void>();
    const pending = { table: sent.table, checked, bytes, producer, position, isDurable };
    if (producer) this.#sequences.record(producer.id, producer.sequence, position, this.#now().getTime());
    this.#queue.push(pending);
    this.#pending.push(pending);
    this.#pendingBytes += bytes;
    if (checked.schema !== table.schema) this.#tables.set(sent.table, { ...table, schema: checked.schema });
    this.#wake();
    await isDurable.promise;
    return { position, events: checked.events.length, isRepeat: false };
  }

  /** The next requests as one batch, after the beginnings of tables that come with them; an empty batch if there are none. */
  *#next(): Generator<Batch> {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && (count === 0 || bytes < batchBytes)) bytes += this.#queue[count++]?.bytes ?? 0;
    const taken = this.#queue.splice(0, count);
    const begun = taken.flatMap(({ table, checked }) =>
      this.#unbegun.has(table) ? this.#begin(table, checked.schema) : [],
    );
    if (begun.length > 0) yield this.#batch(begun);
    this.#handedOut = BigInt(taken.at(-1)?.position ?? this.#handedOut);
    yield this.#batch(taken.map((pending) => this.#changesOf(pending)));
  }

  #changesOf({ table, checked, producer, position }: Pending): BatchItem {
    const arrivedMicros = this.#nowMicros();
    const id = producer ? `${producer.sequence} ${producer.id}` : '0';
    const transactions: Transaction[] = [];
    const events = checked.events.map(({ op, before, after, timeMicros }): ChangeEvent => {
      const at = timeMicros ?? arrivedMicros;
      if (transactions.at(-1)?.timeMicros !== at) transactions.push({ id, position, timeMicros: at });
      return { op, before, after, tx: transactions.length - 1 };
    });
    return {
      kind: 'changes',
      changes: { table: `${this.#name}.${table}`, schema: checked.schema, events, transactions },
    };
  }

  #begin(table: string, schema = this.#tables.get(table)?.schema): BatchItem[] {
    const generation = this.#unbegun.get(table) ?? 1;
    this.#unbegun.delete(table);
    const name = `${this.#name}.${table}`;
    return [
      { kind: 'snapshot-begin', table: name, schema: schema ?? { fields: [], key: [] }, generation, isChunked: false },
      { kind: 'snapshot-end', table: name, generation, rows: 0 },
    ];
  }

  #batch(items: BatchItem[]): Batch {
    return { items, position: String(this.#handedOut), timeMicros: this.#nowMicros(), isComplete: true };
  }

  #nowMicros(): bigint {
    return BigInt(this.#now().getTime()) * 1000n;
  }

  async #load(): Promise<Memory | null> {
    const stored = await this.#memory.read();
    const memory = stored === null ? null : memorySchema.parse(JSON.parse(stored));
    for (const [name, { key, schema }] of Object.entries(this.#config.tables)) {
      const known = memory?.schemas[name];
      const isInferred = schema === null;
      const inferred = known && String(known.key) === String(key) ? known : { fields: [], key };
      this.#tables.set(name, { name, schema: schema ?? inferred, isInferred });
    }
    if (memory) this.#sequences.restore(memory.sequences);
    return memory;
  }

  /** What was taken after the last note stands in the log: its sequences, and its fields. */
  async #recover(runtime: SourceRuntime, noted: bigint): Promise<void> {
    const missed: Batch[] = [];
    for await (const batch of runtime.recent()) {
      if (BigInt(batch.position) <= noted) break;
      missed.push(batch);
    }
    for (const batch of missed.reverse()) {
      for (const item of batch.items) {
        if (item.kind !== 'changes') continue;
        const { table, schema, transactions } = item.changes;
        const known = this.#tables.get(table.slice(this.#name.length + 1));
        if (known?.isInferred) this.#tables.set(known.name, { ...known, schema });
        for (const { id, position } of transactions) {
          const [, sequence, producer] = /^(\d+) (.+)$/s.exec(id) ?? [];
          if (sequence && producer) {
            this.#sequences.record(producer, BigInt(sequence), position, this.#now().getTime());
          }
        }
      }
    }
  }

  async #save(): Promise<void> {
    const inferred = [...this.#tables.values()].filter(({ isInferred }) => isInferred);
    const memory: Memory = {
      position: String(this.#durable),
      sequences: this.#sequences.toStored(this.#durable, this.#now().getTime()),
      schemas: Object.fromEntries(inferred.map(({ name, schema }) => [name, schema])),
    };
    await this.#memory.write(JSON.stringify(memory));
  }

  #requireRuntime(): SourceRuntime {
    if (!this.#runtime) throw new DailiesError('internal', `The source ${this.#name} was opened for questions only.`);
    return this.#runtime;
  }

  /** Resolves when a request was taken, after a second without one, or when aborted. */
  async #woken(signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await wait(idleEveryMs, AbortSignal.any([signal, woken.signal]));
  }
}
