import { z } from 'zod';
import type { DailiesError } from '#catalog/error.ts';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { Batch, ChangeEvent } from '#ingest/event.ts';
import type { ChangesRequest, DiscoveredTable, Source, SourceModule, SourceWarning } from '#ingest/source.ts';

interface Entry {
  table: string;
  schema: Schema;
  events: ChangeEvent[];
}

/** A store whose history a test writes by hand; it outlives the sources that are opened on it, as a database does. */
export class History {
  readonly tables = new Map<string, { schema: Schema; rows: Row[]; refusal: string | null }>();
  readonly transactions: Entry[][] = [];
  /** Thrown once by the next batch. */
  failNext: DailiesError | null = null;
  /** Hands out transactions as one incomplete batch for each table, and stops after the first part while set. */
  stallsInTransaction = false;
  acknowledged = 0;
  warnings: SourceWarning[] = [];
  opened = 0;
  dropped = 0;
  snapshots = 0;
  /** Rows of a chunk, where snapshots of tables with a key come in chunks. */
  chunkRows: number | null = null;
  /** Chunks that are handed out before `wake` has to allow more. */
  chunksAllowed = Number.POSITIVE_INFINITY;
  /** Whether changes tell the row of before whole; otherwise no more than its key, where it goes. */
  tellsBefore = true;
  /** Of each chunk that was read: its table and the key that it began after. */
  readonly chunks: { table: string; after: string | null }[] = [];
  #changed = Promise.withResolvers<void>();

  create(table: string, schema: Schema, refusal: string | null = null): void {
    this.tables.set(table, { schema, rows: [], refusal });
    this.wake();
  }

  alter(table: string, schema: Schema, change: (row: Row) => Row): void {
    const known = this.#table(table);
    this.tables.set(table, { ...known, schema, rows: known.rows.map(change) });
  }

  /**
   * One transaction: a row to upsert by its first value, or the key of one to delete, or both for a row that comes under
   * another key. A table without key takes rows as they are. Consecutive changes of one table stand together.
   */
  commit(...changes: { table: string; put?: Row; remove?: Row[number] }[]): void {
    const entries: Entry[] = [];
    for (const { table, put, remove } of changes) {
      const { schema, rows } = this.#table(table);
      const key = remove ?? put?.[0];
      const at = schema.key.length > 0 ? rows.findIndex((row) => row[0] === key) : -1;
      const before = at < 0 ? null : (rows[at] ?? null);
      if (at >= 0) rows.splice(at, 1);
      if (put) rows.push(put.map((value, i) => (value === UNKNOWN ? (before?.[i] ?? null) : value)));
      const isMoved = put !== undefined && remove !== undefined;
      const isKnown = this.tellsBefore;
      const old = isKnown ? before : (before?.map((value, i) => (i === 0 ? value : UNKNOWN)) ?? null);
      const events: ChangeEvent[] = [];
      if (isMoved || !put) events.push({ op: 'd', before: old, after: null, tx: 0 });
      if (put && (isMoved || !before)) events.push({ op: 'c', before: null, after: put, tx: 0 });
      else if (put) events.push({ op: 'u', before: isKnown ? before : null, after: put, tx: 0 });
      const last = entries.at(-1);
      if (last && last.table === table && last.schema === schema) last.events.push(...events);
      else entries.push({ table, schema, events });
    }
    this.transactions.push(entries);
    this.wake();
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  changed(): Promise<void> {
    return this.#changed.promise;
  }

  #table(name: string) {
    const table = this.tables.get(name);
    if (!table) throw new Error(`no table ${name}`);
    return table;
  }
}

const config = z.strictObject({ marker: z.string().optional() });

export function scriptedSource(history: History): SourceModule<typeof config> {
  return {
    kind: 'source',
    id: 'scripted',
    title: 'Scripted',
    summary: 'A history that a test writes.',
    schemes: [],
    config,
    open: (_, deps) => new ScriptedSource(history, deps.name),
  };
}

interface ChunkedTable {
  generation: number;
  after: string | null;
  rows: number;
}

class ScriptedSource implements Source {
  readonly #history: History;
  readonly #name: string;

  constructor(history: History, name: string) {
    this.#history = history;
    this.#name = name;
    history.opened += 1;
  }

  async discover(): Promise<DiscoveredTable[]> {
    return [...this.#history.tables].map(([name, { schema, refusal }]) => ({ name, schema, refusal, notes: [] }));
  }

  async check() {
    return [];
  }

  async *changes({ from, tables }: ChangesRequest, signal: AbortSignal): AsyncGenerator<Batch> {
    const history = this.#history;
    const owed = [...tables].filter(([, { snapshot }]) => snapshot || from === null);
    const snapshotAt = history.transactions.length;
    const streamed = new Set([...tables.keys()].filter((table) => !owed.some(([name]) => name === table)));
    let at = from === null ? snapshotAt : Number(from);
    while (at < snapshotAt) yield* this.#transaction(at++, streamed, signal);
    const chunked = new Map<string, ChunkedTable>();
    for (const [table, { generation, cursor }] of owed) {
      const schema = history.tables.get(table)?.schema;
      if (history.chunkRows !== null && schema && schema.key.length > 0) {
        if (cursor === null) yield this.#begin(table, schema, generation, at);
        const [after, rows] = cursor === null ? [null, 0] : (JSON.parse(cursor) as [string, number]);
        chunked.set(table, { generation, after, rows });
      } else {
        yield* this.#snapshot(table, generation, at);
      }
      streamed.add(table);
    }
    while (!signal.aborted) {
      this.#throwIfAsked();
      const changed = history.changed();
      if (at < history.transactions.length) {
        yield* this.#transaction(at++, streamed, signal);
        continue;
      }
      // All that was committed is told, so that rows as they are now stand in their place.
      for (const [table, state] of chunked) {
        if (history.chunksAllowed < 1 || at < history.transactions.length) break;
        history.chunksAllowed -= 1;
        if (yield* this.#chunk(table, state, at)) chunked.delete(table);
      }
      if (chunked.size > 0 && history.chunksAllowed >= 1) continue;
      yield { items: [], position: String(at), timeMicros: BigInt(Date.now()) * 1000n, isComplete: true };
      await Promise.race([changed, aborted(signal), new Promise((resolve) => setTimeout(resolve, 300).unref())]);
    }
  }

  async *#transaction(at: number, streamed: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<Batch> {
    const entries = (this.#history.transactions[at] ?? []).filter(({ table }) => streamed.has(table));
    const timeMicros = BigInt(Date.now()) * 1000n;
    const transactions = [{ id: String(at), position: String(at + 1), timeMicros }];
    const items = entries.map(({ table, ...rest }) => ({
      kind: 'changes' as const,
      changes: { table: `${this.#name}.${table}`, ...rest, transactions },
    }));
    if (this.#history.stallsInTransaction && items.length > 0) {
      yield { items: items.slice(0, 1), position: String(at), timeMicros, isComplete: false };
      while (this.#history.stallsInTransaction && !signal.aborted) {
        this.#throwIfAsked();
        await Promise.race([this.#history.changed(), aborted(signal)]);
      }
      if (signal.aborted) return;
      this.#throwIfAsked();
      yield { items: items.slice(1), position: String(at + 1), timeMicros, isComplete: true };
      return;
    }
    yield { items, position: String(at + 1), timeMicros, isComplete: true };
  }

  async *#snapshot(table: string, generation: number, at: number): AsyncGenerator<Batch> {
    const { schema, rows } = this.#history.tables.get(table) ?? { schema: { fields: [], key: [] }, rows: [] };
    this.#history.snapshots += 1;
    const name = `${this.#name}.${table}`;
    const position = String(at);
    const timeMicros = BigInt(Date.now()) * 1000n;
    const transactions = [{ id: '0', position, timeMicros }];
    const snapshot = [...rows];
    const batch = (items: Batch['items'], isComplete: boolean): Batch => ({ items, position, timeMicros, isComplete });
    yield batch([{ kind: 'snapshot-begin', table: name, schema, generation, isChunked: false }], false);
    for (const after of snapshot) {
      const events: ChangeEvent[] = [{ op: 'r', before: null, after, tx: 0 }];
      yield batch([{ kind: 'changes', changes: { table: name, schema, events, transactions } }], false);
    }
    yield batch([{ kind: 'snapshot-end', table: name, generation, rows: snapshot.length }], true);
  }

  #begin(table: string, schema: Schema, generation: number, at: number): Batch {
    this.#history.snapshots += 1;
    const name = `${this.#name}.${table}`;
    const timeMicros = BigInt(Date.now()) * 1000n;
    const begin = { kind: 'snapshot-begin', table: name, schema, generation, isChunked: true } as const;
    return { items: [begin], position: String(at), timeMicros, isComplete: true };
  }

  /** The next rows in the order of the first column's text; true where they were the last ones. */
  async *#chunk(table: string, state: ChunkedTable, at: number): AsyncGenerator<Batch, boolean> {
    const { schema, rows } = this.#history.tables.get(table) ?? { schema: { fields: [], key: [] }, rows: [] };
    const name = `${this.#name}.${table}`;
    const position = String(at);
    const timeMicros = BigInt(Date.now()) * 1000n;
    const { after } = state;
    const keyOf = (row: Row) => String(row[0]);
    const left = rows
      .filter((row) => after === null || keyOf(row) > after)
      .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const part = left.slice(0, this.#history.chunkRows ?? 1);
    const last = part.at(-1);
    const { generation } = state;
    if (!last) {
      const end = { kind: 'snapshot-end', table: name, generation, rows: state.rows } as const;
      yield { items: [end], position, timeMicros, isComplete: true };
      return true;
    }
    this.#history.chunks.push({ table, after });
    const transactions = [{ id: '0', position, timeMicros }];
    const events = part.map((row): ChangeEvent => ({ op: 'r', before: null, after: [...row], tx: 0 }));
    state.after = keyOf(last);
    state.rows += part.length;
    const cursor = JSON.stringify([state.after, state.rows]);
    const chunk = { generation, cursor, rows: state.rows, estimatedRows: rows.length };
    yield {
      items: [
        { kind: 'changes', changes: { table: name, schema, events, transactions } },
        { kind: 'snapshot-chunk', table: name, ...chunk },
      ],
      position,
      timeMicros,
      isComplete: true,
    };
    return false;
  }

  #throwIfAsked(): void {
    const error = this.#history.failNext;
    this.#history.failNext = null;
    if (error) throw error;
  }

  async warnings(): Promise<SourceWarning[]> {
    return this.#history.warnings;
  }

  async ack(upTo: string): Promise<void> {
    this.#history.acknowledged = Number(upTo);
  }

  async head(): Promise<string> {
    return String(this.#history.transactions.length);
  }

  distance(from: string, to: string): number {
    return Math.max(0, Number(to) - Number(from));
  }

  async readRows(table: string, wanted: Schema, keys: readonly Row[]): Promise<Map<number, Row>> {
    const held = this.#history.tables.get(table.slice(this.#name.length + 1));
    const found = new Map<number, Row>();
    for (const [i, key] of keys.entries()) {
      const row = held?.rows.find((candidate) => candidate[0] === key[0]);
      const at = (name: string) => held?.schema.fields.findIndex((field) => field.name === name) ?? -1;
      if (row)
        found.set(
          i,
          wanted.fields.map(({ name }) => row[at(name)] ?? null),
        );
    }
    return found;
  }

  async close(): Promise<void> {}

  async drop(): Promise<void> {
    this.#history.dropped += 1;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
