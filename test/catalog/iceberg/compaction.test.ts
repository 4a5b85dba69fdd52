import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CompactableFile, compactionOf } from '#catalog/iceberg/maintenance/compaction.ts';
import { type DataFile, type ManifestEntry, plainFile } from '#catalog/iceberg/manifests/manifest.ts';
import { maintenanceSettings } from '#catalog/iceberg/metadata/table-properties.ts';

const { settings } = maintenanceSettings({});
let count = 0;

function dataFile(sizeBytes: number, recordCount: number, partition: string | null = null): DataFile {
  return {
    ...plainFile,
    content: 'data',
    location: `file:///warehouse/t/data/${count++}.parquet`,
    specId: partition === null ? 0 : 1,
    partition: partition === null ? [] : [partition],
    recordCount,
    sizeBytes,
    columnSizes: new Map(),
    valueCounts: new Map(),
    nullCounts: new Map(),
    nanCounts: new Map(),
    lowerBounds: new Map(),
    upperBounds: new Map(),
  };
}

function file(sizeBytes: number, options: { deleted?: number; partition?: string } = {}): CompactableFile {
  const data = dataFile(sizeBytes, Math.ceil(sizeBytes / 100), options.partition ?? null);
  const deletes: ManifestEntry[] = [];
  if (options.deleted) {
    const positions: DataFile = {
      ...data,
      content: 'position-deletes',
      recordCount: Math.ceil(data.recordCount * options.deleted),
      referencedDataFile: data.location,
    };
    deletes.push({ status: 'added', snapshotId: 1n, sequenceNumber: 2n, fileSequenceNumber: 2n, file: positions });
  }
  return { file: data, deletes };
}

const files = (many: number, sizeBytes: number, options = {}) =>
  Array.from({ length: many }, () => file(sizeBytes, options));

test('small files are joined once there are enough of one partition', () => {
  expect(compactionOf(files(15, 10_000), settings)).toEqual([]);
  expect(compactionOf(files(16, 10_000), settings)).toHaveLength(16);
  const mixed = [...files(10, 10_000, { partition: 'us' }), ...files(10, 10_000, { partition: 'fr' })];
  expect(compactionOf(mixed, settings)).toEqual([]);
  const chosen = compactionOf([...mixed, ...files(8, 20_000, { partition: 'fr' })], settings);
  expect(new Set(chosen.map((one) => one.file.partition[0]))).toEqual(new Set(['fr']));
  expect(chosen).toHaveLength(18);
});

test('a file with many deletes is rewritten alone, the worst first', () => {
  const worse = file(40 << 20, { deleted: 0.6 });
  expect(compactionOf([file(40 << 20, { deleted: 0.3 }), worse, file(40 << 20, { deleted: 0.2 })], settings)).toEqual([
    worse,
  ]);
  expect(compactionOf([file(40 << 20, { deleted: 0.2 })], settings)).toEqual([]);
  expect(compactionOf([file(10_000, { deleted: 0.9 })], settings)).toEqual([]);
});

test('a large file does not join a few small ones, and a step stays below the target size', () => {
  const large = file(50 << 20);
  expect(compactionOf([large, ...files(16, 10_000)], settings)).not.toContain(large);
  const chosen = compactionOf(files(100, 5 << 20), settings);
  expect(chosen.reduce((sum, one) => sum + one.file.sizeBytes, 0)).toBeLessThanOrEqual(settings.targetFileBytes);
  expect(compactionOf([file(200 << 20), file(100 << 20)], settings)).toEqual([]);
});

test('files that others wrote in a format that is not read here stay as they are', () => {
  const orc = files(20, 10_000).map((one) => ({ ...one, file: { ...one.file, format: 'orc' as const } }));
  expect(compactionOf(orc, settings)).toEqual([]);
});

test('endless small commits: few files, and a row is rewritten seldom', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`compaction seed ${seed}`);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 2_000, max: 200_000 }), { minLength: 1, maxLength: 8 }), (sizes) => {
      let table: CompactableFile[] = [];
      let written = 0;
      let rewritten = 0;
      let most = 0;
      for (let commit = 0; commit < 3_000; commit++) {
        const bytes = sizes[commit % sizes.length] ?? 0;
        written += bytes;
        table.push(file(bytes));
        const chosen = new Set(compactionOf(table, settings));
        if (chosen.size > 0) {
          const sum = [...chosen].reduce((total, one) => total + one.file.sizeBytes, 0);
          rewritten += sum;
          table = [...table.filter((one) => !chosen.has(one)), file(sum)];
        }
        most = Math.max(most, table.filter((one) => one.file.sizeBytes < settings.targetFileBytes / 2).length);
      }
      expect(most).toBeLessThanOrEqual(32);
      expect(rewritten / written).toBeLessThan(12);
    }),
    { seed, numRuns: 20 },
  );
});
