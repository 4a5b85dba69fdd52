import { rm, writeFile } from 'node:fs/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import { scratchPath } from '../../scratch.ts';
import { copyToFile, maxFileBytes, maxFileRows } from '../files/data-file-writer.ts';
import { selectNumbered } from '../files/numbered-columns.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { removeFiles } from '../storage.ts';
import type { FileLayout } from './open-files.ts';

/** Parquet files with numbered columns, joined to data files as they come. For a table without partitions. */
export class JoinedFiles {
  readonly #connection: DuckDBConnection;
  readonly #newLocation: () => string;
  /** What waits to become one data file. */
  #waiting: { path: string; rows: number; bytes: number }[] = [];
  #layout: FileLayout | null = null;
  #written: DataFile[] = [];

  constructor(connection: DuckDBConnection, newLocation: () => string) {
    this.#connection = connection;
    this.#newLocation = newLocation;
  }

  /** All files between two calls of `finish` have one layout. */
  async append(parquet: Uint8Array, rows: number, layout: FileLayout): Promise<void> {
    const path = scratchPath('.parquet');
    this.#layout = layout;
    this.#waiting.push({ path, rows, bytes: parquet.length });
    await writeFile(path, parquet);
    const total = (key: 'rows' | 'bytes') => this.#waiting.reduce((sum, file) => sum + file[key], 0);
    if (total('rows') >= maxFileRows || total('bytes') >= maxFileBytes) await this.#join();
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#written.length === 0;
  }

  /** The data files of all that came since the last call. */
  async finish(): Promise<DataFile[]> {
    await this.#join();
    const written = this.#written;
    this.#written = [];
    return written;
  }

  async abandon(): Promise<void> {
    await this.#forgetWaiting();
    const written = this.#written;
    this.#written = [];
    await removeFiles(written.map((file) => file.location));
  }

  async #join(): Promise<void> {
    const layout = this.#layout;
    if (this.#waiting.length === 0 || !layout) return;
    const paths = this.#waiting.map((file) => file.path);
    const select = selectNumbered(paths, layout.schema);
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
