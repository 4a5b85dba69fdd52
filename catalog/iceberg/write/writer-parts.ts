import type { DuckDBConnection } from '@duckdb/node-api';
import type { Row, Schema } from '../../schemas/schema.ts';
import type { DataFile } from '../manifests/manifest.ts';
import type { SchemaState } from '../metadata/schema-evolution.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import type { IndexedTable } from './index-rebuild.ts';
import type { FileLayout, OpenFiles } from './open-files.ts';
import type { StageTarget } from './staged-rows.ts';
import type { TableIndex } from './table-index.ts';
import type { TableShape } from './table-shape.ts';
import type { WorkingFiles } from './working-files.ts';

/** What a table's writer lends to those who work on its commit in hand. */
export interface WriterParts {
  /** namespace.table */
  readonly name: string;
  readonly connection: DuckDBConnection;
  readonly files: WorkingFiles;
  readonly index: TableIndex;
  readonly shape: TableShape;
  /** As of the last commit; null for a table that does not exist yet. */
  readonly metadata: TableMetadata | null;
  readonly target: StageTarget;
  readonly hasStaged: boolean;
  indexTable(): IndexedTable;
  newLocation(): string;
  /** Files of rows that are no part of the commit yet. */
  openFiles(layout: FileLayout): OpenFiles;
  /** Makes the folders of a table that does not exist yet. */
  makeFolders(): Promise<void>;
  upsert(row: Row): Promise<void>;
  /** Makes the rows that come have this shape; those that are there come anew. */
  follow(schema: Schema): Promise<void>;
  /** Makes these files all that the table has, in this schema. */
  replace(schema: Schema, state: SchemaState, files: readonly DataFile[]): Promise<void>;
  /** Writes out what is staged. */
  flush(): Promise<void>;
  /** Closes files that still take rows, so that their rows can be read and deleted. */
  closeFiles(): Promise<void>;
  /** The commit changes more than the summary. */
  markChanged(): void;
}
