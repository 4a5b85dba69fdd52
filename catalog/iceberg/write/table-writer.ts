import { randomUUID } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';
import { failpoint } from '../../failpoint.ts';
import { type Row, type Schema, schemasEqual } from '../../schemas/schema.ts';
import { connectDuckdb } from '../files/duckdb-engine.ts';
import { keyEncoder } from '../files/key-encoding.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { type IcebergSchema, sameIcebergSchema } from '../metadata/iceberg-schema.ts';
import { fieldIds } from '../metadata/schema-conversion.ts';
import type { SchemaState } from '../metadata/schema-evolution.ts';
import { ancestors, currentSnapshot, liveRows, schemaOf, type TableMetadata } from '../metadata/table-metadata.ts';
import { readLiveFiles } from '../read/live-files.ts';
import { makeTableFolders, removeFiles } from '../storage.ts';
import type { TableCatalog, TableEntry } from '../tables/table-catalog.ts';
import { chunksProperty } from './chunked-snapshot.ts';
import { writeDeletes } from './delete-writer.ts';
import { KeyIndex } from './key-index.ts';
import { NewFiles } from './new-files.ts';
import type { CommitSummary, PreparedCommit } from './prepared-commit.ts';
import type { Rewrite } from './rewrite-files.ts';
import { buildSnapshot, type Operation, operationOf, type TableBase } from './snapshot-builder.ts';
import { stageTarget } from './stage-target.ts';
import { type StagedRows, type StageTarget, stagedRowsFor } from './staged-rows.ts';
import type { MovedColumns, TableDefinition } from './table-change.ts';
import { type FollowedTable, TableIndex } from './table-index.ts';
import { TableRewrites } from './table-rewrites.ts';
import { TableShape } from './table-shape.ts';
import { TableSnapshots } from './table-snapshots.ts';
import { WorkingFiles } from './working-files.ts';
import type { WriterParts } from './writer-parts.ts';

interface TableWriterDeps {
  catalog: TableCatalog;
  /** Folder of all key indexes. */
  indexDir: string;
  now: () => Date;
}

/** Staged rows are written out beyond these. */
const maxStagedRows = 100_000;
const maxStagedBytes = 64 << 20;

/**
 * The one writer of one table. Rows are staged, then `prepare` writes all files of the next snapshot, the catalog applies
 * the commit, and `settle` takes the new state over. Calls come one at a time. After any error the writer is of no
 * further use: close it and open another, which starts from the table's last commit.
 */
export class TableWriter {
  readonly name: string;
  readonly #deps: TableWriterDeps;
  readonly #connection: DuckDBConnection;
  readonly #index: TableIndex;
  readonly #files: WorkingFiles;
  #base: TableBase;
  readonly #shape: TableShape;
  #staged: StagedRows;
  readonly #new: NewFiles;
  readonly #target: StageTarget;
  readonly snapshots: TableSnapshots;
  readonly rewrites: TableRewrites;
  #isChanged = false;
  #isReplaced = false;

  private constructor(
    deps: TableWriterDeps,
    definition: TableDefinition,
    connection: DuckDBConnection,
    base: TableBase,
    files: WorkingFiles,
  ) {
    this.name = base.name;
    this.#deps = deps;
    this.#connection = connection;
    this.#base = base;
    this.#files = files;
    this.#new = new NewFiles(connection, files, base.location);
    this.#shape = new TableShape(() => this.#base, definition, deps.now);
    this.#staged = stagedRowsFor(base.name, this.schema, fieldIds(this.#shape.state.schema));
    this.#index = new TableIndex(KeyIndex.open(`${deps.indexDir}/${base.uuid}`));
    this.#target = stageTarget({
      index: this.#index,
      files,
      newFiles: this.#new,
      shape: this.#shape,
      makeFolders: () => (this.exists ? null : this.#makeFolders()),
    });
    const parts = this.#lend();
    this.snapshots = new TableSnapshots(parts, this.summaryValue(chunksProperty));
    this.rewrites = new TableRewrites(parts, (file) => this.snapshots.isOld(file));
  }

  /**
   * Opens the table as of its last commit; one that does not exist is made by its first commit. What the definition asks
   * for beyond what the table is comes with the next commit. Throws `unsupported` for a table with equality deletes of
   * another engine.
   */
  static async open(
    name: string,
    deps: TableWriterDeps,
    definition: TableDefinition = { formatVersion: null, partition: null },
  ): Promise<TableWriter> {
    const entry = await deps.catalog.load(name, 'all');
    const connection = await connectDuckdb();
    if (!entry) {
      const uuid = randomUUID();
      const location = await deps.catalog.newTableLocation(name, uuid);
      const base = { name, uuid, location, entry: null, manifests: [] };
      return new TableWriter(deps, definition, connection, base, new WorkingFiles(connection, []));
    }
    const { metadata } = entry;
    const snapshot = currentSnapshot(metadata);
    const live = snapshot ? await readLiveFiles(snapshot) : { manifests: [], files: [] };
    const base = { name, uuid: metadata['table-uuid'], location: metadata.location, entry, manifests: live.manifests };
    return new TableWriter(deps, definition, connection, base, new WorkingFiles(connection, live.files));
  }

  get exists(): boolean {
    return this.#base.entry !== null;
  }

  get schema(): Schema {
    return this.#shape.schema;
  }

  /** The last commit; null for a table that does not exist yet. */
  get entry(): TableEntry | null {
    return this.#base.entry;
  }

  /** As of the last commit; null for a table that does not exist yet. */
  get metadata(): TableMetadata | null {
    return this.#base.entry?.metadata ?? null;
  }

  get rows(): bigint {
    return this.metadata ? liveRows(currentSnapshot(this.metadata)) : 0n;
  }

  /** The newest value of a summary property, looked for back through the table's history; null for none. */
  summaryValue(property: string): string | null {
    if (!this.metadata) return null;
    for (const snapshot of ancestors(this.metadata)) {
      const value = snapshot.summary[property];
      if (value !== undefined) return value;
    }
    return null;
  }

  /** True if a commit would change more than the summary. */
  get hasChanges(): boolean {
    return this.#isChanged || this.#staged.size > 0 || this.snapshots.hasWaiting;
  }

  /** Locations of files that a commit under way will refer to: a large replacement may be under way for days. */
  get stagedLocations(): ReadonlySet<string> {
    return this.#new.locations;
  }

  /**
   * Makes the staged rows and those that follow have this shape. A column keeps what it holds under a new name where
   * `renames` tells so; without, it is a new column. One of `fresh` is new whatever its name held. Throws `schema_incompatible`
   * naming the column, unless its rows come anew.
   */
  async evolve(next: Schema, moved: Partial<MovedColumns> = {}): Promise<void> {
    const { renames = [], fresh = [], isReadAgain = false } = moved;
    const isMoved = renames.length > 0 || fresh.length > 0;
    if (!isMoved && schemasEqual(this.schema, next)) return;
    const old = this.#shape.state.schema;
    const state = this.#shape.evolved(next, { renames, fresh, isReadAgain });
    const isSame = sameIcebergSchema(state.schema, old);
    const isKeyKept =
      String(this.schema.key) === String(next.key) && String(keyIds(old, next)) === String(keyIds(state.schema, next));
    if (isSame && isKeyKept) {
      // Only what the table does not store differs, such as a column that the source has since made required.
      this.#shape.rename(next);
      return;
    }
    const previous = this.schema;
    // Staged rows follow by the names of their columns.
    if (!isKeyKept || isMoved || isReadAgain || this.#index.isUsed) await this.#flush();
    await this.snapshots.drain();
    if (!isKeyKept) await this.snapshots.forgetKeys();
    await this.#closeFiles();
    this.#index.forget();
    this.#shape.set(next, state);
    if (this.#staged.size === 0) this.#staged = stagedRowsFor(this.name, next, fieldIds(state.schema));
    else this.#staged.reshape(previous, next, fieldIds(state.schema));
    this.#isChanged = true;
  }

  async upsert(row: Row, isInsert: boolean): Promise<void> {
    this.snapshots.touch(row);
    this.#staged.upsert(row, isInsert);
    if (this.#isStageFull()) await this.#flush();
  }

  async remove(row: Row): Promise<void> {
    // Before, not after: an insert that follows a removal may complete a key change.
    if (this.#isStageFull()) await this.#flush();
    this.snapshots.touch(row);
    this.#staged.remove(row);
  }

  async truncate(): Promise<void> {
    this.#staged.clear();
    await this.snapshots.truncate();
    await this.#new.abandon();
    await removeFiles(this.#files.removeAll());
    this.#index.truncate();
    this.#isChanged = true;
  }

  /**
   * True if the table's row of this key is as its source has told; not if there is none, or only one from before the
   * chunked snapshot that is under way, which may be out of date.
   */
  async holds(row: Row): Promise<boolean> {
    const staged = this.#staged.has(row);
    if (staged !== null) return staged;
    await this.snapshots.drain();
    await this.#index.use(this.#indexTable());
    const place = this.#index.find(keyEncoder(this.schema)(row).toString('latin1'));
    const file = place && this.#files.get(place.location);
    return place !== null && !(file && this.snapshots.isOld(file));
  }

  /** Writes all files of the commit and flushes them to disk. Nothing is visible yet. */
  async prepare(summary: CommitSummary): Promise<PreparedCommit> {
    failpoint('before-data-files');
    await this.#makeFolders();
    await this.#flush();
    // DuckDB writes rows on threads of its own. Both are waited for, also where one fails.
    const [closed, written] = await Promise.allSettled([
      this.#closeFiles(),
      writeDeletes(this.#files, this.#shape.change().metadata),
    ]);
    if (closed.status === 'rejected') throw closed.reason;
    if (written.status === 'rejected') throw written.reason;
    const deletes = written.value;
    const added = [...this.#files.staged(), ...deletes];
    failpoint('after-data-files');
    const isOverwrite = this.#isReplaced && this.exists;
    return await this.#build(added, isOverwrite ? 'overwrite' : operationOf(added, this.#files.removed), summary);
  }

  /** Takes over what was committed. The index is brought after it while the writer goes on; a crash leaves it behind. */
  async settle({ built }: PreparedCommit, entry: TableEntry): Promise<void> {
    const goneFiles = [...this.#files.removed];
    this.#base = { ...this.#base, location: entry.metadata.location, entry, manifests: built.manifests };
    this.#files.settle([...built.added, ...built.numbered]);
    this.#shape.settle();
    this.#isChanged = false;
    this.#isReplaced = false;
    if (!this.snapshots.isReplacing) this.#new.locations.clear();
    const isFollowed = this.schema.key.length > 0 && !this.#index.isUsed && built.added.length > 0;
    await this.#index.settle(built.snapshot['snapshot-id'], goneFiles, isFollowed ? await this.#asCommitted() : null);
  }

  /** The table as of its last commit, for whoever reads it beside this writer. */
  async #asCommitted(): Promise<FollowedTable> {
    const connection = await connectDuckdb();
    const live = this.#files
      .all()
      .flatMap(({ entry, deletes }) => (entry ? [{ data: entry, deletes: [...deletes] }] : []));
    const table = { ...this.#indexTable(), files: new WorkingFiles(connection, live) };
    return { table, close: () => connection.closeSync() };
  }

  /**
   * Prepares a commit of its own that puts a rewrite in place and changes no row, short whatever the size of the rewrite;
   * followed by the catalog's commit and `settle` like any other. Null where the table has gone on without its files.
   */
  async prepareRewritten(rewrite: Rewrite): Promise<PreparedCommit | null> {
    const added = await this.rewrites.place(rewrite);
    if (!added || !this.metadata) return null;
    const kept = currentSnapshot(this.metadata)?.summary ?? {};
    const ours = Object.entries(kept).filter(([key]) => key.startsWith('dailies.'));
    return await this.#build(added, 'replace', Object.fromEntries(ours));
  }

  /** Removes what a refused commit wrote. Only where it is certain that it was refused. */
  async discard({ built }: PreparedCommit): Promise<void> {
    const added = built.added.map((entry) => entry.file.location);
    await removeFiles([...built.written, ...added]);
  }

  async close(): Promise<void> {
    await this.snapshots.close();
    await this.#new.abandon();
    await this.#index.close();
    this.#connection.closeSync();
  }

  async #build(added: DataFile[], operation: Operation, summary: CommitSummary): Promise<PreparedCommit> {
    const change = this.#shape.change();
    const whole = { ...summary, ...this.snapshots.summary(this.summaryValue(chunksProperty)) };
    const files = { added, removed: this.#files.removed, operation, summary: whole };
    const built = await buildSnapshot(this.#base, change, files, this.#deps.now().getTime());
    return {
      commit: { name: this.name, base: this.#base.entry, requirements: built.requirements, updates: built.updates },
      built,
      schema: this.schema,
      iceberg: schemaOf(change.metadata),
      rows: liveRows(built.snapshot),
    };
  }

  async #flush(): Promise<void> {
    await this.snapshots.drain();
    if (this.#staged.size === 0) return;
    if (this.#staged.needsIndex) await this.#index.use(this.#indexTable());
    await this.#staged.flush(this.#target);
    await this.#index.spill();
    this.#isChanged = true;
  }

  async #closeFiles(): Promise<void> {
    if (await this.#new.closeAll()) this.#isChanged = true;
  }

  #indexTable() {
    const iceberg = this.#shape.state.schema.fields;
    return { files: this.#files, schema: this.schema, iceberg, metadata: this.metadata };
  }

  #lend(): WriterParts {
    const writer = this;
    return {
      name: this.name,
      connection: this.#connection,
      files: this.#files,
      index: this.#index,
      shape: this.#shape,
      target: this.#target,
      get metadata() {
        return writer.metadata;
      },
      get hasStaged() {
        return writer.#staged.size > 0;
      },
      indexTable: () => this.#indexTable(),
      newLocation: () => this.#new.newLocation(),
      openFiles: (layout) => this.#new.openFiles(layout),
      makeFolders: () => this.#makeFolders(),
      upsert: (row) => this.upsert(row, false),
      follow: (schema) => this.evolve(schema, { isReadAgain: true }),
      replace: async (schema, state, files) => {
        await this.truncate();
        this.#restage(schema, state);
        for (const file of files) this.#files.add(file);
        this.#isReplaced = true;
      },
      flush: () => this.#flush(),
      closeFiles: () => this.#closeFiles(),
      markChanged: () => {
        this.#isChanged = true;
      },
    };
  }

  /** Nothing is staged: rows that come are of this schema. */
  #restage(schema: Schema, state: SchemaState): void {
    this.#index.forget();
    this.#shape.set(schema, state);
    this.#staged = stagedRowsFor(this.name, schema, fieldIds(state.schema));
  }

  async #makeFolders(): Promise<void> {
    if (!this.exists) await makeTableFolders(this.#base.location);
  }

  #isStageFull(): boolean {
    return this.#staged.size >= maxStagedRows || this.#staged.bytes >= maxStagedBytes;
  }
}

/** Ids of the key's columns, for one of its name may be another. */
function keyIds({ fields }: IcebergSchema, { key }: Schema): (number | undefined)[] {
  return key.map((name) => fields.find((field) => field.name === name)?.id);
}
