import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

let shared: Promise<DuckDBInstance> | null = null;

/**
 * A connection to this process's in-memory DuckDB, which reads and writes the warehouse's Parquet files. It runs SQL of
 * our own making alone; people's SQL runs elsewhere. The caller closes the connection.
 */
export async function connectDuckdb(): Promise<DuckDBConnection> {
  shared ??= DuckDBInstance.create(':memory:', {
    threads: '2',
    memory_limit: '512MB',
    // Most files are read once; what is kept of them would fill the limit.
    enable_external_file_cache: 'false',
  });
  return await (await shared).connect();
}
