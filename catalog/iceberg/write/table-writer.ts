import { randomUUID } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DailiesError } from '../../error.ts';
import { failpoint } from '../../failpoint.ts';
import { type Row, type Schema, schemasEqual, UNKNOWN, type Value } from '../../schemas/schema.ts';
import { connectDuckdb } from '../files/duckdb-engine.ts';
import { keyEncoder } from '../files/key-encoding.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { sameIcebergSchema } from '../metadata/iceberg-schema.ts';
import { fieldIds, fromIcebergSchema } from '../metadata/schema-conversion.ts';
import { createIcebergSchema, type Rename, type SchemaState } from '../metadata/schema-evolution.ts';
import { ancestors, currentSnapshot, liveRows, schemaOf, type TableMetadata } from '../metadata/table-metadata.ts';
import { readLiveFiles } from '../read/live-files.ts';
import { makeTableFolders, removeFiles } from '../storage.ts';
import type { TableCatalog, TableEntry } from '../tables/table-catalog.ts';
import { isUnfinished, unfinishedProperty } from '../tables/unfinished.ts';
import { ChunkedSnapshot, chunksProperty, readChunksStand, requireKey } from './chunked-snapshot.ts';
import { writeDeletes } from './delete-writer.ts';
import { JoinedFiles } from './joined-files.ts';
import { KeyIndex } from './key-index.ts';
import { NewFiles } from './new-files.ts';
import { layoutOf } from './open-files.ts';
import type { CommitSummary, PreparedCommit } from './prepared-commit.ts';
import { Replacement } from './replacement.ts';
import type { Rewrite } from './rewrite-files.ts';
import { buildSnapshot, type Operation, operationOf, type TableBase } from './snapshot-builder.ts';
import { type StagedRows, type StageTarget, stagedRowsFor } from './staged-rows.ts';
import { evolvedState, replacedState, type TableChange, type TableDefinition, tableChange } from './table-change.ts';
import { TableIndex } from './table-index.ts';
import { TableRewrites } from './table-rewrites.ts';
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
  readonly #definition: TableDefinition;
  readonly #connection: DuckDBConnection;
  readonly #index: TableIndex;
  #base: TableBase;
  #files: WorkingFiles;
  #schemaState: SchemaState;
  #schema: Schema;
  #staged: StagedRows;
  readonly #new: NewFiles;
  readonly #parts: WriterParts;
  readonly rewrites: TableRewrites;
  #chunks: ChunkedSnapshot | null = null;
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
    this.#parts = this.#lend();
    this.rewrites = new TableRewrites(this.#parts, (file) => this.#chunks?.isOld(file) ?? false);
    const stand = readChunksStand(this.summaryValue(chunksProperty));
    if (stand) this.#chunks = new ChunkedSnapshot(this.#parts, stand, isUnfinished(this.metadata));
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
    return this.#isChanged || this.#staged.size > 0 || this.#chunks?.isDrained === false;
  }

  /** Locations of files that a commit under way will refer to: a large replacement may be under way for days. */
  get stagedLocations(): ReadonlySet<string> {
    return this.#new.locations;
  }

  get isReplacing(): boolean {
    return this.#replacement !== null;
  }

  /** Generation of the chunked snapshot that is under way; null for none. */
  get chunkedGeneration(): number | null {
    return this.#chunks?.generation ?? null;
  }

  /** True while the table's first snapshot is under way, so that people are not to see it. */
  get isUnfinished(): boolean {
    return this.#chunks?.isHidden ?? false;
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
    await this.#chunks?.drain();
    if (!isKeyKept) await this.#chunks?.forgetKeys();
    await this.#closeFiles();
    this.#index.forget();
    this.#setSchema(next, state);
    if (this.#staged.size === 0) this.#staged = stagedRowsFor(this.name, next, fieldIds(state.schema));
    else this.#staged.reshape(previous, next, fieldIds(state.schema));
    this.#isChanged = true;
  }

  async upsert(row: Row, isInsert: boolean): Promise<void> {
    this.#chunks?.touch(row);
    this.#staged.upsert(row, isInsert);
    if (this.#isStageFull()) await this.#flush();
  }

  async remove(row: Row): Promise<void> {
    // Before, not after: an insert that follows a removal may complete a key change.
    if (this.#isStageFull()) await this.#flush();
    this.#chunks?.touch(row);
    this.#staged.remove(row);
  }

  async truncate(): Promise<void> {
    this.#staged.clear();
    await this.#chunks?.truncate();
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
    const joined = new JoinedFiles(this.#connection, () => this.#new.newLocation());
    this.#replacement = new Replacement(schema, state, files, joined);
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
    await this.#endChunks();
    this.#setSchema(replacement.schema, replacement.schemaState);
    this.#staged = stagedRowsFor(this.name, this.#schema, fieldIds(this.#schemaState.schema));
    for (const file of files) this.#files.add(file);
    this.#index.forget();
    this.#isReplaced = true;
  }

  /**
   * A chunked snapshot begins, one under way is forgotten: the rows given to `appendChunk` and what changes tell until
   * `endChunks` is the whole table, and the rows from before that neither touches go with its end. What changes told before
   * should be committed. With `schema` null no row goes. Throws `source_protocol` for rows without a key.
   */
  async beginChunks(generation: number, schema: Schema | null): Promise<void> {
    if (schema) requireKey(this.name, schema);
    await this.#abandonReplacement();
    await this.#flush();
    await this.#closeFiles();
    const isHidden = !this.exists || isUnfinished(this.metadata);
    await this.#endChunks();
    if (schema) await this.#evolveOrReplace(schema);
    const floor = schema ? (this.metadata?.['last-sequence-number'] ?? 0n) : null;
    this.#chunks = new ChunkedSnapshot(this.#parts, { generation, floor, isTouched: false }, isHidden);
    this.#change = null;
    this.#isChanged = true;
  }

  /** A row of a chunk: an upsert. */
  async appendChunk(row: Row): Promise<void> {
    if (!row.includes(UNKNOWN) && (await this.#chunks?.appendRow(row as readonly Value[], this.#staged.size > 0)))
      this.#isChanged = true;
    else await this.upsert(row, false);
  }

  /** Rows of a chunk, of this writer's schema, as a file with columns `c0`, `c1`, …; false where they have to come one by one. */
  async appendChunkFile(parquet: Uint8Array, rows: number): Promise<boolean> {
    if (this.#staged.size > 0) await this.#flush();
    return (await this.#chunks?.appendFile(parquet, rows)) ?? false;
  }

  /** The snapshot's rows are complete: the next commit shows the table without what it has not touched. */
  async endChunks(): Promise<void> {
    await this.#flush();
    await this.#closeFiles();
    await this.#chunks?.end();
    await this.#endChunks();
  }

  /** True if the table has a row of this key by now. */
  async holds(row: Row): Promise<boolean> {
    const staged = this.#staged.has(row);
    if (staged !== null) return staged;
    await this.#chunks?.drain();
    await this.#index.use(this.#indexTable());
    return this.#index.find(keyEncoder(this.#schema)(row).toString('latin1')) !== null;
  }

  /** Writes all files of the commit and flushes them to disk. Nothing is visible yet. */
  async prepare(summary: CommitSummary): Promise<PreparedCommit> {
    failpoint('before-data-files');
    if (!this.exists) await makeTableFolders(this.#base.location);
    await this.#flush();
    // DuckDB writes rows on threads of its own. Both are waited for, also where one fails.
    const [closed, written] = await Promise.allSettled([
      this.#closeFiles(),
      writeDeletes(this.#files, this.#changed().metadata),
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
    this.#change = null;
    this.#isChanged = false;
    this.#isReplaced = false;
    if (!this.isReplacing) this.#new.locations.clear();
    await this.#index.settle(built.snapshot['snapshot-id'], goneFiles);
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
    await this.#chunks?.close();
    await this.#new.abandon();
    await this.#abandonReplacement();
    await this.#index.close();
    this.#connection.closeSync();
  }

  async #build(added: DataFile[], operation: Operation, summary: CommitSummary): Promise<PreparedCommit> {
    const change = this.#changed();
    const chunks = this.#chunks?.summary ?? (this.summaryValue(chunksProperty) ? '' : null);
    const whole = chunks === null ? summary : { ...summary, [chunksProperty]: chunks };
    const files = { added, removed: this.#files.removed, operation, summary: whole };
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
    await this.#chunks?.drain();
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
      deleteRow: (place) => {
        if (!this.#new.isOpen(place.location)) return this.#files.deleteRow(place);
        return this.#new.close(place.location).then(() => this.#files.deleteRow(place));
      },
      writeRow: (row) => {
        const write = () => this.#new.write(row, () => layoutOf(this.#schema, this.#changed().metadata));
        return this.exists || this.#new.isWriting ? write() : makeTableFolders(this.#base.location).then(write);
      },
      note: (key, place, removed) => this.#index.note(key, place, removed),
    };
  }

  async #closeFiles(): Promise<void> {
    if (await this.#new.closeAll()) this.#isChanged = true;
  }

  async #endChunks(): Promise<void> {
    if (!this.#chunks) return;
    await this.#chunks.close();
    this.#chunks = null;
    this.#change = null;
    this.#isChanged = true;
  }

  /** Where rows from before cannot follow the schema, they lack those columns until the snapshot's end takes them away. */
  async #evolveOrReplace(schema: Schema): Promise<void> {
    try {
      await this.evolve(schema);
    } catch (thrown) {
      if (!(thrown instanceof DailiesError) || thrown.code !== 'schema_incompatible') throw thrown;
      const state = replacedState(this.#schemaState, schema, this.metadata, this.#definition, true);
      this.#index.forget();
      this.#setSchema(schema, state);
      this.#staged = stagedRowsFor(this.name, schema, fieldIds(state.schema));
    }
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
    const properties = {
      ...this.#definition.properties,
      ...(this.isUnfinished ? { [unfinishedProperty]: 'true' } : {}),
    };
    const removedProperties = this.isUnfinished ? [] : [unfinishedProperty];
    const definition = { ...this.#definition, properties, removedProperties };
    return tableChange(this.#base, state, schema, definition, this.#deps.now().getTime());
  }

  #indexTable() {
    const iceberg = this.#schemaState.schema.fields;
    return { files: this.#files, schema: this.#schema, iceberg, metadata: this.metadata };
  }

  #lend(): WriterParts {
    const writer = this;
    return {
      connection: this.#connection,
      files: this.#files,
      index: this.#index,
      get metadata() {
        return writer.metadata;
      },
      get schema() {
        return writer.#schema;
      },
      indexTable: () => this.#indexTable(),
      layout: () => layoutOf(this.#schema, this.#changed().metadata),
      newLocation: () => this.#new.newLocation(),
      makeFolders: async () => {
        if (!this.exists) await makeTableFolders(this.#base.location);
      },
      target: () => this.#target(),
      closeFiles: () => this.#closeFiles(),
    };
  }

  #isStageFull(): boolean {
    return this.#staged.size >= maxStagedRows || this.#staged.bytes >= maxStagedBytes;
  }
}
