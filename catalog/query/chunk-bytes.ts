import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  type DuckDBDataChunk,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  type DuckDBValue,
} from '@duckdb/node-api';

/** Rows of a chunk that are looked at: over many chunks their mean is that of all. */
const sampled = 32;
const fixedBytes = 16;

/** About how many bytes the rows of a chunk take in memory. */
export function bytesOf(chunk: DuckDBDataChunk): number {
  const rows = chunk.rowCount;
  if (rows === 0) return 0;
  const step = Math.max(1, rows / sampled);
  let bytes = 0;
  for (let column = 0; column < chunk.columnCount; column++) {
    const vector = chunk.getColumnVector(column);
    let looked = 0;
    let seen = 0;
    for (let at = 0; at < rows; at += step) {
      seen += valueBytes(vector.getItem(Math.floor(at)));
      looked += 1;
    }
    bytes += (seen / looked) * rows;
  }
  return bytes;
}

function valueBytes(value: DuckDBValue): number {
  if (typeof value === 'string') return fixedBytes + value.length;
  if (value instanceof DuckDBBlobValue) return fixedBytes + value.bytes.length;
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return sum(value.items);
  if (value instanceof DuckDBStructValue) return sum(Object.values(value.entries));
  if (value instanceof DuckDBMapValue) return sum(value.entries.flatMap((entry) => [entry.key, entry.value]));
  return fixedBytes;
}

function sum(values: readonly DuckDBValue[]): number {
  return values.reduce((bytes: number, value) => bytes + valueBytes(value), fixedBytes);
}
