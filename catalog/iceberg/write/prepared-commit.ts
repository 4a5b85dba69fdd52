import type { Schema } from '../../schemas/schema.ts';
import type { IcebergSchema } from '../metadata/iceberg-schema.ts';
import type { TableCommit } from '../tables/table-catalog.ts';
import type { BuiltSnapshot } from './snapshot-builder.ts';

/** What goes into every snapshot's summary, so that who reads the table knows how far it is. */
export type CommitSummary = Readonly<Record<string, string>>;

/** A commit whose files are written, before the catalog is asked for it. */
export interface PreparedCommit {
  commit: TableCommit;
  built: BuiltSnapshot;
  schema: Schema;
  iceberg: IcebergSchema;
  rows: bigint;
}
