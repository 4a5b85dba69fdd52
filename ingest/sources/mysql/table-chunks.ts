import { setTimeout as delay } from 'node:timers/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DailiesError } from '#catalog/error.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import type { Schema, Value } from '#catalog/schemas/schema.ts';
import type { SourcePosition } from '../../event.ts';
import { ChunkFileWriter, removeFiles } from '../chunks/chunk-file-writer.ts';
import type { ChunkedTable, ChunkFile, ChunkReader, ChunkSource, TableChunk } from '../chunks/chunk-reader.ts';
import type { Flavor } from './binlog/binlog-item.ts';
import { type Connection, cut, rowsOf, type ServerVersion } from './connection.ts';
import { errorNumber } from './connection-error.ts';
import { findTables, type SourceTable } from './discovery.ts';
import { KeySql } from './key-sql.ts';
import { comparePlaces, formatPosition, type Position, parsePosition } from './position.ts';
import { type PrintedRow, printedRows } from './row-stream.ts';
import { knownGtids, serverHead } from './server-head.ts';
import { quoteTable } from './sql.ts';
import { imprintOf, isReadingOutdated } from './table-imprint.ts';
import { catalogShape, type ShapeContext, type TableShape } from './table-shape.ts';

const chunkBytes = 32 << 20;
const listBytes = 2 << 20;
/** Of a file, beyond which a chunk goes on in another. */
const fileBytes = 64 << 20;
const visibleAfterMs = 5;

export interface ChunkDeps {
  version: ServerVersion;
  context: ShapeContext;
  /** Of a chunk, however short its rows are. */
  maxRows: number;
  connect(signal: AbortSignal): Promise<Connection>;
  /** What the stream of this session has handed out; null before it has. */
  handedOut(): Position | null;
  expect(place: SourcePosition | null): void;
}

/** How a MySQL or MariaDB server's tables are read in chunks: no locks, nothing written. */
export class TableChunks implements ChunkSource {
  readonly #deps: ChunkDeps;

  constructor(deps: ChunkDeps) {
    this.#deps = deps;
  }

  async begin({ table }: ChunkedTable, signal: AbortSignal): Promise<{ schema: Schema; place: SourcePosition }> {
    const { context, version } = this.#deps;
    const connection = await this.#deps.connect(signal);
    try {
      const found = await requireTable(connection, table, context);
      const { schema } = catalogShape(found, context);
      const { position } = await serverHead(connection, version);
      context.memory.setImprint(found.name, imprintOf(found));
      return { schema, place: formatPosition(position) };
    } finally {
      await connection.end();
    }
  }

  async openReader(signal: AbortSignal): Promise<ChunkReader> {
    return new TableChunkReader(this.#deps, await this.#deps.connect(signal), await connectDuckdb());
  }

  hasPassed(position: SourcePosition, place: SourcePosition): boolean {
    return hasPassed(this.#deps.version.flavor, position, place);
  }

  expect(place: SourcePosition | null): void {
    this.#deps.expect(place);
  }
}

/** True if a stream that has handed out everything up to `position` has passed `place`. */
export function hasPassed(flavor: Flavor, position: SourcePosition, place: SourcePosition): boolean {
  const [here, there] = [parsePosition(flavor, position), parsePosition(flavor, place)];
  if (!here.gtids.contains(there.gtids)) return false;
  // MySQL shows a commit before it is in gtid_executed; MariaDB has it in gtid_binlog_pos before it shows it.
  return flavor === 'mariadb' || comparePlaces(here, there) >= 0;
}

class TableChunkReader implements ChunkReader {
  readonly #deps: ChunkDeps;
  readonly #connection: Connection;
  readonly #duckdb: DuckDBConnection;

  constructor(deps: ChunkDeps, connection: Connection, duckdb: DuckDBConnection) {
    this.#deps = deps;
    this.#connection = connection;
    this.#duckdb = duckdb;
  }

  async read({ table }: ChunkedTable, after: string | null, signal: AbortSignal): Promise<TableChunk | 'outdated'> {
    const { context } = this.#deps;
    const abort = () => cut(this.#connection);
    signal.addEventListener('abort', abort, { once: true });
    try {
      for (;;) {
        const found = await requireTable(this.#connection, table, context);
        const imprint = context.memory.imprint(found.name);
        if (imprint === null || isReadingOutdated(imprint, found)) return 'outdated';
        const chunk = await this.#readAs(found, after, signal);
        if (chunk === null) continue;
        const now = await requireTable(this.#connection, table, context);
        // What the server printed may be of another shape than the one it was read as.
        if (isSameShape(found, now)) return chunk;
        await removeFiles(chunk.files);
      }
    } catch (thrown) {
      signal.throwIfAborted();
      throw thrown;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async close(): Promise<void> {
    cut(this.#connection);
    this.#duckdb.closeSync();
  }

  /** Null where the table was altered after the snapshot was taken. */
  async #readAs(table: SourceTable, after: string | null, signal: AbortSignal): Promise<TableChunk | null> {
    const { version, context } = this.#deps;
    await takeSnapshot(this.#connection, version, this.#deps.handedOut(), signal);
    const shape = catalogShape(table, context);
    const key = new KeySql(table);
    const limit = rowLimit(await averageRowBytes(this.#connection, table), this.#deps.maxRows);
    const where = after === null ? '' : `WHERE ${key.after(JSON.parse(after) as string[])}`;
    const sql = `SELECT ${shape.selectList()}, ${key.select} FROM ${quoteTable(table.database, table.tableName)} FORCE INDEX (PRIMARY) ${where} ORDER BY ${key.order} LIMIT ${limit}`;
    const rows = new ChunkRows(this.#duckdb, shape);
    let last: PrintedRow | null = null;
    try {
      for await (const list of printedRows(this.#connection, sql, listBytes)) {
        await rows.add(list);
        last = list.at(-1) ?? null;
      }
      const files = await rows.finish();
      const { position } = await serverHead(this.#connection, version);
      const texts = last?.slice(shape.columns.length).map((value) => value?.toString('utf8') ?? '');
      return {
        place: formatPosition(position),
        files,
        after: texts === undefined ? null : JSON.stringify(texts),
        isLast: rows.count < limit,
        estimatedRows: table.rows,
      };
    } catch (thrown) {
      await rows.abandon();
      if (isAltered(thrown)) return null;
      throw thrown;
    } finally {
      // Where it fails the connection is gone, which has been told.
      await this.#connection.query('ROLLBACK').catch(() => undefined);
    }
  }
}

/** Rows that the server printed, as files of a chunk: another for each schema, and where one grows too large. */
class ChunkRows {
  readonly #duckdb: DuckDBConnection;
  readonly #shape: TableShape;
  readonly #files: ChunkFile[] = [];
  #writer: { file: ChunkFileWriter; schema: Schema; bytes: number } | null = null;
  count = 0;

  constructor(duckdb: DuckDBConnection, shape: TableShape) {
    this.#duckdb = duckdb;
    this.#shape = shape;
  }

  async add(list: readonly PrintedRow[]): Promise<void> {
    for (const printed of list) {
      const row = this.#shape.fromTexts(printed);
      if (this.#writer?.schema !== this.#shape.schema || this.#writer.bytes > fileBytes) await this.#turn();
      this.#writer?.file.append(row as Value[]);
      if (this.#writer) for (const value of printed) this.#writer.bytes += value?.length ?? 0;
    }
    this.count += list.length;
  }

  async finish(): Promise<ChunkFile[]> {
    await this.#endFile();
    return this.#files;
  }

  async abandon(): Promise<void> {
    await this.#writer?.file.abandon();
    await removeFiles(this.#files);
  }

  async #turn(): Promise<void> {
    await this.#endFile();
    const { schema } = this.#shape;
    this.#writer = { file: await ChunkFileWriter.open(this.#duckdb, schema), schema, bytes: 0 };
  }

  async #endFile(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    if (writer) this.#files.push(await writer.file.finish());
  }
}

/**
 * Begins a transaction that sees at least what was handed out. Both families tell of a commit in the log before it can be
 * seen: MariaDB says where in the log its snapshot stands, MySQL which transactions can be seen.
 */
export async function takeSnapshot(
  connection: Connection,
  version: ServerVersion,
  handedOut: Position | null,
  signal: AbortSignal,
): Promise<{ log: string; logPosition: number } | null> {
  for (;;) {
    if (version.flavor === 'mysql') {
      const { gtids } = await knownGtids(connection, version);
      if (handedOut === null || gtids.contains(handedOut.gtids)) {
        await rowsOf(connection, 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
        return null;
      }
    } else {
      await rowsOf(connection, 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
      const status = await rowsOf(connection, "SHOW STATUS LIKE 'binlog_snapshot_%'");
      const value = (name: string) =>
        status.find((row) => row.variable_name?.toLowerCase() === `binlog_snapshot_${name}`)?.value;
      const place = { log: value('file') ?? '', logPosition: Number(value('position')) };
      if (handedOut === null || comparePlaces(place, handedOut) >= 0) return place;
      await rowsOf(connection, 'ROLLBACK');
    }
    await delay(visibleAfterMs, undefined, { signal });
  }
}

async function averageRowBytes(connection: Connection, table: SourceTable): Promise<number> {
  const [row] = await rowsOf(
    connection,
    'SELECT avg_row_length FROM information_schema.tables WHERE table_schema = ? AND table_name = ?',
    [table.database, table.tableName],
  );
  return Number(row?.avg_row_length ?? 0);
}

function rowLimit(averageBytes: number, maxRows: number): number {
  return Math.min(maxRows, Math.max(1_000, Math.floor(chunkBytes / Math.max(averageBytes, 1))));
}

export async function requireTable(
  connection: Connection,
  fullName: string,
  context: ShapeContext,
): Promise<SourceTable> {
  const [found] = await findTables(connection, [fullName.slice(context.source.length + 1)], true);
  if (found) return found;
  // Tried again, which leaves it out or says which table is missing: the other tables must not stand still for it.
  throw new DailiesError('source_protocol', `The table ${fullName} was dropped or renamed while it was read.`, {
    details: { table: fullName },
  });
}

export function isSameShape(a: SourceTable, b: SourceTable): boolean {
  return JSON.stringify([a.columns, a.key]) === JSON.stringify([b.columns, b.key]);
}

/**
 * It was altered or dropped, maybe with its database, after it was looked up, or after the snapshot was taken:
 * ER_TABLE_DEF_CHANGED, ER_BAD_FIELD_ERROR, ER_NO_SUCH_TABLE, ER_BAD_DB_ERROR.
 */
export function isAltered(thrown: unknown): boolean {
  return [1412, 1054, 1146, 1049].includes(errorNumber(thrown) ?? 0);
}
