import { isDeletionVector } from '../files/deletion-vector.ts';
import { tupleKey } from '../files/partitioner.ts';
import type { ManifestEntry } from '../manifests/manifest.ts';
import type { ManifestFile } from '../manifests/manifest-list.ts';
import type { Snapshot } from '../metadata/table-metadata.ts';

const countedOn: readonly string[] = ['total-data-files', 'total-records', 'total-position-deletes'];

/**
 * What a snapshot's summary tells of its files (iceberg.apache.org/spec, Optional Snapshot Summary Fields): what was added
 * and removed, and the table's totals after it.
 */
export function snapshotTotals(
  parent: Snapshot | null,
  added: readonly ManifestEntry[],
  removed: readonly ManifestEntry[],
  manifests: readonly ManifestFile[],
): Record<string, string> {
  const plus = countFiles(added);
  const minus = countFiles(removed);
  const partitions = new Set([...added, ...removed].map(({ file }) => `${file.specId} ${tupleKey(file.partition)}`));
  const changed: Record<string, number> = {
    'added-data-files': plus.dataFiles,
    'added-records': plus.rows,
    'added-delete-files': plus.deleteFiles,
    'added-position-delete-files': plus.positionDeleteFiles,
    'added-equality-delete-files': plus.equalityDeleteFiles,
    'added-dvs': plus.deletionVectors,
    'added-position-deletes': plus.positionDeletes,
    'added-files-size': plus.bytes,
    'deleted-data-files': minus.dataFiles,
    'deleted-records': minus.rows,
    'removed-delete-files': minus.deleteFiles,
    'removed-position-delete-files': minus.positionDeleteFiles,
    'removed-equality-delete-files': minus.equalityDeleteFiles,
    'removed-dvs': minus.deletionVectors,
    'removed-position-deletes': minus.positionDeletes,
    'removed-equality-deletes': minus.equalityDeletes,
    'removed-files-size': minus.bytes,
    'changed-partition-count': partitions.size,
  };
  const before = (key: string) => Number(parent?.summary[key] ?? 0);
  const totals: Record<string, number> = {
    ...countLive(manifests),
    'total-equality-deletes': Math.max(0, before('total-equality-deletes') - minus.equalityDeletes),
    'total-files-size': Math.max(0, before('total-files-size') + plus.bytes - minus.bytes),
  };
  totals['total-position-deletes'] = (totals['total-position-deletes'] ?? 0) - (totals['total-equality-deletes'] ?? 0);
  // Zeros are left out, for every snapshot is kept long; not of totals that other writers go on counting from.
  const told = [
    ...Object.entries(changed).filter(([, value]) => value > 0),
    ...Object.entries(totals).filter(([key, value]) => value > 0 || countedOn.includes(key)),
  ];
  return Object.fromEntries(told.map(([key, value]) => [key, String(value)]));
}

function countFiles(entries: readonly ManifestEntry[]) {
  const count = {
    dataFiles: 0,
    rows: 0,
    deleteFiles: 0,
    positionDeleteFiles: 0,
    equalityDeleteFiles: 0,
    deletionVectors: 0,
    positionDeletes: 0,
    equalityDeletes: 0,
    bytes: 0,
  };
  for (const { file } of entries) {
    count.bytes += file.contentSizeBytes ?? file.sizeBytes;
    if (file.content === 'data') {
      count.dataFiles += 1;
      count.rows += file.recordCount;
      continue;
    }
    count.deleteFiles += 1;
    if (file.content === 'equality-deletes') {
      count.equalityDeleteFiles += 1;
      count.equalityDeletes += file.recordCount;
      continue;
    }
    count[isDeletionVector(file) ? 'deletionVectors' : 'positionDeleteFiles'] += 1;
    count.positionDeletes += file.recordCount;
  }
  return count;
}

// Manifests do not tell position deletes from equality deletes: of those the parent's total is taken off.
function countLive(manifests: readonly ManifestFile[]): Record<string, number> {
  const count = { dataFiles: 0, rows: 0, deleteFiles: 0, deletes: 0 };
  for (const manifest of manifests) {
    const files = manifest.addedFiles + manifest.existingFiles;
    const rows = manifest.addedRows + manifest.existingRows;
    if (manifest.content === 'data') {
      count.dataFiles += files;
      count.rows += rows;
    } else {
      count.deleteFiles += files;
      count.deletes += rows;
    }
  }
  return {
    'total-data-files': count.dataFiles,
    'total-records': count.rows,
    'total-delete-files': count.deleteFiles,
    'total-position-deletes': count.deletes,
  };
}
