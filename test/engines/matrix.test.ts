import { describeMatrix } from './read-matrix.ts';

describeMatrix({
  pyiceberg: { 'optional-collection-of-structs': 'PyIceberg reads a NULL list or map of structs as an empty one' },
  duckdb: {
    timestamptz_ns: 'DuckDB has no nanoseconds with a zone',
    'conditions-on-partitions':
      'DuckDB leaves out partitions before 1970 and of negative numbers that hold wanted rows',
  },
  polars: {},
  spark: {
    time: 'Spark refuses tables with time columns',
    timestamp_ns: 'Spark has no nanoseconds',
    timestamptz_ns: 'Spark has no nanoseconds',
    'partition-fixed': 'Iceberg for Java takes a fixed value of a partition for one with a length before it',
  },
});
