import type pg from 'pg';
import type { Schema } from '#catalog/schemas/schema.ts';
import type { SourcePosition } from '../../event.ts';
import type { ChunkedTable, ChunkReader, ChunkSource } from '../chunks/chunk-reader.ts';
import { ChunkCopy } from './chunk-copy.ts';
import { type TableSize, tableSizes } from './chunk-query.ts';
import { readTables, type SourceTable } from './discovery.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import type { RecentTransactions } from './recent-transactions.ts';
import { serverHead } from './server-head.ts';
import { goneTable } from './snapshot.ts';
import { imprintOf } from './table-imprint.ts';
import { type ShapeContext, tableRelation } from './table-shape.ts';

export interface ChunkedTablesOptions {
  /** Sees the catalogs; never waits for anybody's lock. */
  control: pg.Client;
  tables: readonly SourceTable[];
  context: ShapeContext;
  recent: RecentTransactions;
  /** Text that a chunk has, about. */
  chunkBytes: number;
  connect(): Promise<pg.Client>;
  /** A batch should come as soon as the stream has passed where the history ends now. */
  expectHead(): void;
  /** Takes over text columns into what the stream decodes from now on. */
  refresh(): void;
}

/** True for tables whose rows can be read by key and whose changes the stream tells by it. */
export function hasChunks(table: SourceTable): boolean {
  return table.key.length > 0 && table.identity !== 'none';
}

/** The tables of one session, read in chunks. */
export class ChunkedTables implements ChunkSource {
  readonly #options: ChunkedTablesOptions;
  readonly #byName: ReadonlyMap<string, SourceTable>;
  readonly #sizes: ReadonlyMap<number, TableSize>;

  private constructor(options: ChunkedTablesOptions, sizes: ReadonlyMap<number, TableSize>) {
    this.#options = options;
    this.#byName = new Map(options.tables.map((table) => [`${options.context.source}.${table.name}`, table]));
    this.#sizes = sizes;
  }

  static async open(options: ChunkedTablesOptions): Promise<ChunkedTables> {
    const oids = options.tables.map(({ oid }) => oid);
    return new ChunkedTables(options, await tableSizes(options.control, oids));
  }

  weightOf(table: SourceTable): number {
    return this.#sizeOf(table).bytes;
  }

  async begin({ table: name }: ChunkedTable): Promise<{ schema: Schema; place: SourcePosition }> {
    const { control, context } = this.#options;
    const known = this.#tableOf(name);
    const [table] = await readTables(control, [known.oid], context.names);
    if (table?.name !== known.name) throw goneTable(known);
    const { schema } = await tableRelation(control, table, context);
    const { memory } = context;
    // Altered while it was read: the stream, which may come to that only now, has to announce it.
    if (memory.isOutdated(table) && !memory.owed.has(table.name)) memory.owe(table.name);
    memory.setImprint(table.name, imprintOf(table));
    const { position } = await serverHead(control);
    return { schema, place: formatLsn(position) };
  }

  async openReader(): Promise<ChunkReader> {
    const { connect, context, recent, chunkBytes, refresh } = this.#options;
    return new ChunkCopy({
      connect,
      context,
      recent,
      chunkBytes,
      refresh,
      tableOf: (name) => this.#tableOf(name),
      sizeOf: (table) => this.#sizeOf(table),
    });
  }

  hasPassed(position: SourcePosition, place: SourcePosition): boolean {
    return parseLsn(position) >= parseLsn(place);
  }

  expect(): void {
    this.#options.expectHead();
  }

  #tableOf(name: string): SourceTable {
    const table = this.#byName.get(name);
    if (!table) throw new Error(`${name} is none of the tables of this session`);
    return table;
  }

  #sizeOf(table: SourceTable): TableSize {
    return this.#sizes.get(table.oid) ?? { rows: null, bytes: 0 };
  }
}
