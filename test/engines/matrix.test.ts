import { describeMatrix } from './read-matrix.ts';

describeMatrix({
  pyiceberg: { 'optional-collection-of-structs': 'PyIceberg reads a NULL list or map of structs as an empty one' },
  duckdb: { timestamptz_ns: 'DuckDB has no nanoseconds with a zone' },
  polars: {},
  spark: {
    time: 'Spark refuses tables with time columns',
    timestamp_ns: 'Spark has no nanoseconds',
    timestamptz_ns: 'Spark has no nanoseconds',
  },
});
