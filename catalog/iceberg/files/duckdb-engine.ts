import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { scratchPath } from '../../scratch.ts';

let shared: Promise<DuckDBInstance> | null = null;
let beside: Promise<DuckDBInstance> | null = null;

/**
 * A connection to this process's in-memory DuckDB, which reads and writes the warehouse's Parquet files. It runs SQL of
 * our own making alone; people's SQL runs elsewhere. The caller closes the connection.
 */
export async function connectDuckdb(): Promise<DuckDBConnection> {
  shared ??= openInstance('2', '512MB');
  return await (await shared).connect();
}

/**
 * A connection for long work that runs beside all else. A COPY that keeps the order of its rows takes whatever memory its
 * instance has left, and all of its threads: this one has little of both.
 */
export async function connectDuckdbBeside(): Promise<DuckDBConnection> {
  beside ??= openInstance('1', '224MB');
  return await (await beside).connect();
}

function openInstance(threads: string, memoryLimit: string): Promise<DuckDBInstance> {
  return DuckDBInstance.create(':memory:', {
    threads,
    memory_limit: memoryLimit,
    // Else what does not fit into memory would go into the folder that the process was started in.
    temp_directory: scratchPath('.duckdb'),
    // Most files are read once; what is kept of them would fill the limit.
    enable_external_file_cache: 'false',
  });
}
