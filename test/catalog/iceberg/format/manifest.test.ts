import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import {
  encodeManifest,
  type ManifestEntry,
  type ManifestReference,
  readManifest,
  withRowIds,
} from '#catalog/iceberg/manifests/manifest.ts';
import {
  describeManifest,
  encodeManifestList,
  type ManifestFile,
  readManifestList,
} from '#catalog/iceberg/manifests/manifest-list.ts';
import { decompressSnappy } from '#catalog/iceberg/manifests/snappy.ts';
import { partitionColumns } from '#catalog/iceberg/metadata/partition-spec.ts';
import { primitiveName } from '#catalog/iceberg/metadata/schema-evolution.ts';
import { compareValues, decodeSingleValue } from '#catalog/iceberg/metadata/single-value.ts';
import { printTableMetadata, type TableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import { isNested } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { entriesOf, metadataOf, partitionedTables } from './table-parts.ts';
import { seedFor } from './typed-values.ts';

const folder = await mkdtemp(join(tmpdir(), 'dailies-manifest-'));
afterAll(() => rm(folder, { recursive: true }));
let files = 0;

async function put(bytes: Uint8Array): Promise<string> {
  const path = join(folder, `${++files}.avro`);
  await writeFile(path, bytes);
  return `file://${path}`;
}

const tables = partitionedTables([2, 3]).chain((metadata) =>
  fc
    .constantFrom('data' as const, 'deletes' as const)
    .chain((content) => entriesOf(metadata, content).map((entries) => ({ metadata, content, entries }))),
);

async function writeManifest(
  metadata: TableMetadata,
  content: 'data' | 'deletes',
  entries: readonly ManifestEntry[],
): Promise<ManifestReference & { lengthBytes: number; content: 'data' | 'deletes' }> {
  const bytes = encodeManifest(entries, content, metadata);
  const location = await put(bytes);
  const firstRowId = metadata['format-version'] === 3 && content === 'data' ? 1000n : null;
  return { location, lengthBytes: bytes.length, content, snapshotId: 5n, sequenceNumber: 7n, specId: 0, firstRowId };
}

test('manifests and their lists are read as they were written, in format 2 and 3', async () => {
  await fc.assert(
    fc.asyncProperty(tables, async ({ metadata, content, entries }) => {
      const manifest = await writeManifest(metadata, content, entries);
      expect(plain(await readManifest(manifest))).toEqual(plain(withRowIds(entries, manifest.firstRowId)));
      const line = describeManifest(manifest, entries, metadata);
      const list = await put(
        encodeManifestList(
          [line],
          { id: 5n, parentId: null, sequenceNumber: 7n, firstRowId: 1000n },
          metadata['format-version'] === 3 ? 3 : 2,
        ),
      );
      expect(plain(await readManifestList(list))).toEqual(plain([line]));
      checkSummaries(line, entries, metadata);
    }),
    { seed: seedFor('manifests'), numRuns: 300 },
  );
});

// Buffers and arrays of bytes are alike to whoever reads them.
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (value instanceof Map) return [...value].map(plain);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return Object.is(value, -0) ? '-0' : value;
}

function checkSummaries(line: ManifestFile, entries: readonly ManifestEntry[], metadata: TableMetadata): void {
  partitionColumns(metadata).forEach(({ type }, index) => {
    const summary = line.partitions[index];
    const values = entries.map((entry) => entry.file.partition[index] ?? null).filter((value) => value !== null);
    expect(summary?.containsNull).toBe(values.length < entries.length);
    expect(summary?.lowerBound === null).toBe(values.length === 0);
    for (const value of values) {
      const lower = decodeSingleValue(type, summary?.lowerBound ?? new Uint8Array());
      const upper = decodeSingleValue(type, summary?.upperBound ?? new Uint8Array());
      expect(compareValues(type, lower, value)).toBeLessThanOrEqual(0);
      expect(compareValues(type, upper, value)).toBeGreaterThanOrEqual(0);
    }
  });
}

test('row ids are inherited by live files in their order, and kept where a file has its own', () => {
  const metadata = metadataOf(3, [{ kind: 'int' }], []);
  const [sample] = fc.sample(entriesOf(metadata, 'data'), { seed: 1, numRuns: 1 });
  const [entry] = sample ?? [];
  if (!entry) throw new Error('No entry was made.');
  const of = (status: ManifestEntry['status'], recordCount: number, firstRowId: bigint | null): ManifestEntry => ({
    ...entry,
    status,
    file: { ...entry.file, recordCount, firstRowId },
  });
  const entries = [of('added', 10, null), of('deleted', 5, null), of('existing', 3, 7n), of('existing', 4, null)];
  expect(withRowIds(entries, 100n).map(({ file }) => file.firstRowId)).toEqual([100n, null, 7n, 110n]);
  expect(withRowIds(entries, null).map(({ file }) => file.firstRowId)).toEqual([null, null, 7n, null]);
});

test('what a later version of the format writes is refused by name, and torn files are told', async () => {
  const metadata = metadataOf(2, [{ kind: 'int' }], []);
  const [entries = []] = fc.sample(entriesOf(metadata, 'data'), { seed: 1, numRuns: 1 });
  const bytes = encodeManifest(entries, 'data', metadata);
  const torn = { location: '', snapshotId: 5n, sequenceNumber: 7n, specId: 0, firstRowId: null };
  for (const length of [0, 3, 40, bytes.length >> 1, bytes.length - 1]) {
    const location = await put(bytes.subarray(0, length));
    await expect(readManifest({ ...torn, location })).rejects.toMatchObject({
      code: 'table_corrupt',
      message: expect.stringContaining(location),
    });
  }
  const encrypted = await put(Buffer.concat([Buffer.from('AGS1'), bytes]));
  await expect(readManifest({ ...torn, location: encrypted })).rejects.toThrow(/The table is encrypted/);
  const first = { ...metadata, 'format-version': 1 as const };
  expect(() => encodeManifest(entries, 'data', first)).toThrow(/format 1, which is only read here/);
});

describeWith('pyiceberg', 'manifests and PyIceberg', (python) => {
  const run = (script: string, input: unknown): unknown =>
    JSON.parse(
      execFileSync(python, [join(import.meta.dirname, script)], {
        input: JSON.stringify(input),
        maxBuffer: 1 << 26,
      }).toString(),
    );

  test('it reads what we write', async () => {
    // It has no nanoseconds in Avro, and its decoder rounds doubles to floats.
    const written = fc
      .sample(tables, { seed: seedFor('manifests for PyIceberg'), numRuns: 60 })
      .filter(({ metadata }) => !hasKind(metadata, ['timestamp_ns', 'timestamptz_ns', 'double']));
    const input = [];
    for (const { metadata, content, entries } of written) {
      const manifest = await writeManifest(metadata, content, entries);
      const isThird = metadata['format-version'] === 3;
      const list = encodeManifestList(
        [describeManifest(manifest, entries, metadata)],
        { id: 5n, parentId: 4n, sequenceNumber: 7n, firstRowId: 1000n },
        isThird ? 3 : 2,
      );
      input.push({ list: await put(list), types: partitionColumns(metadata).map(({ type }) => nameOf(type)) });
    }
    const theirs = run('pyiceberg_manifests.py', input);
    expect(theirs).toEqual(
      written.map(({ metadata, entries }) => ({
        counts: (['added', 'existing', 'deleted'] as const).map(
          (status) => entries.filter((entry) => entry.status === status).length,
        ),
        entries: entries.map(({ status, snapshotId, sequenceNumber, file }) => [
          status,
          String(snapshotId),
          String(sequenceNumber),
          file.content,
          file.format,
          file.location,
          file.recordCount,
          partitionColumns(metadata).map(({ type }, index) => show(type.kind, file.partition[index] ?? null)),
          Object.fromEntries(
            [...file.lowerBounds].map(([id, bound]) => [String(id), Buffer.from(bound).toString('hex')]),
          ),
          file.equalityIds,
        ]),
      })),
    );
  });

  test('we read what it writes, in format 1 and 2, packed by any codec', async () => {
    const cases = fc
      .sample(
        fc.tuple(
          partitionedTables([2]).chain((metadata) =>
            entriesOf(metadata, 'data').map((entries) => ({ metadata, files: entries.map((entry) => entry.file) })),
          ),
          fc.constantFrom(1, 2),
          fc.constantFrom('null', 'deflate', 'zstandard'),
        ),
        { seed: seedFor('manifests by PyIceberg'), numRuns: 60 },
      )
      .filter(([{ metadata }]) => !hasKind(metadata, ['timestamp_ns', 'timestamptz_ns']));
    const texts = fc.sample(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 5000 }),
        fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 100_000 }),
      ),
      { seed: seedFor('Snappy'), numRuns: 50 },
    );
    const output = run('pyiceberg_write_manifests.py', {
      folder,
      texts,
      cases: cases.map(([{ metadata, files: written }, version, codec]) => ({
        version,
        codec,
        metadata: printTableMetadata(metadata),
        files: written.map((file) => ({
          location: file.location,
          recordCount: file.recordCount,
          sizeBytes: file.sizeBytes,
          lowerBounds: Object.fromEntries(
            [...file.lowerBounds].map(([id, bound]) => [String(id), Buffer.from(bound).toString('hex')]),
          ),
          partition: partitionColumns(metadata).map(({ type }, index) => {
            const value = file.partition[index] ?? null;
            return typeof value === 'number' ? String(value) : show(type.kind, value);
          }),
        })),
      })),
    }) as { lists: string[]; snappy: string[] };
    for (const [index, [{ files: written }]] of cases.entries()) {
      const manifests = await readManifestList(`file://${output.lists[index]}`);
      expect(manifests).toMatchObject([{ addedFiles: written.length, content: 'data', snapshotId: 5n }]);
      const read = await Promise.all(manifests.map((manifest) => readManifest(manifest)));
      const shape = (file: ManifestEntry['file']) => [
        file.location,
        file.format,
        file.recordCount,
        file.sizeBytes,
        file.partition,
        [...file.lowerBounds].sort(([a], [b]) => a - b),
      ];
      expect(plain(read.flat().map(({ file }) => shape(file)))).toEqual(
        plain(written.map((file) => shape({ ...file, format: 'parquet' }))),
      );
    }
    expect(output.snappy.map((hex) => decompressSnappy(Buffer.from(hex, 'hex')).toString())).toEqual(texts);
  });
});

test('a torn Snappy block is told, wherever it is cut', () => {
  // Eight bytes as they are, then four from eight back.
  const block = Buffer.from('0c1c61626364656667680108', 'hex');
  expect(decompressSnappy(block).toString()).toBe('abcdefghabcd');
  for (let end = 0; end < block.length; end++) {
    expect(() => decompressSnappy(block.subarray(0, end))).toThrow(RangeError);
  }
});

function hasKind(metadata: TableMetadata, kinds: readonly string[]): boolean {
  return partitionColumns(metadata).some(({ type }) => kinds.includes(type.kind));
}

function nameOf(type: Parameters<typeof isNested>[0]): string {
  return isNested(type) ? '' : primitiveName(type);
}

function show(kind: string, value: unknown): string | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (kind === 'float' || kind === 'double') {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value as number);
    return bytes.toString('hex');
  }
  return String(value);
}
