import type { DuckDBConnection } from '@duckdb/node-api';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { Batch, BatchItem, ChangeEvent } from '#ingest/event.ts';
import { ChunkFileWriter } from '#ingest/sources/chunks/chunk-file-writer.ts';
import type { ChunkedTable, ChunkReader, ChunkSource, TableChunk } from '#ingest/sources/chunks/chunk-reader.ts';

type Change =
  | { kind: 'put'; table: string; key: string; value: number }
  | { kind: 'remove'; table: string; key: string }
  | { kind: 'truncate'; table: string }
  /** A column more; with a default, old rows read differently. */
  | { kind: 'add-column'; table: string; hasDefault: boolean };

export type Commit = Change[];

interface TableState {
  rows: ReadonlyMap<string, number>;
  columns: number;
  defaults: number;
}

const defaultValue = 7;

function schemaWith(columns: number): Schema {
  return {
    fields: [
      { name: 'id', type: { kind: 'string' }, required: true },
      { name: 'value', type: { kind: 'long' }, required: false },
      ...Array.from({ length: columns }, (_, index) => ({
        name: `more${index}`,
        type: { kind: 'int' } as const,
        required: false,
      })),
    ],
    key: ['id'],
  };
}

function rowOf(key: string, value: number, { columns, defaults }: TableState): Row {
  return [
    key,
    BigInt(value),
    ...Array.from({ length: columns }, (_, index) => (index < defaults ? defaultValue : null)),
  ];
}

/**
 * A database of a few tables whose commits are numbered from 1. A commit may be told by the stream before a snapshot sees
 * it. Positions are numbers as text.
 */
export class ScriptedStore implements ChunkSource {
  readonly commits: Commit[] = [];
  /** How many commits a snapshot sees. */
  visible = 0;
  /** How many commits the stream has handed out. */
  told = 0;
  reads = 0;
  readonly #limit: number;
  readonly #pause: () => Promise<void>;

  constructor(limit: number, pause: () => Promise<void>) {
    this.#limit = limit;
    this.#pause = pause;
  }

  stateOf(table: string, upTo = this.commits.length): TableState {
    let rows = new Map<string, number>();
    let columns = 0;
    let defaults = 0;
    for (const change of this.commits.slice(0, upTo).flat()) {
      if (change.table !== table) continue;
      if (change.kind === 'put') rows.set(change.key, change.value);
      else if (change.kind === 'remove') rows.delete(change.key);
      else if (change.kind === 'truncate') rows = new Map();
      else {
        columns += 1;
        if (change.hasDefault) defaults = columns;
      }
    }
    return { rows, columns, defaults };
  }

  rowsOf(table: string): Map<string, Row> {
    const state = this.stateOf(table);
    return new Map([...state.rows].map(([key, value]) => [key, rowOf(key, value, state)]));
  }

  /** The next commits as the stream tells them. */
  tell(count: number): Batch {
    const items: BatchItem[] = [];
    for (let left = count; left > 0 && this.told < this.commits.length; left--) {
      const at = this.told++;
      const transactions = [{ id: String(at), position: String(at + 1), timeMicros: 1n }];
      for (const [index, change] of (this.commits[at] ?? []).entries()) {
        if (change.kind === 'add-column') continue;
        const state = this.stateOf(change.table, at);
        const known = new Map(state.rows);
        for (const earlier of (this.commits[at] ?? []).slice(0, index)) {
          if (earlier.kind === 'put' && earlier.table === change.table) known.set(earlier.key, earlier.value);
        }
        const events = eventsOf(change, known, state);
        const schema = schemaWith(state.columns);
        if (events.length > 0)
          items.push({ kind: 'changes', changes: { table: change.table, schema, events, transactions } });
      }
    }
    return { items, position: String(this.told), timeMicros: 1n, isComplete: true };
  }

  async begin({ table }: ChunkedTable): Promise<{ schema: Schema; place: string }> {
    await this.#pause();
    return { schema: schemaWith(this.stateOf(table, this.visible).columns), place: String(this.commits.length) };
  }

  async openReader(): Promise<ChunkReader> {
    const connection = await connectDuckdb();
    return {
      read: (table, after, signal) => this.#read(connection, table, after, signal),
      close: async () => connection.closeSync(),
    };
  }

  hasPassed(position: string, place: string): boolean {
    return Number(position) >= Number(place);
  }

  /** The stream of the tests never rests. */
  expect(): void {}

  async #read(
    connection: DuckDBConnection,
    { table }: ChunkedTable,
    after: string | null,
    signal: AbortSignal,
  ): Promise<TableChunk | 'outdated'> {
    this.reads += 1;
    const told = this.told;
    while (this.visible < told) {
      signal.throwIfAborted();
      await this.#pause();
    }
    const state = this.stateOf(table, this.visible);
    const [key, defaults] = after === null ? ['', state.defaults] : (JSON.parse(after) as [string, number]);
    await this.#pause();
    if (state.defaults !== defaults) return 'outdated';
    const rest = [...state.rows].filter(([candidate]) => candidate > key).sort(([a], [b]) => (a < b ? -1 : 1));
    const rows = rest.slice(0, this.#limit);
    const files = [];
    // Two files, as of a chunk that is too large for one.
    for (const part of [rows.slice(0, 2), rows.slice(2)]) {
      if (part.length === 0) continue;
      const writer = await ChunkFileWriter.open(connection, schemaWith(state.columns));
      for (const [id, value] of part) writer.append(rowOf(id, value, state) as never);
      files.push(await writer.finish());
      await this.#pause();
    }
    const last = rows.at(-1);
    return {
      place: String(this.commits.length),
      files,
      after: last ? JSON.stringify([last[0], defaults]) : null,
      isLast: rows.length < this.#limit,
      estimatedRows: null,
    };
  }
}

function eventsOf(change: Change, known: ReadonlyMap<string, number>, state: TableState): ChangeEvent[] {
  if (change.kind === 'truncate') return [{ op: 't', before: null, after: null, tx: 0 }];
  if (change.kind === 'put') {
    const after = rowOf(change.key, change.value, state);
    return [{ op: known.has(change.key) ? 'u' : 'c', before: null, after, tx: 0 }];
  }
  if (change.kind !== 'remove' || !known.has(change.key)) return [];
  return [{ op: 'd', before: rowOf(change.key, 0, state), after: null, tx: 0 }];
}
