import { expect, test } from 'vitest';
import { parseTableMetadata, printTableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';

test('ids of 64 bits, and fields that we do not know, survive reading and writing', () => {
  const text = JSON.stringify({
    'format-version': 2,
    'table-uuid': 'c0ffee00-1234-4bcd-8def-0123456789ab',
    location: 'file:///warehouse/a',
    'last-sequence-number': 3,
    'last-updated-ms': 1_700_000_000_000,
    'last-column-id': 1,
    schemas: [{ type: 'struct', 'schema-id': 0, fields: [{ id: 1, name: 'id', required: true, type: 'long' }] }],
    'current-schema-id': 0,
    'partition-specs': [{ 'spec-id': 0, fields: [] }],
    'default-spec-id': 0,
    'last-partition-id': 999,
    properties: {},
    'current-snapshot-id': 'ID',
    snapshots: [
      {
        'snapshot-id': 'ID',
        'sequence-number': 3,
        'timestamp-ms': 1_700_000_000_000,
        'manifest-list': 'file:///warehouse/a/l.avro',
        summary: { operation: 'append' },
        'schema-id': 0,
      },
    ],
    'snapshot-log': [{ 'timestamp-ms': 1_700_000_000_000, 'snapshot-id': 'ID' }],
    'metadata-log': [],
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    'default-sort-order-id': 0,
    refs: { main: { 'snapshot-id': 'ID', type: 'branch', 'max-ref-age-ms': 5 } },
    'a-later-list': [{ unknown: true }],
  }).replaceAll('"ID"', '9223372036854775807');
  const metadata = parseTableMetadata(text, 'file:///m.json');
  expect(metadata['current-snapshot-id']).toBe(9223372036854775807n);
  const again = printTableMetadata(metadata);
  expect(again.match(/9223372036854775807/g)?.length).toBe(4);
  expect(parseTableMetadata(again, 'file:///m.json')).toEqual(metadata);
  expect(again).toContain('"a-later-list":[{"unknown":true}]');
  expect(again).toContain('"max-ref-age-ms":5');
});
