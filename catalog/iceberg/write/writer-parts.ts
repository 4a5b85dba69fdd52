import type { DuckDBConnection } from '@duckdb/node-api';
import type { Schema } from '../../schemas/schema.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import type { FileLayout } from './open-files.ts';
import type { StageTarget } from './staged-rows.ts';
import type { IndexedTable, TableIndex } from './table-index.ts';
import type { WorkingFiles } from './working-files.ts';

/** What a table's writer lends to those who work on its commit in hand. */
export interface WriterParts {
  readonly connection: DuckDBConnection;
  readonly files: WorkingFiles;
  readonly index: TableIndex;
  /** As of the last commit; null for a table that does not exist yet. */
  readonly metadata: TableMetadata | null;
  /** Of the rows that come next. */
  readonly schema: Schema;
  indexTable(): IndexedTable;
  /** What new files of rows are like. */
  layout(): FileLayout;
  newLocation(): string;
  /** Makes the folders of a table that does not exist yet. */
  makeFolders(): Promise<void>;
  target(): StageTarget;
  /** Closes files that still take rows, so that their rows can be read and deleted. */
  closeFiles(): Promise<void>;
}
