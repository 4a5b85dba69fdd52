import type { Field, Schema } from '../../schemas/schema.ts';
import type { ManifestEntry } from '../manifests/manifest.ts';
import type { IcebergField, IcebergSchema } from './iceberg-schema.ts';

/*
 * Row lineage (iceberg.apache.org/spec, Row Lineage; format 3): each row has an id, and the sequence number of the commit
 * that last changed it. Both are inherited from the row's data file, until the row moves to another file: then they are
 * copied into columns of that file. Our own updates are a delete and an insert, so the changed row has a new id.
 */
const rowId: IcebergField = { id: 2147483540, name: '_row_id', required: false, type: 'long' };
const lastUpdated: IcebergField = {
  id: 2147483539,
  name: '_last_updated_sequence_number',
  required: false,
  type: 'long',
};

/** Names that files of moved rows need for themselves. */
export const lineageNames: readonly string[] = [rowId.name, lastUpdated.name];

/** The schema of files whose rows were moved: the table's, with their lineage after it. */
export function withLineage<Files extends { schema: Schema; iceberg: IcebergSchema }>(files: Files): Files {
  const fields: Field[] = lineageNames.map((name) => ({ name, type: { kind: 'long' }, required: false }));
  return {
    ...files,
    schema: { ...files.schema, fields: [...files.schema.fields, ...fields] },
    iceberg: { ...files.iceberg, fields: [...files.iceberg.fields, rowId, lastUpdated] },
  };
}

/** DuckDB expressions of the lineage of a data file's rows, for a scan that gives its own columns and `file_row_number`. */
export function lineageColumns({ file, sequenceNumber }: ManifestEntry): string[] {
  // A file from before the table came to format 3 gets its first id with the next commit, and has none until then.
  const id = file.firstRowId === null ? 'NULL' : `${file.firstRowId} + file_row_number`;
  return [
    `COALESCE("${rowId.name}", ${id}) AS "${rowId.name}"`,
    `COALESCE("${lastUpdated.name}", ${sequenceNumber}) AS "${lastUpdated.name}"`,
  ];
}
