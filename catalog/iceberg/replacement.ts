import type { DuckDBConnection } from '@duckdb/node-api';
import type { Schema, Value } from '../schemas/schema.ts';
import { DataFileWriter, maxFileBytes, maxFileRows } from './data-file-writer.ts';
import type { DataFile } from './manifest.ts';
import type { SchemaState } from './schema-conversion.ts';
import { estimateBytes } from './staged-rows.ts';
import { removeFiles } from './storage.ts';

/** The rows that will replace a table, written to data files as they come. */
export class Replacement {
  readonly schema: Schema;
  readonly schemaState: SchemaState;
  readonly #connection: DuckDBConnection;
  readonly #newLocation: () => string;
  readonly #files: DataFile[] = [];
  #writer: DataFileWriter | null = null;
  #bytes = 0;

  constructor(schema: Schema, schemaState: SchemaState, connection: DuckDBConnection, newLocation: () => string) {
    this.schema = schema;
    this.schemaState = schemaState;
    this.#connection = connection;
    this.#newLocation = newLocation;
  }

  async append(row: readonly Value[]): Promise<void> {
    this.#writer ??= await DataFileWriter.open(this.#connection, {
      schema: this.schema,
      iceberg: this.schemaState.schema,
    });
    this.#writer.append(row);
    this.#bytes += estimateBytes(row);
    if (this.#writer.rows >= maxFileRows || this.#bytes >= maxFileBytes) await this.#close();
  }

  async finish(): Promise<DataFile[]> {
    await this.#close();
    return this.#files;
  }

  async abandon(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    await writer?.abandon();
    await removeFiles(this.#files.map((file) => file.location));
  }

  async #close(): Promise<void> {
    const writer = this.#writer;
    if (!writer) return;
    this.#writer = null;
    this.#bytes = 0;
    this.#files.push(await writer.finish(this.#newLocation()));
  }
}
