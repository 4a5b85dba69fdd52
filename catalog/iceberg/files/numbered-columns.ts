import type { Schema } from '../../schemas/schema.ts';
import { identifier, literal } from './duckdb-values.ts';

/**
 * A DuckDB SELECT of the rows of Parquet files whose columns `c0`, `c1`, … hold the schema's first, second, … field: the
 * form in which the rows of a snapshot travel. Columns come out under their fields' names.
 */
export function selectNumbered(paths: readonly string[], schema: Schema): string {
  const columns = schema.fields.map((field, index) => `c${index} AS ${identifier(field.name)}`);
  return `SELECT ${columns.join(', ')} FROM read_parquet([${paths.map(literal).join(', ')}])`;
}
