import { DailiesError } from '../error.ts';
import { decodeContainer, encodeContainer } from './avro-container.ts';
import { ByteCache } from './byte-cache.ts';
import type { ManifestEntry, ManifestReference } from './manifest.ts';
import { readBytes } from './storage.ts';

/** One manifest of a snapshot (iceberg.apache.org/spec, Manifest Lists). Counts are of files and of their rows. */
export interface ManifestFile extends ManifestReference {
  lengthBytes: number;
  content: 'data' | 'deletes';
  minSequenceNumber: bigint;
  addedFiles: number;
  existingFiles: number;
  deletedFiles: number;
  addedRows: number;
  existingRows: number;
  deletedRows: number;
}

const listSchema = JSON.stringify({
  type: 'record',
  name: 'manifest_file',
  fields: [
    { name: 'manifest_path', type: 'string', 'field-id': 500 },
    { name: 'manifest_length', type: 'long', 'field-id': 501 },
    { name: 'partition_spec_id', type: 'int', 'field-id': 502 },
    { name: 'content', type: 'int', 'field-id': 517 },
    { name: 'sequence_number', type: 'long', 'field-id': 515 },
    { name: 'min_sequence_number', type: 'long', 'field-id': 516 },
    { name: 'added_snapshot_id', type: 'long', 'field-id': 503 },
    { name: 'added_files_count', type: 'int', 'field-id': 504 },
    { name: 'existing_files_count', type: 'int', 'field-id': 505 },
    { name: 'deleted_files_count', type: 'int', 'field-id': 506 },
    { name: 'added_rows_count', type: 'long', 'field-id': 512 },
    { name: 'existing_rows_count', type: 'long', 'field-id': 513 },
    { name: 'deleted_rows_count', type: 'long', 'field-id': 514 },
    {
      name: 'partitions',
      type: [
        'null',
        {
          type: 'array',
          'element-id': 508,
          items: {
            type: 'record',
            name: 'r508',
            fields: [
              { name: 'contains_null', type: 'boolean', 'field-id': 509 },
              { name: 'contains_nan', type: ['null', 'boolean'], default: null, 'field-id': 518 },
              { name: 'lower_bound', type: ['null', 'bytes'], default: null, 'field-id': 510 },
              { name: 'upper_bound', type: ['null', 'bytes'], default: null, 'field-id': 511 },
            ],
          },
        },
      ],
      default: null,
      'field-id': 507,
    },
    { name: 'key_metadata', type: ['null', 'bytes'], default: null, 'field-id': 519 },
  ],
});

/** A manifest's line in the list, counted from its entries. */
export function describeManifest(
  manifest: ManifestReference & { lengthBytes: number; content: 'data' | 'deletes' },
  entries: readonly ManifestEntry[],
): ManifestFile {
  const files = { added: 0, existing: 0, deleted: 0 };
  const rows = { added: 0, existing: 0, deleted: 0 };
  let minSequenceNumber = manifest.sequenceNumber;
  for (const entry of entries) {
    files[entry.status] += 1;
    rows[entry.status] += entry.file.recordCount;
    if (entry.status !== 'deleted' && entry.sequenceNumber < minSequenceNumber) {
      minSequenceNumber = entry.sequenceNumber;
    }
  }
  return {
    ...manifest,
    minSequenceNumber,
    addedFiles: files.added,
    existingFiles: files.existing,
    deletedFiles: files.deleted,
    addedRows: rows.added,
    existingRows: rows.existing,
    deletedRows: rows.deleted,
  };
}

export function encodeManifestList(
  manifests: readonly ManifestFile[],
  snapshot: { id: bigint; parentId: bigint | null; sequenceNumber: bigint },
): Buffer {
  const header = {
    'snapshot-id': String(snapshot.id),
    'parent-snapshot-id': String(snapshot.parentId),
    'sequence-number': String(snapshot.sequenceNumber),
    'format-version': '2',
  };
  return encodeContainer(
    listSchema,
    header,
    manifests.map((manifest) => ({
      manifest_path: manifest.location,
      manifest_length: BigInt(manifest.lengthBytes),
      partition_spec_id: 0,
      content: manifest.content === 'data' ? 0 : 1,
      sequence_number: manifest.sequenceNumber,
      min_sequence_number: manifest.minSequenceNumber,
      added_snapshot_id: manifest.snapshotId,
      added_files_count: manifest.addedFiles,
      existing_files_count: manifest.existingFiles,
      deleted_files_count: manifest.deletedFiles,
      added_rows_count: BigInt(manifest.addedRows),
      existing_rows_count: BigInt(manifest.existingRows),
      deleted_rows_count: BigInt(manifest.deletedRows),
      partitions: [],
      key_metadata: null,
    })),
  );
}

const cache = new ByteCache<readonly ManifestFile[]>(32 << 20);

/** The manifests of a snapshot. Throws `table_corrupt`. The answer is shared: never change it. */
export async function readManifestList(location: string): Promise<readonly ManifestFile[]> {
  const cached = cache.get(location);
  if (cached) return cached;
  const bytes = await readBytes(location).catch((thrown: unknown) => {
    throw new DailiesError('table_corrupt', `The manifest list ${location} cannot be read.`, { cause: thrown });
  });
  const manifests = decodeContainer(bytes, location).records.map((record) => fromAvro(record as AvroManifestFile));
  rememberManifestList(location, manifests);
  return manifests;
}

/** Puts a manifest list that was just written into the cache. */
export function rememberManifestList(location: string, manifests: readonly ManifestFile[]): void {
  cache.set(location, manifests, 200 + manifests.length * 400);
}

interface AvroManifestFile {
  manifest_path: string;
  manifest_length: bigint;
  content: number;
  sequence_number: bigint;
  min_sequence_number: bigint;
  added_snapshot_id: bigint;
  added_files_count: number;
  existing_files_count: number;
  deleted_files_count: number;
  added_rows_count: bigint;
  existing_rows_count: bigint;
  deleted_rows_count: bigint;
}

function fromAvro(record: AvroManifestFile): ManifestFile {
  return {
    location: record.manifest_path,
    lengthBytes: Number(record.manifest_length),
    content: record.content === 1 ? 'deletes' : 'data',
    sequenceNumber: record.sequence_number,
    minSequenceNumber: record.min_sequence_number,
    snapshotId: record.added_snapshot_id,
    addedFiles: record.added_files_count,
    existingFiles: record.existing_files_count,
    deletedFiles: record.deleted_files_count,
    addedRows: Number(record.added_rows_count),
    existingRows: Number(record.existing_rows_count),
    deletedRows: Number(record.deleted_rows_count),
  };
}
