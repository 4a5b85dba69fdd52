import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { DailiesError } from '#catalog/error.ts';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { type Batch, type BatchItem, type ChangeEvent, type TableChanges, tableOf } from '#ingest/event.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { eventsOf } from '#ingest/snapshot-rows.ts';
import type { ChangesRequest, Source } from '#ingest/source.ts';
import { postgres } from '#ingest/sources/postgres/postgres.ts';

/** Replication slots are the server's, not the database's: every test needs a name of its own. */
export function sourceName(): string {
  return `s${randomBytes(5).toString('hex')}`;
}

export function openSource(url: string, name: string, tables: string[] = ['*']): Source {
  return postgres.open({ url, tables }, { name, memory: passingMemory(), now: () => new Date() });
}

export interface Seen {
  table: string;
  fields: string[];
  changes: TableChanges;
  event: ChangeEvent;
  batch: Batch;
  /** Of this and of the marks of its table, in order. */
  number: number;
}

/** Where a chunked snapshot begins, or ends. */
interface Mark {
  table: string;
  kind: 'snapshot-begin' | 'snapshot-end';
  number: number;
}

/** Reads a source in the background as a runtime would, keeping complete batches, and acknowledging them. */
export class Follower {
  readonly source: Source;
  readonly batches: Batch[] = [];
  /** As a durable log would hold: whole transactions and whole snapshots only. */
  readonly seen: Seen[] = [];
  readonly ended: { table: string; rows: number }[] = [];
  /** The last cursor of each table whose chunked snapshot has not ended, by schema.table. */
  readonly cursors = new Map<string, string>();
  readonly #marks: Mark[] = [];
  #number = 0;
  position: string | null = null;
  failure: unknown = null;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #cut: Batch[] = [];

  constructor(source: Source, request: ChangesRequest, onBatch: (batch: Batch) => Promise<void> | void = () => {}) {
    this.source = source;
    this.#loop = this.#run(request, onBatch).catch((error) => {
      this.failure = error;
    });
  }

  async #run(request: ChangesRequest, onBatch: (batch: Batch) => Promise<void> | void): Promise<void> {
    for await (const read of this.#changes(request)) {
      const batch = await withoutFiles(read);
      await onBatch(batch);
      this.batches.push(batch);
      this.#cut.push(batch);
      if (!batch.isComplete) continue;
      for (const part of this.#cut) this.#keep(part);
      this.#cut = [];
      this.position = batch.position;
      await this.source.ack(batch.position);
    }
  }

  /** Begins again, as a runtime would, while the server has not let go of the slot, whose last reader may just be ending. */
  async *#changes(request: ChangesRequest): AsyncGenerator<Batch> {
    for (let isBegun = false; ; await delay(20)) {
      try {
        for await (const batch of this.source.changes(request, this.#stop.signal)) {
          isBegun = true;
          yield batch;
        }
        return;
      } catch (error) {
        if (isBegun || !isSlotInUse(error)) throw error;
      }
    }
  }

  #keep(batch: Batch): void {
    for (const item of batch.items) {
      const number = this.#number++;
      const name = tableOf(item).slice(tableOf(item).indexOf('.') + 1);
      if (item.kind === 'snapshot-end') {
        this.ended.push({ table: item.table, rows: item.rows });
        this.cursors.delete(name);
        if (this.#isChunked(item.table)) this.#marks.push({ table: item.table, kind: item.kind, number });
      }
      if (item.kind === 'snapshot-chunk') this.cursors.set(name, item.cursor);
      if (item.kind === 'snapshot-begin') {
        this.cursors.delete(name);
        if (item.isChunked) this.#marks.push({ table: item.table, kind: item.kind, number });
        else this.#forget(item.table);
      }
      if (item.kind !== 'changes') continue;
      const fields = item.changes.schema.fields.map((field) => field.name);
      for (const event of item.changes.events) {
        this.seen.push({ table: item.changes.table, fields, changes: item.changes, event, batch, number });
      }
    }
  }

  /** Puts what a durable log holds of an earlier run before what this one has seen. */
  goOnAfter(first: Follower): this {
    const earlier = <Part extends { number: number }>(parts: readonly Part[]) =>
      parts.map((part) => ({ ...part, number: part.number - first.#number }));
    this.seen.unshift(...earlier(first.seen));
    this.#marks.unshift(...earlier(first.#marks));
    this.ended.unshift(...first.ended);
    return this;
  }

  /** A whole snapshot replaces all that was seen of its table. */
  #forget(table: string): void {
    this.seen.splice(0, this.seen.length, ...this.seen.filter((seen) => seen.table !== table));
    this.#marks.splice(0, this.#marks.length, ...this.#marks.filter((mark) => mark.table !== table));
  }

  /** True if no chunked snapshot of the table is under way. */
  isWhole(table: string): boolean {
    return this.#marks.findLast((mark) => mark.table.endsWith(`.${table}`))?.kind !== 'snapshot-begin';
  }

  #isChunked(table: string): boolean {
    return this.#marks.findLast((mark) => mark.table === table)?.kind === 'snapshot-begin';
  }

  /** Waits for the condition; a failure of the source ends the wait. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      if (this.failure !== null) throw this.failure;
      await delay(5);
    }
  }

  /** Waits until everything that is committed now was handed over. */
  async caughtUp(): Promise<void> {
    const head = await this.source.head(new AbortController().signal);
    await this.until(() => this.position !== null && this.source.distance(this.position, head) === 0);
  }

  async untilFailed(): Promise<unknown> {
    while (this.failure === null) await delay(5);
    return this.failure;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  eventsOf(table: string): Seen[] {
    return this.seen.filter((seen) => seen.table.endsWith(`.${table}`));
  }

  /**
   * The rows of a keyed table after all events, as objects in key order; also checks that no event contradicts another, as
   * far as no chunked snapshot is under way: meanwhile rows are not all there, and a chunk's replace what is.
   */
  rowsOf(table: string): Record<string, unknown>[] {
    const rows = new Map<string, Record<string, unknown>>();
    const marks = this.#marks.filter((mark) => mark.table.endsWith(`.${table}`));
    let touched: Set<string> | null = null;
    const passMarks = (upTo: number) => {
      for (let mark = marks[0]; mark && mark.number <= upTo; mark = marks[0]) {
        marks.shift();
        if (mark.kind === 'snapshot-begin') touched = new Set();
        else {
          for (const key of rows.keys()) if (!touched?.has(key)) rows.delete(key);
          touched = null;
        }
      }
    };
    for (const { event, changes, number } of this.eventsOf(table)) {
      passMarks(number);
      const { schema } = changes;
      const toObject = (row: Row) => Object.fromEntries(schema.fields.map((field, index) => [field.name, row[index]]));
      const keyOf = (row: Row) => {
        const object = toObject(row);
        return schema.key.map((name) => String(object[name])).join('\u0000');
      };
      // Changes may come before the snapshot begins, too.
      const isPart = touched !== null || marks.length > 0;
      if (event.op === 't') rows.clear();
      else if (event.op === 'd') {
        const key = keyOf(event.before ?? []);
        if (!rows.delete(key) && !isPart) throw new Error(`delete of a row that is not there: ${table}`);
      } else if (event.after) {
        const key = keyOf(event.after);
        if (!isPart) {
          if (event.op !== 'u' && rows.has(key)) throw new Error(`insert of a row that is there: ${table} ${key}`);
          if (event.op === 'u' && !rows.has(key)) throw new Error(`update of a row that is not there: ${table}`);
        }
        const known = Object.entries(toObject(event.after)).filter(([, value]) => value !== UNKNOWN);
        rows.set(key, { ...rows.get(key), ...Object.fromEntries(known) });
        (touched as Set<string> | null)?.add(key);
      }
    }
    passMarks(Number.POSITIVE_INFINITY);
    return [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }
}

function isSlotInUse(thrown: unknown): boolean {
  return thrown instanceof DailiesError && thrown.details.sqlState === '55006';
}

/** Rows that came as files as the events they stand for. */
async function withoutFiles(batch: Batch): Promise<Batch> {
  const items: BatchItem[] = [];
  for (const item of batch.items) {
    if (item.kind !== 'snapshot-rows') {
      items.push(item);
      continue;
    }
    const transaction = { id: '0', position: batch.position, timeMicros: batch.timeMicros };
    for await (const changes of eventsOf(item.snapshotRows, transaction)) items.push({ kind: 'changes', changes });
  }
  return { ...batch, items };
}

/** All tables of the source's patterns, each to be snapshotted or not. */
export async function requestFor(
  source: Source,
  from: string | null,
  needsSnapshot: (table: string) => boolean = () => from === null,
  cursors: ReadonlyMap<string, string> = new Map(),
): Promise<ChangesRequest> {
  const tables = await source.discover(new AbortController().signal);
  return {
    from,
    tables: new Map(
      tables.map(({ name }) => [
        name,
        { snapshot: needsSnapshot(name), generation: 1, cursor: cursors.get(name) ?? null },
      ]),
    ),
  };
}

/** A follower from the very first start, past its snapshots. */
export async function follow(url: string, name: string, tables: string[] = ['*']): Promise<Follower> {
  const source = openSource(url, name, tables);
  const request = await requestFor(source, null);
  const follower = new Follower(source, request);
  await follower.until(() => follower.ended.length === request.tables.size);
  return follower;
}
