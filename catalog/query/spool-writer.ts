import fs from 'node:fs/promises';
import path from 'node:path';
import {
  type DuckDBAppender,
  type DuckDBConnection,
  type DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBResult,
  type DuckDBType,
} from '@duckdb/node-api';
import { duckdbTypeName, literal } from '../iceberg/files/duckdb-values.ts';
import { zeroSignOptions } from '../iceberg/files/zero-signs.ts';
import type { ResultColumn } from './child-protocol.ts';
import { bytesOf } from './chunk-bytes.ts';
import { StatementError } from './query-problem.ts';
import { fieldTypeOf } from './result-types.ts';
import { partName } from './spool-parts.ts';

/** Rows of the first part: a screenful is there before the rest. Parts grow tenfold up to the largest. */
const firstPartRows = 500;
const largestPartRows = 50_000;
/** A part of wide rows is closed earlier: it is written from memory, which holds it about three times. */
const largestPartBytes = 32 << 20;
/** Rows in hand are written once they have waited this long for more. */
const waitMs = 250;

/**
 * Writes a result as it comes into Parquet parts of its folder, in order, by a DuckDB of its own that can reach nothing
 * else and never sees the person's SQL. Columns are named c0, c1 … and have exactly the types of `ResultColumn`.
 */
export class SpoolWriter {
  readonly columns: ResultColumn[];
  readonly #connection: DuckDBConnection;
  readonly #types: DuckDBType[];
  readonly #dir: string;
  readonly #maxBytes: number;
  readonly #onPart: (rows: number) => void;
  #appender: DuckDBAppender | null = null;
  /** Rows in hand, and how many they are. */
  readonly #waiting: DuckDBDataChunk[] = [];
  #pending = 0;
  #pendingBytes = 0;
  /** The part that is being written. */
  #writing: Promise<void> = Promise.resolve();
  #begun = 0;
  /** Rows of all parts begun. */
  #rows = 0;
  #bytes = 0;
  #target = firstPartRows;

  private constructor(
    connection: DuckDBConnection,
    result: DuckDBResult,
    dir: string,
    maxBytes: number,
    onPart: (rows: number) => void,
  ) {
    this.#connection = connection;
    this.#types = result.columnTypes();
    this.columns = result.columnNames().map((name, index) => ({ name, type: fieldTypeOf(this.#types[index], name) }));
    this.#dir = dir;
    this.#maxBytes = maxBytes;
    this.#onPart = onPart;
  }

  /** `dir` must exist; `onPart` is called after each complete part with its rows. */
  static async open(
    result: DuckDBResult,
    dir: string,
    maxBytes: number,
    onPart: (rows: number) => void,
  ): Promise<SpoolWriter> {
    const instance = await DuckDBInstance.create(':memory:', {
      threads: '1',
      memory_limit: '512MB',
      temp_directory: '',
      errors_as_json: 'true',
    });
    const connection = await instance.connect();
    const writer = new SpoolWriter(connection, result, dir, maxBytes, onPart);
    const columns = writer.#types.map((type, index) => `c${index} ${type}`);
    await connection.run(`SET allowed_directories = [${literal(dir)}]`);
    await connection.run('SET enable_external_access = false');
    await connection.run(`CREATE TABLE rows_in_hand (${columns.join(', ')})`);
    await connection.run('SET lock_configuration = true');
    return writer;
  }

  /** Writes all rows of the result; throws what DuckDB throws, or `query_limit` for a result beyond its size. */
  async writeAll(result: DuckDBResult): Promise<void> {
    let next = result.fetchChunk();
    for (;;) {
      if (this.#pending > 0 && (await isSlow(next))) await this.#beginPart();
      const chunk = await next;
      if (chunk === null || chunk.rowCount === 0) break;
      this.#waiting.push(chunk);
      this.#pending += chunk.rowCount;
      this.#pendingBytes += bytesOf(chunk);
      next = result.fetchChunk();
      // Failing while a part is begun must not count as unhandled: it is awaited above.
      next.catch(() => undefined);
      if (this.#pending >= this.#target || this.#pendingBytes >= largestPartBytes) await this.#beginPart();
    }
    // An empty result has one part too: its readers then need no special case.
    if (this.#pending > 0 || this.#begun === 0) await this.#beginPart();
    await this.#writing;
  }

  /** Takes the rows in hand once the part before is complete, and leaves them being written while more are fetched. */
  async #beginPart(): Promise<void> {
    await this.#writing;
    // Never committed: that would copy them once more.
    await this.#connection.run('BEGIN');
    this.#appender ??= await this.#connection.createAppender('rows_in_hand');
    for (const chunk of this.#waiting.splice(0)) {
      this.#appender.appendDataChunk(chunk);
      // The collector of garbage knows nothing of the memory that its rows take.
      chunk.reset();
    }
    this.#appender.flushSync();
    const rows = this.#pending;
    this.#pending = 0;
    this.#pendingBytes = 0;
    this.#writing = this.#writePart(partName(this.#begun++, this.#rows, rows), rows);
    this.#rows += rows;
    this.#target = Math.min(this.#target * 10, largestPartRows);
    // It is awaited before the next one, and at the end.
    this.#writing.catch(() => undefined);
  }

  async #writePart(name: string, rows: number): Promise<void> {
    const target = path.join(this.#dir, name);
    const unfinished = `${target}.unfinished`;
    const select = this.columns.map(({ type }, index) => `CAST(c${index} AS ${duckdbTypeName(type)}) AS c${index}`);
    const rowsInHand = `SELECT ${select.join(', ')} FROM rows_in_hand`;
    const columns = this.columns.map(({ type }, index) => ({ name: `c${index}`, type }));
    const zeros = await zeroSignOptions(this.#connection, rowsInHand, columns);
    await this.#connection.run(
      `COPY (${rowsInHand}) TO ${literal(unfinished)} (FORMAT parquet, COMPRESSION lz4_raw${zeros})`,
    );
    await this.#connection.run('ROLLBACK');
    this.#bytes += (await fs.stat(unfinished)).size;
    if (this.#bytes > this.#maxBytes) {
      throw new StatementError(
        'query_limit',
        `The result is larger than the ${Math.round(this.#maxBytes / 2 ** 20)} MiB that are kept of one query. Select fewer rows or columns.`,
      );
    }
    await fs.rename(unfinished, target);
    this.#onPart(rows);
  }
}

async function isSlow(next: Promise<unknown>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(true), waitMs);
  try {
    return await Promise.race([next.then(() => false), promise]);
  } finally {
    clearTimeout(timer);
  }
}
