import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { Batch, BatchItem, TableChanges } from '#ingest/event.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { eventsOf } from '#ingest/snapshot-rows.ts';
import type { ChangesRequest, RequestedTable, Source, SourceMemory } from '#ingest/source.ts';
import { MysqlSource } from '#ingest/sources/mysql/mysql-source.ts';

export const never = new AbortController().signal;

export function openSource(url: string, tables: string[], memory: SourceMemory = passingMemory()): Source {
  return new MysqlSource({ url, tables }, { name: 's', memory, now: () => new Date() }, maxChunkRows);
}

/** So that a table of a test is more than one chunk. */
const maxChunkRows = 700;
/** Only against waiting for ever. */
const untilMs = 120_000;

export type Values = Record<string, unknown>;

interface MirrorTable {
  schema: Schema | null;
  /** By key; for tables without one by what they hold, with a number. */
  rows: Map<string, Values>;
  /** Keys that came since the chunked snapshot under way began; null outside of one. */
  seen: Set<string> | null;
  generation: number;
  cursor: string | null;
  isWhole: boolean;
  snapshots: number;
}

/**
 * Holds what a source's batches tell, as the contract wants it applied, and follows it over as many runs of the source as
 * a test makes: what was complete is durable, what was cut is void.
 */
export class Mirror {
  url: string;
  readonly patterns: string[];
  readonly memory = passingMemory();
  readonly tables = new Map<string, MirrorTable>();
  readonly batches: Batch[] = [];
  readonly ops: { table: string; op: string }[] = [];
  position: string | null = null;
  failure: unknown = null;
  /** False where a table may become another one before it is read again: until then its changes do not fit. */
  isStrict = true;
  source: Source;
  #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(url: string, patterns: string[]) {
    this.url = url;
    this.patterns = patterns;
    this.source = openSource(url, patterns, this.memory);
  }

  /** Starts a run of the source from where the last one was durable. */
  async start(): Promise<void> {
    this.source = openSource(this.url, this.patterns, this.memory);
    this.#stop = new AbortController();
    this.failure = null;
    const { source } = this;
    const request = await this.#request(source);
    this.#loop = this.#run(source, request, this.#stop.signal).catch((error) => {
      this.failure = error;
    });
  }

  async #request(source: Source): Promise<ChangesRequest> {
    const tables = new Map<string, RequestedTable>();
    for (const { name, refusal } of await source.discover(never)) {
      if (refusal !== null) continue;
      const table = this.#table(`s.${name}`);
      const isNeeded = !table.isWhole;
      if (isNeeded && table.cursor === null) table.generation += 1;
      tables.set(name, { snapshot: isNeeded, generation: table.generation, cursor: isNeeded ? table.cursor : null });
    }
    return { from: this.position, tables };
  }

  async #run(source: Source, request: ChangesRequest, signal: AbortSignal): Promise<void> {
    let cut: Batch[] = [];
    try {
      for await (const batch of source.changes(request, signal)) {
        cut.push(batch);
        if (!batch.isComplete) continue;
        for (const part of cut) for (const item of part.items) await this.#apply(item, part);
        this.batches.push(...cut);
        cut = [];
        this.position = batch.position;
        await source.ack(batch.position);
      }
    } finally {
      await source.close();
    }
  }

  async #apply(item: BatchItem, batch: Batch): Promise<void> {
    if (item.kind === 'changes') return this.#changes(item.changes);
    const table = this.#table(item.kind === 'snapshot-rows' ? item.snapshotRows.table : item.table);
    switch (item.kind) {
      case 'snapshot-begin':
        if (item.isChunked) table.seen = new Set();
        else table.rows.clear();
        table.cursor = null;
        table.schema = item.schema;
        return;
      case 'snapshot-rows': {
        const transaction = { id: '0', position: batch.position, timeMicros: batch.timeMicros };
        for await (const changes of eventsOf(item.snapshotRows, transaction)) this.#changes(changes);
        return;
      }
      case 'snapshot-chunk':
        table.cursor = item.cursor;
        return;
      case 'snapshot-end':
        for (const key of table.rows.keys()) if (table.seen?.has(key) === false) table.rows.delete(key);
        table.seen = null;
        table.cursor = null;
        table.isWhole = true;
        table.snapshots += 1;
    }
  }

  #changes({ table: name, schema, events }: TableChanges): void {
    const table = this.#table(name);
    table.schema = schema;
    for (const { op, before, after } of events) {
      if (op !== 'r') this.ops.push({ table: name, op });
      if (op === 't') {
        for (const key of table.rows.keys()) table.seen?.add(key);
        table.rows.clear();
      } else if (schema.key.length === 0) this.#matchWhole(name, table, schema, before, after);
      else {
        const key = keyOf(schema, after ?? before ?? []);
        table.seen?.add(key);
        const isThere = table.rows.has(key);
        // Rows of a snapshot that has not come to them yet are changed unseen.
        if (this.isStrict && op === 'c' && isThere && table.seen === null)
          throw new Error(`insert of a row that is there: ${name} ${key}`);
        if (this.isStrict && (op === 'u' || op === 'd') && !isThere && table.isWhole && table.seen === null) {
          throw new Error(`${op} of a row that is not there: ${name} ${key}`);
        }
        if (after === null) table.rows.delete(key);
        else table.rows.set(key, toValues(schema, after, table.rows.get(key)));
      }
    }
  }

  /** What the shape of now does not hold plays no part, and rows from before a column was added hold NULL there. */
  #matchWhole(name: string, table: MirrorTable, schema: Schema, before: Row | null, after: Row | null): void {
    const textOf = (values: Values) =>
      JSON.stringify(
        printable(Object.fromEntries(schema.fields.map((field) => [field.name, values[field.name] ?? null]))),
      );
    if (before !== null) {
      const text = textOf(toValues(schema, before));
      const found = [...table.rows].find(([, values]) => textOf(values) === text);
      if (found === undefined) throw new Error(`change of a row that is not there: ${name} ${text}`);
      table.rows.delete(found[0]);
    }
    if (after !== null) {
      const values = toValues(schema, after);
      table.rows.set(`${textOf(values)}#${randomBytes(6).toString('hex')}`, values);
    }
  }

  #table(name: string): MirrorTable {
    const known = this.tables.get(name);
    if (known) return known;
    const made: MirrorTable = {
      schema: null,
      rows: new Map(),
      seen: null,
      generation: 0,
      cursor: null,
      isWhole: false,
      snapshots: 0,
    };
    this.tables.set(name, made);
    return made;
  }

  /** Forgets all positions, as the runtime does when somebody resumes after `source_slot_lost`. */
  forgetPosition(): void {
    this.position = null;
    for (const table of this.tables.values()) table.isWhole = false;
  }

  table(name: string): MirrorTable {
    return this.#table(`s.${name}`);
  }

  rows(name: string): Values[] {
    return [...this.table(name).rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  /** Waits for the condition; a failure of the source ends the wait. */
  async until(isTrue: () => boolean): Promise<void> {
    const deadline = Date.now() + untilMs;
    while (!isTrue()) {
      if (this.failure !== null) throw this.failure;
      if (Date.now() > deadline) {
        const tables = [...this.tables].map(([name, { rows, isWhole, snapshots, seen }]) => ({
          ...{ name, rows: rows.size, isWhole, snapshots },
          isOpen: seen !== null,
        }));
        throw new Error(`The source did not come to what was waited for: ${JSON.stringify([this.position, tables])}`);
      }
      await delay(5);
    }
  }

  /** Waits until all that is committed now was told, and all snapshots under way are whole. */
  async caughtUp(): Promise<void> {
    const asking = openSource(this.url, this.patterns);
    const head = await asking.head(never);
    await asking.close();
    await this.until(
      () =>
        this.position !== null &&
        this.source.distance(this.position, head) === 0 &&
        [...this.tables.values()].every((table) => table.isWhole && table.seen === null),
    );
  }

  async untilFailed(): Promise<{ code: string; message: string }> {
    while (this.failure === null) await delay(5);
    return this.failure as { code: string; message: string };
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }
}

function keyOf(schema: Schema, row: Row): string {
  const values = toValues(schema, row);
  return JSON.stringify(schema.key.map((name) => printable({ name: values[name] })));
}

/** `old`: what values that are left out are taken from. */
function toValues(schema: Schema, row: Row, old: Values = {}): Values {
  const unknown = (name: string) => (name in old ? old[name] : 'UNKNOWN');
  return Object.fromEntries(
    schema.fields.map(({ name }, index) => [name, row[index] === UNKNOWN ? unknown(name) : row[index]]),
  );
}

/** For comparisons: what JSON cannot hold, as text. */
export function printable(values: Values): Values {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      if (typeof value === 'bigint') return [name, `${value}n`];
      if (value instanceof Uint8Array) return [name, `x${Buffer.from(value).toString('hex')}`];
      if (typeof value === 'number' && Object.is(value, -0)) return [name, '-0'];
      return [name, value];
    }),
  );
}
