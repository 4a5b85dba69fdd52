import { rm, writeFile } from 'node:fs/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import { scratchPath } from '../../scratch.ts';
import { copyToFile, maxFileBytes, maxFileRows } from '../files/data-file-writer.ts';
import { selectNumbered } from '../files/numbered-columns.ts';
import { ParquetJoiner } from '../files/parquet-joiner.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { removeFiles } from '../storage.ts';
import type { FileLayout } from './open-files.ts';

/**
 * Parquet files with numbered columns, joined to data files as they come. For a table without partitions. Where the table's
 * columns allow, their pages are taken as they are; else the rows are written anew.
 */
export class JoinedFiles {
  readonly #connection: DuckDBConnection;
  readonly #newLocation: () => string;
  #joiner: ParquetJoiner | null = null;
  /** What waits to be written as one data file. */
  #waiting: { path: string; rows: number; bytes: number }[] = [];
  #layout: FileLayout | null = null;
  #written: DataFile[] = [];

  constructor(connection: DuckDBConnection, newLocation: () => string) {
    this.#connection = connection;
    this.#newLocation = newLocation;
  }

  /** All files between two calls of `finish` have one layout. */
  async append(parquet: Uint8Array, rows: number, layout: FileLayout): Promise<void> {
    this.#layout = layout;
    if (ParquetJoiner.canJoin(layout)) await this.#takeIn(parquet, layout);
    else await this.#keep(parquet, rows);
  }

  get isEmpty(): boolean {
    return this.#joiner === null && this.#waiting.length === 0 && this.#written.length === 0;
  }

  /** The data files of all that came since the last call. */
  async finish(): Promise<DataFile[]> {
    await this.#closeJoiner();
    await this.#join();
    const written = this.#written;
    this.#written = [];
    return written;
  }

  async abandon(): Promise<void> {
    const joiner = this.#joiner;
    this.#joiner = null;
    await joiner?.abandon();
    await this.#forgetWaiting();
    const written = this.#written;
    this.#written = [];
    await removeFiles(written.map((file) => file.location));
  }

  async #takeIn(parquet: Uint8Array, layout: FileLayout): Promise<void> {
    this.#joiner ??= new ParquetJoiner(layout, this.#newLocation());
    if (!(await this.#joiner.append(parquet))) {
      await this.#closeJoiner();
      return await this.#takeIn(parquet, layout);
    }
    if (this.#joiner.rows >= maxFileRows || this.#joiner.bytes >= maxFileBytes) await this.#closeJoiner();
  }

  async #closeJoiner(): Promise<void> {
    const joiner = this.#joiner;
    if (!joiner) return;
    const file = await joiner.finish();
    this.#joiner = null;
    this.#written.push({ ...file, specId: this.#layout?.specId ?? 0, partition: [] });
  }

  async #keep(parquet: Uint8Array, rows: number): Promise<void> {
    const path = scratchPath('.parquet');
    this.#waiting.push({ path, rows, bytes: parquet.length });
    await writeFile(path, parquet);
    const total = (key: 'rows' | 'bytes') => this.#waiting.reduce((sum, file) => sum + file[key], 0);
    if (total('rows') >= maxFileRows || total('bytes') >= maxFileBytes) await this.#join();
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
