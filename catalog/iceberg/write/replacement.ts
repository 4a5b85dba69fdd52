import { rm, writeFile } from 'node:fs/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Schema, Value } from '../../schemas/schema.ts';
import { scratchPath } from '../../scratch.ts';
import { copyToFile, maxFileBytes, maxFileRows } from '../files/data-file-writer.ts';
import { selectNumbered } from '../files/numbered-columns.ts';
import type { DataFile } from '../manifests/manifest.ts';
import type { SchemaState } from '../metadata/schema-evolution.ts';
import { removeFiles } from '../storage.ts';
import type { OpenFiles } from './open-files.ts';

/** The rows that will replace a table, written to data files as they come, one by one or in files of their own. */
export class Replacement {
  readonly schema: Schema;
  readonly schemaState: SchemaState;
  readonly #connection: DuckDBConnection;
  readonly #files: OpenFiles;
  readonly #newLocation: () => string;
  /** Files of rows that wait to become one data file. */
  #waiting: { path: string; rows: number; bytes: number }[] = [];
  #written: DataFile[] = [];

  constructor(
    schema: Schema,
    schemaState: SchemaState,
    connection: DuckDBConnection,
    files: OpenFiles,
    newLocation: () => string,
  ) {
    this.schema = schema;
    this.schemaState = schemaState;
    this.#connection = connection;
    this.#files = files;
    this.#newLocation = newLocation;
  }

  async append(row: readonly Value[]): Promise<void> {
    await this.#files.write(row);
  }

  /** Appends the rows of a Parquet file with numbered columns; false where each row has to go to its own partition. */
  async appendFile(parquet: Uint8Array, rows: number): Promise<boolean> {
    if (this.#files.layout.partition.length > 0) return false;
    const path = scratchPath('.parquet');
    this.#waiting.push({ path, rows, bytes: parquet.length });
    await writeFile(path, parquet);
    const total = (key: 'rows' | 'bytes') => this.#waiting.reduce((sum, file) => sum + file[key], 0);
    if (total('rows') >= maxFileRows || total('bytes') >= maxFileBytes) await this.#join();
    return true;
  }

  async finish(): Promise<DataFile[]> {
    await this.#join();
    const written = this.#written;
    this.#written = [];
    return [...written, ...(await this.#files.finish())];
  }

  async abandon(): Promise<void> {
    await this.#forgetWaiting();
    await removeFiles(this.#written.map((file) => file.location));
    this.#written = [];
    await this.#files.abandon();
  }

  async #join(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const { layout } = this.#files;
    const select = selectNumbered(
      this.#waiting.map((file) => file.path),
      this.schema,
    );
    const file = await copyToFile(this.#connection, select, layout, this.#newLocation());
    this.#written.push({ ...file, specId: layout.specId, partition: [] });
    await this.#forgetWaiting();
  }

  async #forgetWaiting(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    await Promise.all(waiting.map(({ path }) => rm(path, { force: true })));
  }
}
