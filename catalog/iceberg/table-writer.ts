import { randomUUID } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DailiesError } from '../error.ts';
import { failpoint } from '../failpoint.ts';
import { type Row, type Schema, schemasEqual, type Value } from '../schemas/schema.ts';
import type { IcebergCatalog, TableChange } from './catalog.ts';
import { compactionOf } from './compaction.ts';
import { copyToFile, DataFileWriter, maxFileBytes, maxFileRows } from './data-file-writer.ts';
import { connectDuckdb } from './duckdb-engine.ts';
import { filesOfExpired } from './garbage.ts';
import { KeyIndex, type RowPlace } from './key-index.ts';
import { readLiveFiles } from './live-files.ts';
import type { DataFile } from './manifest.ts';
import { newTable } from './new-table.ts';
import { writePositionDeletes } from './position-deletes.ts';
import { Replacement } from './replacement.ts';
import { scanSql } from './scan.ts';
import {
  createIcebergSchema,
  evolveIcebergSchema,
  fieldIds,
  fromIcebergSchema,
  replaceIcebergSchema,
  type SchemaState,
  sameIcebergSchema,
  schemaProperties,
} from './schema-conversion.ts';
import {
  type BuiltSnapshot,
  buildSnapshot,
  type Operation,
  type Retention,
  type TableBase,
} from './snapshot-builder.ts';
import { estimateBytes, KeyedRows, KeylessRows, type StagedRows, type StageTarget } from './staged-rows.ts';
import { makeTableFolders, removeFiles } from './storage.ts';
import { TableIndex } from './table-index.ts';
import { ancestors, currentSnapshot, liveRows, schemaOf, type TableMetadata } from './table-metadata.ts';
import { WorkingFiles } from './working-files.ts';

interface TableWriterDeps {
  catalog: IcebergCatalog;
  /** Folder of all key indexes. */
  indexDir: string;
  now: () => Date;
  retention?: Retention;
}

/** What goes into every snapshot's summary, so that who reads the table knows how far it is. */
export type CommitSummary = Readonly<Record<string, string>>;

/** A commit whose files are written, before the pointer moves. */
export interface PreparedCommit {
  change: TableChange;
  built: BuiltSnapshot;
  schema: Schema;
  rows: bigint;
}

/** Staged rows are written out beyond these. */
const maxStagedRows = 100_000;
const maxStagedBytes = 64 << 20;

const defaultRetention: Retention = { minSnapshots: 100, maxSnapshots: 500, maxAgeMs: 15 * 60_000 };
/** Files stay on disk this long after the last snapshot that needs them, for queries that still run. */
const garbageGraceMs = 10 * 60_000;
const sweepEveryMs = 30_000;
const parallelWrites = 8;

/**
 * The one writer of one table. Rows are staged, then `prepare` writes all files of the next snapshot, the catalog moves
 * the pointer, and `settle` takes the new state over. Calls come one at a time. After any error the writer is of no
 * further use: close it and open another, which starts from the table's last commit.
 */
export class TableWriter {
  readonly name: string;
  readonly #deps: TableWriterDeps;
  readonly #connection: DuckDBConnection;
  readonly #index: TableIndex;
  #base: TableBase;
  #files: WorkingFiles;
  #schemaState: SchemaState;
  #schema: Schema;
  #staged: StagedRows;
  #open: { writer: DataFileWriter; location: string; bytes: number } | null = null;
  #replacement: Replacement | null = null;
  #isChanged = false;
  #isReplaced = false;
  #sweptAtMs = 0;

  private constructor(
    name: string,
    deps: TableWriterDeps,
    connection: DuckDBConnection,
    base: TableBase,
    files: WorkingFiles,
  ) {
    this.name = name;
    this.#deps = deps;
    this.#connection = connection;
    this.#base = base;
    this.#files = files;
    const iceberg = schemaOf(base.metadata);
    this.#schemaState = { schema: iceberg, lastColumnId: base.metadata['last-column-id'] };
    this.#schema = fromIcebergSchema(iceberg, base.metadata.properties);
    this.#staged = stageFor(name, this.#schema, iceberg);
    this.#index = new TableIndex(KeyIndex.open(`${deps.indexDir}/${base.metadata['table-uuid']}`));
  }

  /** Opens the table as of its last commit; one that does not exist is made by its first commit. */
  static async open(name: string, deps: TableWriterDeps): Promise<TableWriter> {
    const entry = await deps.catalog.load(name);
    const connection = await connectDuckdb();
    if (!entry) {
      const base = newTable(name, deps.catalog.warehouse);
      return new TableWriter(name, deps, connection, base, new WorkingFiles(connection, []));
    }
    const { metadata, metadataLocation } = entry;
    const snapshot = currentSnapshot(metadata);
    const live = snapshot ? await readLiveFiles(snapshot) : { manifests: [], files: [] };
    const base = { metadataLocation, metadata, manifests: live.manifests };
    return new TableWriter(name, deps, connection, base, new WorkingFiles(connection, live.files));
  }

  get exists(): boolean {
    return this.#base.metadataLocation !== null;
  }

  get schema(): Schema {
    return this.#schema;
  }

  get metadata(): TableMetadata {
    return this.#base.metadata;
  }

  get rows(): bigint {
    return liveRows(currentSnapshot(this.#base.metadata));
  }

  /** The newest value of a summary property, looked for back through the table's history; null for none. */
  summaryValue(property: string): string | null {
    for (const snapshot of ancestors(this.#base.metadata)) {
      const value = snapshot.summary[property];
      if (value !== undefined) return value;
    }
    return null;
  }

  /** True if a commit would change more than the summary. */
  get hasChanges(): boolean {
    return this.#isChanged || this.#staged.size > 0;
  }

  get isReplacing(): boolean {
    return this.#replacement !== null;
  }

  /** Makes the staged rows and those that follow have this shape. Throws `schema_incompatible` naming the column. */
  async evolve(next: Schema): Promise<void> {
    if (schemasEqual(this.#schema, next)) return;
    const state = this.#isNew() ? createIcebergSchema(next) : evolveIcebergSchema(this.#schemaState, next);
    const isSame = sameIcebergSchema(state.schema, this.#schemaState.schema);
    const isKeyKept = String(this.#schema.key) === String(next.key);
    if (isSame && isKeyKept) {
      // Only what the table does not store differs, such as a column that the source has since made required.
      this.#schema = next;
      return;
    }
    const previous = this.#schema;
    if (!isKeyKept || this.#index.isUsed) await this.#flush();
    await this.#closeFile();
    this.#index.forget();
    this.#schemaState = { ...state, schema: { ...state.schema, 'schema-id': this.#nextSchemaId() } };
    this.#schema = next;
    if (this.#staged.size === 0) this.#staged = stageFor(this.name, next, this.#schemaState.schema);
    else this.#staged.reshape(previous, next, fieldIds(this.#schemaState.schema));
    this.#isChanged = true;
  }

  async upsert(row: Row, isInsert: boolean): Promise<void> {
    this.#staged.upsert(row, isInsert);
    if (this.#isStageFull()) await this.#flush();
  }

  async remove(row: Row): Promise<void> {
    // Before, not after: an insert that follows a removal may complete a key change.
    if (this.#isStageFull()) await this.#flush();
    this.#staged.remove(row);
  }

  async truncate(): Promise<void> {
    this.#staged.clear();
    await this.#abandonFile();
    await removeFiles(this.#files.removeAll());
    this.#index.truncate();
    this.#isChanged = true;
  }

  /** Rows appended from now on replace the whole table at `endReplacement`; an unfinished replacement is forgotten. */
  async beginReplacement(schema: Schema): Promise<void> {
    await this.#abandonReplacement();
    this.#replacement = new Replacement(schema, this.#replacementSchema(schema), this.#connection, () =>
      this.#newLocation(),
    );
    if (!this.exists) await makeTableFolders(this.#base.metadata.location);
  }

  async appendReplacement(row: Row): Promise<void> {
    if (!this.#replacement) throw new DailiesError('internal', `No snapshot of ${this.name} has begun.`);
    await this.#replacement.append(row as readonly Value[]);
  }

  /** The replacement is complete: the next commit shows it, and nothing of what was there before. */
  async endReplacement(): Promise<void> {
    const replacement = this.#replacement;
    if (!replacement) throw new DailiesError('internal', `No snapshot of ${this.name} has begun.`);
    const files = await replacement.finish();
    await this.truncate();
    this.#replacement = null;
    this.#schema = replacement.schema;
    this.#schemaState = {
      ...replacement.schemaState,
      schema: { ...replacement.schemaState.schema, 'schema-id': this.#nextSchemaId() },
    };
    this.#staged = stageFor(this.name, this.#schema, this.#schemaState.schema);
    for (const file of files) this.#files.add(file);
    this.#index.forget();
    this.#isReplaced = true;
  }

  /** Writes all files of the commit and flushes them to disk. Nothing is visible yet. */
  async prepare(summary: CommitSummary): Promise<PreparedCommit> {
    failpoint('before-data-files');
    if (!this.exists) await makeTableFolders(this.#base.metadata.location);
    await this.#flush();
    await this.#closeFile();
    const deletes = await this.#writeDeletes();
    const added = [...this.#files.staged(), ...deletes];
    failpoint('after-data-files');
    return await this.#build(added, this.#operation(added), summary);
  }

  /** Takes over what was committed, and brings the index after it. */
  async settle({ built }: PreparedCommit): Promise<void> {
    const goneFiles = [...this.#files.removed];
    this.#base = {
      metadataLocation: built.metadataLocation,
      metadata: built.metadata,
      manifests: built.manifests,
    };
    this.#files.settle(built.added);
    this.#isChanged = false;
    this.#isReplaced = false;
    await this.#index.settle(built.snapshot['snapshot-id'], goneFiles);
    await this.#collectGarbage(built);
    failpoint('after-index-update');
  }

  /**
   * Rewrites many small files, or one with many deletes, as one, if it is worth it: a commit of its own that changes no
   * row. Null if there is nothing to do. Followed by the pointer's move and `settle` like any other.
   */
  async prepareCompaction(): Promise<PreparedCommit | null> {
    const chosen = compactionOf(this.#files.all());
    if (chosen.length === 0) return null;
    const ids = fieldIds(this.#schemaState.schema);
    const location = this.#newLocation();
    const select = scanSql(
      chosen.flatMap(({ entry, deletes }) => (entry ? [{ data: entry, deletes: [...deletes] }] : [])),
      this.#schema,
      ids,
    );
    const file = await copyToFile(this.#connection, select, this.#fileSchema(), location);
    for (const old of chosen) this.#files.remove(old);
    this.#files.add(file);
    await this.#index.moveRows(this.#indexTable(), file);
    const kept = Object.entries(currentSnapshot(this.#base.metadata)?.summary ?? {});
    return await this.#build([file], 'replace', Object.fromEntries(kept.filter(([key]) => key.startsWith('dailies.'))));
  }

  /** Removes what a refused commit wrote. Only where it is certain that it was refused. */
  async discard({ built }: PreparedCommit): Promise<void> {
    const added = built.added.map((entry) => entry.file.location);
    await removeFiles([...built.written, ...added]);
  }

  async close(): Promise<void> {
    await this.#abandonFile();
    await this.#abandonReplacement();
    await this.#index.close();
    this.#connection.closeSync();
  }

  async #build(added: DataFile[], operation: Operation, summary: CommitSummary): Promise<PreparedCommit> {
    const { metadata } = this.#base;
    const isSchemaNew = this.#schemaState.schema['schema-id'] !== metadata['current-schema-id'] || !this.exists;
    const built = await buildSnapshot(
      this.#base,
      {
        added,
        removed: this.#files.removed,
        operation,
        schema: isSchemaNew ? this.#schemaState : null,
        properties: schemaProperties(this.#schema, this.#schemaState.schema, metadata.properties),
        summary,
      },
      this.#deps.retention ?? defaultRetention,
      this.#deps.now().getTime(),
    );
    return {
      change: {
        name: this.name,
        from: this.#base.metadataLocation,
        to: built.metadataLocation,
        uuid: metadata['table-uuid'],
      },
      built,
      schema: this.#schema,
      rows: liveRows(built.snapshot),
    };
  }

  async #flush(): Promise<void> {
    if (this.#staged.size === 0) return;
    if (this.#staged.needsIndex) await this.#index.use(this.#indexTable());
    await this.#staged.flush(this.#target());
    await this.#index.spill();
    this.#isChanged = true;
  }

  #target(): StageTarget {
    return {
      find: (key) => this.#index.find(key),
      findAll: (hash) => this.#index.findAll(hash),
      readRows: async (places) => {
        await this.#closeFile();
        return await this.#files.readRows(places, { schema: this.#schema, ids: fieldIds(this.#schemaState.schema) });
      },
      deleteRow: async (place) => {
        if (!this.#files.has(place.location)) await this.#closeFile();
        return await this.#files.deleteRow(place);
      },
      writeRow: (row) => this.#writeRow(row),
      note: (key, place, removed) => this.#index.note(key, place, removed),
    };
  }

  async #writeRow(row: readonly Value[]): Promise<RowPlace> {
    if (!this.exists && !this.#open) await makeTableFolders(this.#base.metadata.location);
    this.#open ??= {
      writer: await DataFileWriter.open(this.#connection, this.#fileSchema()),
      location: this.#newLocation(),
      bytes: 0,
    };
    const { writer, location } = this.#open;
    const place = { location, position: writer.rows };
    writer.append(row);
    this.#open.bytes += estimateBytes(row);
    if (writer.rows >= maxFileRows || this.#open.bytes >= maxFileBytes) await this.#closeFile();
    return place;
  }

  async #closeFile(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    this.#open = null;
    this.#files.add(await open.writer.finish(open.location));
    this.#isChanged = true;
  }

  async #abandonFile(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    await open?.writer.abandon();
  }

  async #abandonReplacement(): Promise<void> {
    const replacement = this.#replacement;
    this.#replacement = null;
    await replacement?.abandon();
  }

  // A data file of which every row is deleted leaves the table, others get their new delete file.
  async #writeDeletes(): Promise<DataFile[]> {
    const writes: (() => Promise<DataFile>)[] = [];
    for (const file of this.#files.touched()) {
      const positions = await this.#files.positionsOf(file);
      if (positions.size >= file.file.recordCount) {
        this.#files.remove(file);
        if (!file.entry) await removeFiles([file.file.location]);
        continue;
      }
      writes.push(() => writePositionDeletes(file.file.location, positions, this.#newLocation('-deletes')));
      for (const old of file.deletes) this.#files.removed.add(old.file.location);
    }
    const written: DataFile[] = [];
    // A few at a time: they wait for the disk more than they compute.
    for (let start = 0; start < writes.length; start += parallelWrites) {
      const some = writes.slice(start, start + parallelWrites);
      written.push(...(await Promise.all(some.map((write) => write()))));
    }
    return written;
  }

  #operation(added: readonly DataFile[]): Operation {
    const hasDeletes = this.#files.removed.size > 0 || added.some((file) => file.content !== 'data');
    if (this.#isReplaced && this.exists) return 'overwrite';
    if (!hasDeletes) return 'append';
    return added.some((file) => file.content === 'data') ? 'overwrite' : 'delete';
  }

  async #collectGarbage(built: BuiltSnapshot): Promise<void> {
    const nowMs = this.#deps.now().getTime();
    // Readers take the newest metadata file; one that has left the log of the last hundred is nobody's.
    await removeFiles(built.oldMetadata);
    const locations: string[] = [];
    for (const { snapshot, next } of built.expired) locations.push(...(await filesOfExpired(snapshot, next)));
    if (locations.length > 0) {
      await this.#index.store.addGarbage(locations, nowMs + garbageGraceMs);
    }
    if (nowMs - this.#sweptAtMs < sweepEveryMs) return;
    this.#sweptAtMs = nowMs;
    const due = this.#index.store.dueGarbage(nowMs);
    await removeFiles(due);
    if (due.length > 0) await this.#index.store.removeGarbage(due);
  }

  #indexTable() {
    const iceberg = this.#schemaState.schema;
    return { files: this.#files, schema: this.#schema, ids: fieldIds(iceberg), metadata: this.#base.metadata };
  }

  #fileSchema() {
    return { schema: this.#schema, iceberg: this.#schemaState.schema };
  }

  #replacementSchema(schema: Schema): SchemaState {
    return this.#isNew() ? createIcebergSchema(schema) : replaceIcebergSchema(this.#schemaState, schema);
  }

  #isNew(): boolean {
    return this.#schemaState.lastColumnId === 0;
  }

  #nextSchemaId(): number {
    return this.exists ? Math.max(...this.#base.metadata.schemas.map((schema) => schema['schema-id'])) + 1 : 0;
  }

  #isStageFull(): boolean {
    return this.#staged.size >= maxStagedRows || this.#staged.bytes >= maxStagedBytes;
  }

  #newLocation(suffix = ''): string {
    return `${this.#base.metadata.location}/data/${randomUUID()}${suffix}.parquet`;
  }
}

function stageFor(name: string, schema: Schema, iceberg: SchemaState['schema']): StagedRows {
  return schema.key.length > 0 ? new KeyedRows(name, schema) : new KeylessRows(name, schema, fieldIds(iceberg));
}
