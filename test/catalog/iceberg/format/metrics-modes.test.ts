import { expect, test } from 'vitest';
import { type DataFile, plainFile } from '#catalog/iceberg/manifests/manifest.ts';
import { metricsModes, withMetricsModes } from '#catalog/iceberg/metadata/metrics-modes.ts';
import type { TableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import type { FieldType } from '#catalog/schemas/schema.ts';
import { metadataOf } from './table-parts.ts';

function table(types: readonly FieldType[], properties: Record<string, string>): TableMetadata {
  return { ...metadataOf(2, types, []), properties };
}

function fileWith(bounds: Record<number, string>): DataFile {
  const counts = new Map(Object.keys(bounds).map((id) => [Number(id), 3]));
  const bytes = new Map(Object.entries(bounds).map(([id, text]) => [Number(id), Buffer.from(text) as Uint8Array]));
  return {
    ...plainFile,
    content: 'data',
    location: 'file:///f.parquet',
    recordCount: 3,
    sizeBytes: 100,
    columnSizes: counts,
    valueCounts: counts,
    nullCounts: counts,
    nanCounts: new Map(),
    lowerBounds: bytes,
    upperBounds: bytes,
  };
}

function texts(map: ReadonlyMap<number, Uint8Array>): Record<number, string> {
  return Object.fromEntries([...map].map(([id, bytes]) => [id, Buffer.from(bytes).toString()]));
}

const text: FieldType = { kind: 'string' };

test('each column has the statistics that its table property asks for', () => {
  const metadata = table([text, text, { kind: 'binary' }, text, { kind: 'int' }], {
    'write.metadata.metrics.default': 'truncate(2)',
    'write.metadata.metrics.column.c2': 'none',
    'write.metadata.metrics.column.c4': 'counts',
  });
  const file = withMetricsModes(fileWith({ 1: 'abcdef', 2: 'abcdef', 3: 'abcdef', 4: 'abcdef', 5: '1234' }), metadata);
  expect(texts(file.lowerBounds)).toEqual({ 1: 'ab', 3: 'ab', 5: '1234' });
  expect(texts(file.upperBounds)).toEqual({ 1: 'ac', 3: 'ac', 5: '1234' });
  expect([...file.nullCounts.keys()]).toEqual([1, 3, 4, 5]);
  expect([...file.columnSizes.keys()]).toEqual([1, 3, 4, 5]);
});

test('a table of many columns has them of the first hundred, and of what identifies its rows', () => {
  const types = Array.from({ length: 102 }, (): FieldType => ({ kind: 'int' }));
  const metadata = table(types, {});
  const [schema] = metadata.schemas;
  if (!schema) throw new Error('The table has no schema.');
  const keyed = { ...metadata, schemas: [{ ...schema, 'identifier-field-ids': [102] }] };
  expect([...metricsModes(keyed)]).toEqual([[101, { kind: 'none' }]]);
  expect([...metricsModes(table(types, { 'write.metadata.metrics.default': 'full' }))]).toEqual([]);
  const few = { 'write.metadata.metrics.max-inferred-column-defaults': '1' };
  expect(metricsModes(table([text, text], few)).get(2)).toEqual({ kind: 'none' });
});

test('delete files keep what readers find their data files by', () => {
  const deletes: DataFile = { ...fileWith({ 2147483546: 'file:///a.parquet' }), content: 'position-deletes' };
  const metadata = table([text], { 'write.metadata.metrics.default': 'none' });
  expect(withMetricsModes(deletes, metadata)).toBe(deletes);
});
