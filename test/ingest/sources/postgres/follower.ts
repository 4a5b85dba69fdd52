import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { Batch, BatchItem, ChangeEvent, TableChanges } from '#ingest/event.ts';
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
}

/** Reads a source in the background as a runtime would, keeping complete batches, and acknowledging them. */
export class Follower {
  readonly source: Source;
  readonly batches: Batch[] = [];
  /** As a durable log would hold: whole transactions and whole snapshots only. */
  readonly seen: Seen[] = [];
  readonly ended: { table: string; rows: number }[] = [];
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
    for await (const read of this.source.changes(request, this.#stop.signal)) {
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

  #keep(batch: Batch): void {
    for (const item of batch.items) {
      if (item.kind === 'snapshot-end') this.ended.push({ table: item.table, rows: item.rows });
      if (item.kind === 'snapshot-begin') {
        const others = this.seen.filter((seen) => seen.table !== item.table);
        this.seen.splice(0, this.seen.length, ...others);
      }
      if (item.kind !== 'changes') continue;
      const fields = item.changes.schema.fields.map((field) => field.name);
      for (const event of item.changes.events) {
        this.seen.push({ table: item.changes.table, fields, changes: item.changes, event, batch });
      }
    }
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

  /** The rows of a keyed table after all events, as objects in key order; also checks that no event contradicts another. */
  rowsOf(table: string): Record<string, unknown>[] {
    const rows = new Map<string, Record<string, unknown>>();
    for (const { event, changes } of this.eventsOf(table)) {
      const { schema } = changes;
      const toObject = (row: Row) => Object.fromEntries(schema.fields.map((field, index) => [field.name, row[index]]));
      const keyOf = (row: Row) => {
        const object = toObject(row);
        return schema.key.map((name) => String(object[name])).join('\u0000');
      };
      if (event.op === 't') rows.clear();
      else if (event.op === 'd') {
        if (!rows.delete(keyOf(event.before ?? []))) throw new Error(`delete of a row that is not there: ${table}`);
      } else if (event.after) {
        const key = keyOf(event.after);
        if (event.op !== 'u' && rows.has(key)) throw new Error(`insert of a row that is there: ${table} ${key}`);
        if (event.op === 'u' && !rows.has(key)) throw new Error(`update of a row that is not there: ${table}`);
        const known = Object.entries(toObject(event.after)).filter(([, value]) => value !== UNKNOWN);
        rows.set(key, { ...rows.get(key), ...Object.fromEntries(known) });
      }
    }
    return [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }
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
): Promise<ChangesRequest> {
  const tables = await source.discover(new AbortController().signal);
  return {
    from,
    tables: new Map(tables.map(({ name }) => [name, { snapshot: needsSnapshot(name), generation: 1, cursor: null }])),
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
