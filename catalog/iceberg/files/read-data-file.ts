import { isNested, type Schema } from '../../schemas/schema.ts';
import type { IcebergField } from '../metadata/iceberg-schema.ts';
import { fileProjection } from '../read/file-projection.ts';
import { innerName } from '../read/scan-columns.ts';
import { localPath } from '../storage.ts';
import { identifier } from './duckdb-values.ts';
import { readFileSchemas } from './file-schema.ts';
import { pathList, readParquet } from './read-parquet.ts';

/** Columns to read, each with its field in the table's schema: `iceberg[i]` is that of `schema.fields[i]`. */
export interface ReadSchema {
  schema: Schema;
  iceberg: readonly IcebergField[];
}

/**
 * What stands after FROM for a data file that is held on this machine's disk: its columns under their names of now, by field
 * id at any depth, with initial defaults where the file is older than a column; then `file_row_number`.
 */
export async function dataFileSource(location: string, { schema, iceberg }: ReadSchema): Promise<string> {
  const path = localPath(location);
  const ids = iceberg.map((field) => field.id);
  const byId = readParquet([path], schema, ids, ['file_row_number = true']);
  // Nothing that names could mislead about.
  if (!schema.fields.some((field) => isNested(field.type))) return byId;
  const own = (await readFileSchemas([location])).get(location) ?? [];
  const columns = schema.fields.flatMap((field, index) => {
    const twin = iceberg[index];
    return twin ? [{ id: twin.id, field, iceberg: twin }] : [];
  });
  const projection = fileProjection(columns, own, true, new Map());
  if (projection === null) return byId;
  const names = columns.map((column) => `${innerName(column)} AS ${identifier(column.field.name)}`);
  const inner = `SELECT ${projection.join(', ')}, file_row_number FROM read_parquet(${pathList([path])}, file_row_number = true, hive_partitioning = false)`;
  return `(SELECT ${names.join(', ')}, file_row_number FROM (${inner}))`;
}
