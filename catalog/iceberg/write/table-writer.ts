import { randomUUID } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DailiesError } from '../../error.ts';
import { failpoint } from '../../failpoint.ts';
import { type Row, type Schema, schemasEqual, type Value } from '../../schemas/schema.ts';
import { connectDuckdb } from '../files/duckdb-engine.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { sameIcebergSchema } from '../metadata/iceberg-schema.ts';
import { fieldIds, fromIcebergSchema } from '../metadata/schema-conversion.ts';
import { createIcebergSchema, type Rename, type SchemaState } from '../metadata/schema-evolution.ts';
import { ancestors, currentSnapshot, liveRows, schemaOf, type TableMetadata } from '../metadata/table-metadata.ts';
import { readLiveFiles } from '../read/live-files.ts';
import { makeTableFolders, removeFiles } from '../storage.ts';
import type { TableCatalog, TableEntry } from '../tables/table-catalog.ts';
import { writeDeletes } from './delete-writer.ts';
import { KeyIndex } from './key-index.ts';
import { NewFiles } from './new-files.ts';
import { layoutOf } from './open-files.ts';
import { placeRewrite, planRewrite } from './place-rewrite.ts';
import type { CommitSummary, PreparedCommit } from './prepared-commit.ts';
import { Replacement } from './replacement.ts';
import type { Rewrite, RewritePlan } from './rewrite-files.ts';
import { buildSnapshot, type Operation, operationOf, type TableBase } from './snapshot-builder.ts';
import { type StagedRows, type StageTarget, stagedRowsFor } from './staged-rows.ts';
import { evolvedState, replacedState, type TableChange, type TableDefinition, tableChange } from './table-change.ts';
import { TableIndex } from './table-index.ts';
import { WorkingFiles } from './working-files.ts';

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
  readonly #definition: TableDefinition;
  readonly #connection: DuckDBConnection;
  readonly #index: TableIndex;
  #base: TableBase;
  #files: WorkingFiles;
  #schemaState: SchemaState;
  #schema: Schema;
  #staged: StagedRows;
  readonly #new: NewFiles;
  #replacement: Replacement | null = null;
  /** What the commit in hand changes beside files; null until it is asked for. */
  #change: TableChange | null = null;
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
    this.#definition = definition;
    this.#connection = connection;
    this.#base = base;
    this.#files = files;
    this.#new = new NewFiles(connection, files, base.location);
    const metadata = base.entry?.metadata;
    const iceberg = metadata ? schemaOf(metadata) : createIcebergSchema({ fields: [], key: [] }).schema;
    this.#schemaState = { schema: iceberg, lastColumnId: metadata?.['last-column-id'] ?? 0 };
    this.#schema = fromIcebergSchema(iceberg, metadata?.properties ?? {});
    this.#staged = stagedRowsFor(base.name, this.#schema, fieldIds(iceberg));
    this.#index = new TableIndex(KeyIndex.open(`${deps.indexDir}/${base.uuid}`));
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
    const entry = await deps.catalog.load(name);
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
    return this.#schema;
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
    return this.#isChanged || this.#staged.size > 0;
  }

  /** Locations of files that a commit under way will refer to: a large replacement may be under way for days. */
  get stagedLocations(): ReadonlySet<string> {
    return this.#new.locations;
  }

  get isReplacing(): boolean {
    return this.#replacement !== null;
  }

  /**
   * Makes the staged rows and those that follow have this shape. A column keeps what it holds under a new name where
   * `renames` tells so; without, it is a new column. Throws `schema_incompatible` naming the column.
   */
  async evolve(next: Schema, renames: readonly Rename[] = []): Promise<void> {
    if (renames.length === 0 && schemasEqual(this.#schema, next)) return;
    const state = evolvedState(this.#schemaState, next, this.metadata, this.#definition, renames);
    const isSame = sameIcebergSchema(state.schema, this.#schemaState.schema);
    const isKeyKept = String(this.#schema.key) === String(next.key);
    if (isSame && isKeyKept) {
      // Only what the table does not store differs, such as a column that the source has since made required.
      this.#schema = next;
      return;
    }
    const previous = this.#schema;
    // Staged rows follow by the names of their columns.
    if (!isKeyKept || renames.length > 0 || this.#index.isUsed) await this.#flush();
    await this.#closeFiles();
    this.#index.forget();
    this.#setSchema(next, state);
    if (this.#staged.size === 0) this.#staged = stagedRowsFor(this.name, next, fieldIds(state.schema));
    else this.#staged.reshape(previous, next, fieldIds(state.schema));
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
    await this.#new.abandon();
    await removeFiles(this.#files.removeAll());
    this.#index.truncate();
    this.#isChanged = true;
  }

  /** Rows appended from now on replace the whole table at `endReplacement`; an unfinished replacement is forgotten. */
  async beginReplacement(schema: Schema): Promise<void> {
    await this.#abandonReplacement();
    const state = replacedState(this.#schemaState, schema, this.metadata, this.#definition);
    const change = this.#changeFor(schema, state);
    const files = this.#new.openFiles(layoutOf(schema, change.metadata));
    this.#replacement = new Replacement(schema, state, this.#connection, files, () => this.#new.newLocation());
    if (!this.exists) await makeTableFolders(this.#base.location);
  }

  async appendReplacement(row: Row): Promise<void> {
    if (!this.#replacement) throw new DailiesError('internal', `No snapshot of ${this.name} has begun.`);
    await this.#replacement.append(row as readonly Value[]);
  }

  /** Rows of a Parquet file with columns `c0`, `c1`, …; false where they have to come one by one. */
  async appendReplacementFile(parquet: Uint8Array, rows: number): Promise<boolean> {
    return (await this.#replacement?.appendFile(parquet, rows)) ?? false;
  }

  /** The replacement is complete: the next commit shows it, and nothing of what was there before. */
  async endReplacement(): Promise<void> {
    const replacement = this.#replacement;
    if (!replacement) throw new DailiesError('internal', `No snapshot of ${this.name} has begun.`);
    const files = await replacement.finish();
    await this.truncate();
    this.#replacement = null;
    this.#setSchema(replacement.schema, replacement.schemaState);
    this.#staged = stagedRowsFor(this.name, this.#schema, fieldIds(this.#schemaState.schema));
    for (const file of files) this.#files.add(file);
    this.#index.forget();
    this.#isReplaced = true;
  }

  /** Writes all files of the commit and flushes them to disk. Nothing is visible yet. */
  async prepare(summary: CommitSummary): Promise<PreparedCommit> {
    failpoint('before-data-files');
    if (!this.exists) await makeTableFolders(this.#base.location);
    await this.#flush();
    await this.#closeFiles();
    const deletes = await writeDeletes(this.#files, this.#changed().metadata);
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
    this.#change = null;
    this.#isChanged = false;
    this.#isReplaced = false;
    if (!this.isReplacing) this.#new.locations.clear();
    await this.#index.settle(built.snapshot['snapshot-id'], goneFiles);
  }

  /**
   * Chooses committed files that are worth being rewritten as one; null for none. The rewrite may run beside this writer,
   * which goes on. Only where nothing is staged.
   */
  async planRewrite(): Promise<RewritePlan | null> {
    const { metadata } = this;
    if (!metadata) return null;
    return await planRewrite(this.#files, layoutOf(this.#schema, metadata), metadata, () => this.#new.newLocation());
  }

  /**
   * Puts a rewrite in place of its files: rows deleted since it was planned are deleted in the new file, too. A commit of
   * its own that changes no row, short whatever the size of the rewrite; followed by the catalog's commit and `settle`
   * like any other. Null where the table has gone on without these files: then nothing is changed. Only where nothing is
   * staged.
   */
  async prepareRewritten(rewrite: Rewrite): Promise<PreparedCommit | null> {
    const { metadata } = this;
    if (!metadata) return null;
    await this.#index.settled();
    const added = await placeRewrite(this.#files, metadata, rewrite, (location) =>
      this.#index.moveFiles(this.#indexTable(), location, rewrite.moves),
    );
    if (!added) return null;
    const kept = currentSnapshot(metadata)?.summary ?? {};
    const ours = Object.entries(kept).filter(([key]) => key.startsWith('dailies.'));
    return await this.#build(added, 'replace', Object.fromEntries(ours));
  }

  /** Where rows were moved by rewrites, the index still tells their old places: rewrites its entries, in short steps. */
  async followMoves(signal: AbortSignal): Promise<void> {
    if (!this.metadata) return;
    await this.#index.settled();
    const connection = await connectDuckdb();
    try {
      for (const location of this.#index.movedTo()) {
        const data = this.#files.get(location)?.entry;
        const files = new WorkingFiles(connection, data ? [{ data, deletes: [] }] : []);
        await this.#index.followMoves({ ...this.#indexTable(), files }, location, signal);
      }
    } finally {
      connection.closeSync();
    }
  }

  /** Removes what a refused commit wrote. Only where it is certain that it was refused. */
  async discard({ built }: PreparedCommit): Promise<void> {
    const added = built.added.map((entry) => entry.file.location);
    await removeFiles([...built.written, ...added]);
  }

  async close(): Promise<void> {
    await this.#new.abandon();
    await this.#abandonReplacement();
    await this.#index.close();
    this.#connection.closeSync();
  }

  async #build(added: DataFile[], operation: Operation, summary: CommitSummary): Promise<PreparedCommit> {
    const change = this.#changed();
    const files = { added, removed: this.#files.removed, operation, summary };
    const built = await buildSnapshot(this.#base, change, files, this.#deps.now().getTime());
    return {
      commit: { name: this.name, base: this.#base.entry, requirements: built.requirements, updates: built.updates },
      built,
      schema: this.#schema,
      iceberg: schemaOf(change.metadata),
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
      isIndexed: this.#index.isUsed,
      find: (key) => this.#index.find(key),
      findAll: (hash) => this.#index.findAll(hash),
      readRows: async (places) => {
        for (const location of new Set(places.map((place) => place.location))) await this.#new.close(location);
        const iceberg = this.#schemaState.schema.fields;
        return await this.#files.readRows(places, { schema: this.#schema, iceberg });
      },
      deleteRow: async (place) => {
        await this.#new.close(place.location);
        return await this.#files.deleteRow(place);
      },
      writeRow: async (row) => {
        if (!this.exists && !this.#new.isWriting) await makeTableFolders(this.#base.location);
        return await this.#new.write(row, () => layoutOf(this.#schema, this.#changed().metadata));
      },
      note: (key, place, removed) => this.#index.note(key, place, removed),
    };
  }

  async #closeFiles(): Promise<void> {
    if (await this.#new.closeAll()) this.#isChanged = true;
  }

  async #abandonReplacement(): Promise<void> {
    const replacement = this.#replacement;
    this.#replacement = null;
    await replacement?.abandon();
  }

  #setSchema(schema: Schema, state: SchemaState): void {
    this.#schema = schema;
    this.#schemaState = state;
    this.#change = null;
  }

  #changed(): TableChange {
    this.#change ??= this.#changeFor(this.#schema, this.#schemaState);
    return this.#change;
  }

  #changeFor(schema: Schema, state: SchemaState): TableChange {
    return tableChange(this.#base, state, schema, this.#definition, this.#deps.now().getTime());
  }

  #indexTable() {
    const iceberg = this.#schemaState.schema.fields;
    return { files: this.#files, schema: this.#schema, iceberg, metadata: this.metadata };
  }

  #isStageFull(): boolean {
    return this.#staged.size >= maxStagedRows || this.#staged.bytes >= maxStagedBytes;
  }
}
