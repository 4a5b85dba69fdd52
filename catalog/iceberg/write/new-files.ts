import { randomUUID } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Value } from '../../schemas/schema.ts';
import type { RowPlace } from './key-index.ts';
import { type FileLayout, OpenFiles } from './open-files.ts';
import type { WorkingFiles } from './working-files.ts';

/** The data files that the commit in hand writes: rows go to open files, which join the table's once they are closed. */
export class NewFiles {
  /** Where data files were, or will be, written since the last commit. */
  readonly locations = new Set<string>();
  readonly #connection: DuckDBConnection;
  readonly #files: WorkingFiles;
  readonly #folder: string;
  #open: OpenFiles | null = null;

  /** `location` is the table's. */
  constructor(connection: DuckDBConnection, files: WorkingFiles, location: string) {
    this.#connection = connection;
    this.#files = files;
    this.#folder = `${location}/data`;
  }

  newLocation(): string {
    const location = `${this.#folder}/${randomUUID()}.parquet`;
    this.locations.add(location);
    return location;
  }

  get isWriting(): boolean {
    return this.#open !== null;
  }

  /** Files of rows that are no part of the commit in hand yet. */
  openFiles(layout: FileLayout): OpenFiles {
    return new OpenFiles(this.#connection, layout, () => this.newLocation());
  }

  /** Appends a row; `layout` holds until all files are closed. */
  write(row: readonly Value[], layout: () => FileLayout): RowPlace | Promise<RowPlace> {
    this.#open ??= this.openFiles(layout());
    return this.#open.write(row);
  }

  /** True if the file at a location takes rows still. */
  isOpen(location: string): boolean {
    return this.#open !== null && !this.#files.has(location);
  }

  /** Makes the rows of the file at a location ones that can be read and deleted. */
  async close(location: string): Promise<void> {
    if (!this.#open || !this.isOpen(location)) return;
    for (const file of await this.#open.finish(location)) this.#files.add(file);
  }

  /** Closes all files; true if there were any. */
  async closeAll(): Promise<boolean> {
    const open = this.#open;
    if (!open) return false;
    this.#open = null;
    for (const file of await open.finish()) this.#files.add(file);
    return true;
  }

  /** Forgets the rows of files that are still open. */
  async abandon(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    await open?.abandon();
  }
}
