import { rm, stat } from 'node:fs/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { RowAppender } from '#catalog/iceberg/files/row-appender.ts';
import { zeroSignOptions } from '#catalog/iceberg/files/zero-signs.ts';
import type { Schema, Value } from '#catalog/schemas/schema.ts';
import { scratchPath } from '#catalog/scratch.ts';
import type { ChunkFile } from './chunk-reader.ts';

/** Writes rows, decoded by us, as a file of a chunk: for tables and values that DuckDB cannot be given as text. */
export class ChunkFileWriter {
  readonly #connection: DuckDBConnection;
  readonly #schema: Schema;
  readonly #gathered: RowAppender;
  #rows = 0;

  private constructor(connection: DuckDBConnection, schema: Schema, gathered: RowAppender) {
    this.#connection = connection;
    this.#schema = schema;
    this.#gathered = gathered;
  }

  static async open(connection: DuckDBConnection, schema: Schema): Promise<ChunkFileWriter> {
    const columns = schema.fields.map(({ type }, index) => ({ name: `c${index}`, type }));
    return new ChunkFileWriter(connection, schema, await RowAppender.open(connection, columns));
  }

  /** A value for each of the schema's fields, in their order. */
  append(row: readonly Value[]): void {
    this.#gathered.append(row);
    this.#rows += 1;
  }

  /** The file; the writer is spent. */
  async finish(): Promise<ChunkFile> {
    try {
      this.#gathered.finish();
      return await writeChunkFile(this.#connection, `FROM ${this.#gathered.table}`, this.#schema, this.#rows);
    } finally {
      await this.#gathered.drop();
    }
  }

  async abandon(): Promise<void> {
    await this.#gathered.drop();
  }
}

/** Writes what a SELECT gives, whose columns are `c0`, `c1`, …, as a file of a chunk. */
export async function writeChunkFile(
  connection: DuckDBConnection,
  select: string,
  schema: Schema,
  rows: number,
): Promise<ChunkFile> {
  const path = scratchPath('.parquet');
  try {
    const columns = schema.fields.map(({ type }, index) => ({ name: `c${index}`, type }));
    const zeros = await zeroSignOptions(connection, select, columns);
    await connection.run(`COPY (${select}) TO ${literal(path)} (FORMAT parquet, COMPRESSION zstd${zeros})`);
    const { size } = await stat(path);
    return { path, schema, rows, bytes: size };
  } catch (thrown) {
    await rm(path, { force: true });
    throw thrown;
  }
}

export async function removeFiles(files: readonly ChunkFile[]): Promise<void> {
  await Promise.all(files.map(({ path }) => rm(path, { force: true })));
}
