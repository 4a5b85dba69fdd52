import fc from 'fast-check';
import type { DataFile, ManifestEntry } from '#catalog/iceberg/manifests/manifest.ts';
import { type PartitionColumn, partitionColumns } from '#catalog/iceberg/metadata/partition-spec.ts';
import { primitiveName } from '#catalog/iceberg/metadata/schema-evolution.ts';
import type { TableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import { parseTransform, transformName, transformResultType } from '#catalog/iceberg/metadata/transforms.ts';
import { type FieldType, isNested } from '#catalog/schemas/schema.ts';
import { primitives, valuesOf } from './typed-values.ts';

/** Metadata of a table of these columns (ids from 1), partitioned by these transforms of columns. */
export function metadataOf(
  formatVersion: 2 | 3,
  types: readonly FieldType[],
  partition: readonly { column: number; transform: string }[],
): TableMetadata {
  return {
    'format-version': formatVersion,
    'table-uuid': 'c0ffee00-1234-4bcd-8def-0123456789ab',
    location: 'file:///warehouse/table',
    'last-sequence-number': 7n,
    'last-updated-ms': 1_700_000_000_000,
    'last-column-id': types.length,
    schemas: [
      {
        type: 'struct',
        'schema-id': 0,
        fields: types.map((type, index) => ({
          id: index + 1,
          name: `c${index + 1}`,
          required: false,
          type: isNested(type) ? 'string' : primitiveName(type),
        })),
      },
    ],
    'current-schema-id': 0,
    'partition-specs': [
      {
        'spec-id': 0,
        fields: partition.map(({ column, transform }, index) => ({
          'source-id': column + 1,
          'field-id': 1000 + index,
          name: `part ${index}`,
          transform,
        })),
      },
    ],
    'default-spec-id': 0,
    'last-partition-id': 999 + partition.length,
    properties: {},
    snapshots: [],
    'snapshot-log': [],
    'metadata-log': [],
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    'default-sort-order-id': 0,
    refs: {},
    ...(formatVersion === 3 ? { 'next-row-id': 0n } : {}),
  };
}

const transforms = ['identity', 'bucket[16]', 'truncate[4]', 'year', 'month', 'day', 'hour', 'void'].map(
  parseTransform,
);

/** Tables of any column types, partitioned by whatever transforms their columns take. */
export function partitionedTables(formatVersions: readonly (2 | 3)[]): fc.Arbitrary<TableMetadata> {
  return fc
    .tuple(fc.constantFrom(...formatVersions), fc.array(primitives, { minLength: 1, maxLength: 4 }))
    .chain(([formatVersion, types]) => {
      const possible = types.flatMap((type, column) =>
        transforms
          .filter((transform) => transformResultType(transform, type))
          .map((transform) => ({ column, transform })),
      );
      return fc.uniqueArray(fc.constantFrom(...possible), { maxLength: 4 }).map((chosen) =>
        metadataOf(
          formatVersion,
          types,
          chosen.map(({ column, transform }) => ({ column, transform: transformName(transform) })),
        ),
      );
    });
}

function partitions(columns: readonly PartitionColumn[]): fc.Arbitrary<DataFile['partition']> {
  return fc.tuple(
    ...columns.map((column) =>
      column.transform.kind === 'void' ? fc.constant(null) : fc.option(valuesOf(column.type), { freq: 4 }),
    ),
  );
}

const counts = fc.nat(1_000_000_000);
const numberMaps = fc.array(fc.tuple(fc.nat(2 ** 31 - 1), counts), { maxLength: 4 }).map((entries) => new Map(entries));
const byteMaps = fc
  .array(fc.tuple(fc.nat(2 ** 31 - 1), fc.uint8Array({ minLength: 1, maxLength: 20 })), { maxLength: 4 })
  .map((entries) => new Map<number, Uint8Array>(entries));

/** Entries as the table's format can hold them, with all fields in use. */
export function entriesOf(metadata: TableMetadata, content: 'data' | 'deletes'): fc.Arbitrary<ManifestEntry[]> {
  const isThird = metadata['format-version'] === 3;
  const file: fc.Arbitrary<DataFile> = fc.record({
    content: content === 'data' ? fc.constant('data') : fc.constantFrom('position-deletes', 'equality-deletes'),
    format: fc.constantFrom(...(['parquet', 'avro', 'orc', ...(isThird ? (['puffin'] as const) : [])] as const)),
    location: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
    specId: fc.constant(0),
    partition: partitions(partitionColumns(metadata)),
    recordCount: counts,
    sizeBytes: fc.nat(Number.MAX_SAFE_INTEGER),
    columnSizes: numberMaps,
    valueCounts: numberMaps,
    nullCounts: numberMaps,
    nanCounts: numberMaps,
    lowerBounds: byteMaps,
    upperBounds: byteMaps,
    keyMetadata: fc.option(fc.uint8Array({ minLength: 1, maxLength: 10 })),
    splitOffsets: fc.option(fc.array(counts, { minLength: 1, maxLength: 3 })),
    equalityIds: fc.option(fc.array(fc.nat(100), { minLength: 1, maxLength: 3 })),
    sortOrderId: fc.option(fc.nat(10)),
    referencedDataFile: fc.option(fc.webUrl()),
    contentOffset: isThird ? fc.option(counts) : fc.constant(null),
    contentSizeBytes: isThird ? fc.option(counts) : fc.constant(null),
    firstRowId: isThird && content === 'data' ? fc.option(fc.bigInt({ min: 0n, max: 2n ** 62n })) : fc.constant(null),
  });
  const numbers = fc.bigInt({ min: 0n, max: 6n });
  return fc.array(
    fc
      .record({
        status: fc.constantFrom('existing' as const, 'added' as const, 'deleted' as const),
        snapshotId: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
        sequenceNumber: numbers,
        fileSequenceNumber: numbers,
        file,
      })
      // What is added has the numbers of its manifest, which stands at 7.
      .map((entry) => (entry.status === 'added' ? { ...entry, sequenceNumber: 7n, fileSequenceNumber: 7n } : entry)),
    { minLength: 1, maxLength: 5 },
  );
}
