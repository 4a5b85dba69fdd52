import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createIcebergSchema, evolveIcebergSchema } from '#catalog/iceberg/metadata/schema-evolution.ts';
import {
  currentSnapshot,
  encodeMetadataFile,
  parseTableMetadata,
  printTableMetadata,
  readTableMetadata,
  schemaOf,
  type TableMetadata,
} from '#catalog/iceberg/metadata/table-metadata.ts';
import type { Schema } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { metadataOf } from './table-parts.ts';

const folder = await mkdtemp(join(tmpdir(), 'dailies-metadata-'));
afterAll(() => rm(folder, { recursive: true }));

const firstVersion = {
  'format-version': 1,
  location: 'file:///warehouse/old',
  'last-updated-ms': 1_600_000_000_000,
  'last-column-id': 2,
  schema: {
    type: 'struct',
    fields: [
      { id: 1, name: 'id', required: true, type: 'long' },
      { id: 2, name: 'day', required: false, type: 'date' },
    ],
  },
  'partition-spec': [{ name: 'day', transform: 'identity', 'source-id': 2 }],
  'current-snapshot-id': 4,
  snapshots: [{ 'snapshot-id': 4, 'timestamp-ms': 1_600_000_000_000, 'manifest-list': 'file:///warehouse/old/l.avro' }],
};

describe('format 1', () => {
  test('is read in the shape of format 2 and written back as format 1', () => {
    const metadata = parseTableMetadata(JSON.stringify(firstVersion), 'file:///old.json');
    expect(metadata).toMatchObject({
      'format-version': 1,
      'table-uuid': expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      'current-schema-id': 0,
      'last-sequence-number': 0n,
      'last-partition-id': 1000,
      'partition-specs': [
        { 'spec-id': 0, fields: [{ name: 'day', transform: 'identity', 'source-id': 2, 'field-id': 1000 }] },
      ],
      refs: { main: { 'snapshot-id': 4n, type: 'branch' } },
    });
    expect(currentSnapshot(metadata)).toMatchObject({ 'sequence-number': 0n, summary: {} });
    expect(schemaOf(metadata).fields.map((field) => field.name)).toEqual(['id', 'day']);
    const written = JSON.parse(printTableMetadata(metadata)) as Record<string, unknown>;
    expect(written).toMatchObject({
      schema: { fields: firstVersion.schema.fields },
      'partition-spec': [{ name: 'day' }],
    });
    expect(written).not.toHaveProperty('last-sequence-number');
    expect(parseTableMetadata(JSON.stringify(written), 'file:///old.json')).toEqual(metadata);
  });

  test('of before manifest lists is refused saying so', () => {
    const [snapshot] = firstVersion.snapshots;
    const { 'manifest-list': _list, ...inline } = snapshot ?? {};
    const text = JSON.stringify({ ...firstVersion, snapshots: [{ ...inline, manifests: [] }] });
    expect(() => parseTableMetadata(text, 'file:///old.json')).toThrow(/snapshots without a manifest list/);
  });
});

describe('bad input', () => {
  const whole = printTableMetadata(metadataOf(3, [{ kind: 'int' }], []));
  const changed = (change: Record<string, unknown>): string => JSON.stringify({ ...JSON.parse(whole), ...change });

  test('a torn file is told as such, packed or not', async () => {
    for (const length of [0, 1, whole.length >> 1, whole.length - 1]) {
      expect(() => parseTableMetadata(whole.slice(0, length), 'file:///m.json')).toThrow(/m\.json is not whole JSON/);
    }
    const metadata = {
      ...metadataOf(2, [{ kind: 'int' }], []),
      properties: { 'write.metadata.compression-codec': 'gzip' },
    };
    const { bytes, suffix } = encodeMetadataFile(metadata);
    expect(suffix).toBe('.gz.metadata.json');
    const path = join(folder, `00001-a${suffix}`);
    await writeFile(path, bytes);
    expect(await readTableMetadata(`file://${path}`)).toEqual(metadata);
    const torn = join(folder, `00002-b${suffix}`);
    await writeFile(torn, bytes.subarray(0, bytes.length - 9));
    await expect(readTableMetadata(`file://${torn}`)).rejects.toMatchObject({
      code: 'table_corrupt',
      message: expect.stringContaining('00002-b'),
    });
    await expect(readTableMetadata(`file://${folder}/none.metadata.json`)).rejects.toMatchObject({
      code: 'table_corrupt',
      message: expect.stringContaining('none.metadata.json'),
    });
  });

  test('a later format version, and no version at all, are refused naming the file', () => {
    expect(() => parseTableMetadata(changed({ 'format-version': 4 }), 'file:///m.json')).toThrow(
      'file:///m.json has format version 4; versions up to 3 can be read. Upgrade Dailies.',
    );
    for (const version of [0, 2.5, '2', null]) {
      expect(() => parseTableMetadata(changed({ 'format-version': version }), 'file:///m.json')).toThrow(
        /m\.json has no format version/,
      );
    }
    expect(() => parseTableMetadata('[]', 'file:///m.json')).toThrow(/holds no JSON object/);
  });

  test('what is required is missed by name', () => {
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ 'next-row-id': undefined }, /lacks next-row-id/],
      [{ 'last-sequence-number': undefined }, /last-sequence-number/],
      [{ schemas: [] }, /schemas/],
      [{ 'current-schema-id': 7 }, /lacks its current schema 7/],
      [{ 'default-spec-id': 3 }, /lacks its default partition spec 3/],
      [{ refs: { v1: { 'snapshot-id': 9, type: 'tag' } } }, /lacks snapshot 9 of its tag "v1"/],
      [{ 'current-snapshot-id': 5 }, /lacks snapshot 5 of its branch "main"/],
      [{ refs: { v1: { 'snapshot-id': 9, type: 'bookmark' } } }, /refs\.v1\.type/],
    ];
    for (const [change, message] of cases) {
      expect(() => parseTableMetadata(changed(change), 'file:///m.json')).toThrow(message);
    }
  });

  test('a snapshot id of -1 is none', () => {
    expect(currentSnapshot(parseTableMetadata(changed({ 'current-snapshot-id': -1 }), 'file:///m.json'))).toBeNull();
  });
});

/** A table with everything that metadata can say, as each version has it. */
function fullMetadata(formatVersion: 1 | 2 | 3): TableMetadata {
  const before: Schema = {
    fields: [
      { name: 'id', type: { kind: 'long' }, required: true },
      { name: 'at', type: { kind: 'timestamptz' }, required: false, doc: 'when' },
      {
        name: 'parts',
        required: false,
        type: {
          kind: 'map',
          key: { kind: 'string' },
          value: {
            kind: 'list',
            element: { kind: 'struct', fields: [{ name: 'x', type: { kind: 'fixed', length: 4 }, required: true }] },
          },
        },
      },
    ],
    key: ['id'],
  };
  const first = createIcebergSchema(before);
  const after: Schema = {
    ...before,
    fields: [
      ...before.fields,
      { name: 'rank', type: { kind: 'decimal', precision: 9, scale: 2 }, required: false, initialDefault: 1420n },
    ],
  };
  const second = evolveIcebergSchema(first, after, { formatVersion });
  const sequenceNumber = formatVersion === 1 ? 0n : 1n;
  return {
    ...metadataOf(formatVersion === 3 ? 3 : 2, [], []),
    'format-version': formatVersion,
    'last-sequence-number': sequenceNumber,
    'last-column-id': second.lastColumnId,
    schemas: [first.schema, second.schema],
    'current-schema-id': second.schema['schema-id'],
    'partition-specs': [
      { 'spec-id': 0, fields: [] },
      {
        'spec-id': 1,
        fields: [
          { 'source-id': 2, 'field-id': 1000, name: 'at_day', transform: 'day' },
          { 'source-id': 1, 'field-id': 1001, name: 'id_bucket', transform: 'bucket[8]' },
        ],
      },
    ],
    'default-spec-id': 1,
    'last-partition-id': 1001,
    'sort-orders': [
      { 'order-id': 0, fields: [] },
      {
        'order-id': 1,
        fields: [{ 'source-id': 2, transform: 'identity', direction: 'desc', 'null-order': 'nulls-last' }],
      },
    ],
    'default-sort-order-id': 1,
    'current-snapshot-id': 9223372036854775807n,
    snapshots: [
      {
        'snapshot-id': 9223372036854775807n,
        'sequence-number': sequenceNumber,
        'timestamp-ms': 1_700_000_000_000,
        'manifest-list': 'file:///warehouse/table/l.avro',
        summary: { operation: 'append' },
        'schema-id': second.schema['schema-id'],
        ...(formatVersion === 3 ? { 'first-row-id': 0n, 'added-rows': 3n } : {}),
      },
    ],
    'snapshot-log': [{ 'timestamp-ms': 1_700_000_000_000, 'snapshot-id': 9223372036854775807n }],
    refs: {
      main: { 'snapshot-id': 9223372036854775807n, type: 'branch' },
      kept: { 'snapshot-id': 9223372036854775807n, type: 'tag', 'max-ref-age-ms': 5n },
    },
    properties: { 'write.format.default': 'parquet' },
    ...(formatVersion === 3 ? { 'next-row-id': 3n } : {}),
  };
}

describe('metadata with everything in it', () => {
  test.each([1, 2, 3] as const)('is read as it was written, format %i', (version) => {
    const metadata = fullMetadata(version);
    expect(parseTableMetadata(printTableMetadata(metadata), 'file:///m.json')).toEqual(metadata);
  });
});

describeWith('pyiceberg', 'PyIceberg reads metadata', (python) => {
  test.each([1, 2, 3] as const)('of format %i, packed', async (version) => {
    const metadata = { ...fullMetadata(version), properties: { 'write.metadata.compression-codec': 'gzip' } };
    const { bytes, suffix } = encodeMetadataFile(metadata);
    const path = join(folder, `0000${version}-full${suffix}`);
    await writeFile(path, bytes);
    const output = execFileSync(python, [join(import.meta.dirname, 'pyiceberg_metadata.py'), `file://${path}`]);
    const theirs: unknown = JSON.parse(output.toString());
    const hasDefaults = version === 3;
    expect(theirs).toEqual({
      version,
      snapshot: '9223372036854775807',
      identifiers: ['id'],
      columns: [
        '1: id: required long',
        '2: at: optional timestamptz (when)',
        '3: parts: optional map<string, list<struct<7: x: required fixed[4]>>>',
        `8: rank: optional decimal(9, 2)${hasDefaults ? ' default 14.20' : ''}`,
      ],
      partition: ['1000: at_day: day(2)', '1001: id_bucket: bucket[8](1)'],
      sort: ['2 DESC NULLS LAST'],
      refs: { kept: 'tag', main: 'branch' },
      nextRowId: version === 3 ? 3 : null,
    });
  });
});
