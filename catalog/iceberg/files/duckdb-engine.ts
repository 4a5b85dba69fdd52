import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { scratchPath } from '../../scratch.ts';

let shared: Promise<DuckDBInstance> | null = null;

/**
 * A connection to this process's in-memory DuckDB, which reads and writes the warehouse's Parquet files. It runs SQL of
 * our own making alone; people's SQL runs elsewhere. The caller closes the connection.
 */
export async function connectDuckdb(): Promise<DuckDBConnection> {
  shared ??= DuckDBInstance.create(':memory:', {
    threads: '2',
    memory_limit: '512MB',
    // Else what does not fit into memory would go into the folder that the process was started in.
    temp_directory: scratchPath('.duckdb'),
    // Most files are read once; what is kept of them would fill the limit.
    enable_external_file_cache: 'false',
  });
  return await (await shared).connect();
}
