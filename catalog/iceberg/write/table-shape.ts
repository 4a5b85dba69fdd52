import type { Schema } from '../../schemas/schema.ts';
import { fromIcebergSchema } from '../metadata/schema-conversion.ts';
import { createIcebergSchema, type SchemaState } from '../metadata/schema-evolution.ts';
import { schemaOf } from '../metadata/table-metadata.ts';
import { unfinishedProperty } from '../tables/unfinished.ts';
import { type FileLayout, layoutOf } from './open-files.ts';
import type { TableBase } from './snapshot-builder.ts';
import {
  evolvedState,
  type MovedColumns,
  replacedState,
  type TableChange,
  type TableDefinition,
  tableChange,
} from './table-change.ts';

/** What a table's rows and files are like in the commit in hand: its schema, and what the commit changes beside files. */
export class TableShape {
  readonly #base: () => TableBase;
  readonly #definition: TableDefinition;
  readonly #now: () => Date;
  #schema: Schema;
  #state: SchemaState;
  #isUnfinished = false;
  /** Null until it is asked for. */
  #change: TableChange | null = null;

  /** As of the table's last commit. */
  constructor(base: () => TableBase, definition: TableDefinition, now: () => Date) {
    this.#base = base;
    this.#definition = definition;
    this.#now = now;
    const metadata = base().entry?.metadata;
    const iceberg = metadata ? schemaOf(metadata) : createIcebergSchema({ fields: [], key: [] }).schema;
    this.#state = { schema: iceberg, lastColumnId: metadata?.['last-column-id'] ?? 0 };
    this.#schema = fromIcebergSchema(iceberg, metadata?.properties ?? {});
  }

  get schema(): Schema {
    return this.#schema;
  }

  get state(): SchemaState {
    return this.#state;
  }

  /** Another schema of the same columns: only what the table does not store may differ. */
  rename(schema: Schema): void {
    this.#schema = schema;
  }

  set(schema: Schema, state: SchemaState): void {
    this.#schema = schema;
    this.#state = state;
    this.#change = null;
  }

  /** Whether people are not to see the table after the commit. */
  setUnfinished(isUnfinished: boolean): void {
    this.#isUnfinished = isUnfinished;
    this.#change = null;
  }

  /** The commit is done. */
  settle(): void {
    this.#change = null;
  }

  /** The schema's state after rows, old ones too, follow `next`, or come anew. Throws `schema_incompatible` naming the column. */
  evolved(next: Schema, moved: MovedColumns): SchemaState {
    return evolvedState(this.#state, next, this.#metadata, this.#definition, moved);
  }

  /** The same once all rows are written anew. */
  replaced(next: Schema): SchemaState {
    return replacedState(this.#state, next, this.#metadata, this.#definition);
  }

  change(): TableChange {
    this.#change ??= this.#changeFor(this.#schema, this.#state);
    return this.#change;
  }

  /** What new files of rows are like, in this schema or in another. */
  layout(schema = this.#schema, state = this.#state): FileLayout {
    const change = schema === this.#schema ? this.change() : this.#changeFor(schema, state);
    return layoutOf(schema, change.metadata);
  }

  get #metadata() {
    return this.#base().entry?.metadata ?? null;
  }

  #changeFor(schema: Schema, state: SchemaState): TableChange {
    const unfinished = this.#isUnfinished ? { [unfinishedProperty]: 'true' } : {};
    const definition: TableDefinition = {
      ...this.#definition,
      properties: { ...this.#definition.properties, ...unfinished },
      removedProperties: this.#isUnfinished ? [] : [unfinishedProperty],
    };
    return tableChange(this.#base(), state, schema, definition, this.#now().getTime());
  }
}
