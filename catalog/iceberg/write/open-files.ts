import type { DuckDBConnection } from '@duckdb/node-api';
import type { Schema, Value } from '../../schemas/schema.ts';
import { maxFileBytes, maxFileRows, openDataFile, type RowFile } from '../files/data-file-writer.ts';
import { partitionerOf, tupleKey } from '../files/partitioner.ts';
import type { DataFile } from '../manifests/manifest.ts';
import type { IcebergSchema } from '../metadata/iceberg-schema.ts';
import { type PartitionColumn, partitionColumns } from '../metadata/partition-spec.ts';
import { schemaOf, type TableMetadata } from '../metadata/table-metadata.ts';
import { removeFiles } from '../storage.ts';
import type { RowPlace } from './key-index.ts';
import { estimateBytes } from './staged-rows.ts';

/** What new data files of a table are like. */
export interface FileLayout {
  schema: Schema;
  iceberg: IcebergSchema;
  specId: number;
  /** Fields of the partition spec; none for a table without partitions. */
  partition: readonly PartitionColumn[];
}

/** What files of the table are like once `metadata` is committed. */
export function layoutOf(schema: Schema, metadata: TableMetadata): FileLayout {
  const specId = metadata['default-spec-id'];
  return { schema, iceberg: schemaOf(metadata), specId, partition: partitionColumns(metadata, specId) };
}

interface OpenFile {
  location: string;
  partition: readonly Value[];
  rows: number;
  /** Rough memory that its rows take. */
  bytes: number;
  /** Rows that wait for a writer: most files of many partitions stay small. */
  waiting: (readonly Value[])[];
  writer: RowFile | null;
}

/** A file of a partition is given a writer of its own beyond this many rows. */
const maxWaitingRows = 5_000;
/** Not more writers than these at once: the file that has waited longest for rows is closed. */
const maxWriters = 32;
/** Rows held by all open files, in rough bytes of memory; beyond it the largest ones are closed until half is free. */
const maxOpenBytes = 192 << 20;

/** The data files that rows are being written to, one for each partition that rows come for. */
export class OpenFiles {
  readonly layout: FileLayout;
  readonly #connection: DuckDBConnection;
  readonly #newLocation: () => string;
  readonly #partitionOf: (row: readonly Value[]) => readonly Value[];
  /** By partition, the one written to last at the end. */
  readonly #open = new Map<string, OpenFile>();
  #last: { key: string; file: OpenFile } | null = null;
  #closed: DataFile[] = [];
  #bytes = 0;

  constructor(connection: DuckDBConnection, layout: FileLayout, newLocation: () => string) {
    this.layout = layout;
    this.#connection = connection;
    this.#newLocation = newLocation;
    this.#partitionOf = partitionerOf(layout);
  }

  /** Appends a row to the file of its partition; says where it will stand, at once where no file has to be opened or closed. */
  write(row: readonly Value[]): RowPlace | Promise<RowPlace> {
    const partition = this.#partitionOf(row);
    const key = tupleKey(partition);
    const file = this.#last?.key === key ? this.#last.file : this.#take(key, partition);
    const place = { location: file.location, position: file.rows };
    if (file.writer) file.writer.append(row);
    else file.waiting.push(row);
    const bytes = estimateBytes(row);
    file.rows += 1;
    file.bytes += bytes;
    this.#bytes += bytes;
    const isFull = file.rows >= maxFileRows || file.bytes >= maxFileBytes;
    const lacksWriter = !file.writer && (file.waiting.length >= maxWaitingRows || this.layout.partition.length === 0);
    if (!isFull && !lacksWriter && this.#bytes < maxOpenBytes) return place;
    return this.#makeRoom(key, file, isFull).then(() => place);
  }

  async #makeRoom(key: string, file: OpenFile, isFull: boolean): Promise<void> {
    if (isFull) await this.#close(key);
    else if (!file.writer) await this.#giveWriter(file);
    if (this.#bytes >= maxOpenBytes) await this.#closeLargest();
  }

  /**
   * Closes all files, or the one at a location; gives all that were closed since the last call. They are durable but for
   * their folder's entry.
   */
  async finish(only?: string): Promise<DataFile[]> {
    for (const [key, file] of [...this.#open]) {
      if (only === undefined || file.location === only) await this.#close(key);
    }
    const closed = this.#closed;
    this.#closed = [];
    return closed;
  }

  /** Forgets all rows and removes the files that `finish` has not given yet. */
  async abandon(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    this.#last = null;
    this.#bytes = 0;
    for (const { writer } of open) await writer?.abandon();
    const closed = this.#closed;
    this.#closed = [];
    await removeFiles(closed.map((file) => file.location));
  }

  #take(key: string, partition: readonly Value[]): OpenFile {
    const file = this.#open.get(key) ?? {
      location: this.#newLocation(),
      partition,
      rows: 0,
      bytes: 0,
      waiting: [],
      writer: null,
    };
    this.#open.delete(key);
    this.#open.set(key, file);
    this.#last = { key, file };
    return file;
  }

  async #giveWriter(file: OpenFile): Promise<void> {
    const written = [...this.#open].filter(([, other]) => other.writer !== null);
    const oldest = written[0];
    if (oldest && written.length >= maxWriters) await this.#close(oldest[0]);
    file.writer = await openDataFile(this.#connection, this.layout, file.location);
    for (const row of file.waiting) file.writer.append(row);
    file.waiting = [];
  }

  async #close(key: string): Promise<void> {
    const file = this.#open.get(key);
    if (!file) return;
    if (!file.writer) await this.#giveWriter(file);
    this.#open.delete(key);
    if (this.#last?.file === file) this.#last = null;
    this.#bytes -= file.bytes;
    const written = await file.writer?.finish(file.bytes);
    if (written) this.#closed.push({ ...written, specId: this.layout.specId, partition: file.partition });
  }

  async #closeLargest(): Promise<void> {
    const bySize = [...this.#open].sort(([, a], [, b]) => b.bytes - a.bytes);
    for (const [key] of bySize) {
      if (this.#bytes < maxOpenBytes / 2) break;
      await this.#close(key);
    }
  }
}
