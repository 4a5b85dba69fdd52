import { DailiesError } from '../../error.ts';
import { partitionColumns } from '../metadata/partition-spec.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import { readTableFile } from '../storage.ts';
import { decodeContainer, encodeContainer } from './avro-container.ts';
import { ByteCache } from './byte-cache.ts';
import type { ManifestEntry, ManifestReference } from './manifest.ts';
import { type FieldSummary, partitionSummaries } from './partition-summary.ts';

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
  /** One for each field of the partition spec; empty where the writer left them out. */
  partitions: readonly FieldSummary[];
  keyMetadata: Uint8Array | null;
}

const ids = {
  manifest_path: 500,
  manifest_length: 501,
  partition_spec_id: 502,
  content: 517,
  sequence_number: 515,
  min_sequence_number: 516,
  added_snapshot_id: 503,
  added_files_count: 504,
  existing_files_count: 505,
  deleted_files_count: 506,
  added_rows_count: 512,
  existing_rows_count: 513,
  deleted_rows_count: 514,
  partitions: 507,
  key_metadata: 519,
  first_row_id: 520,
} as const;

function listSchema(formatVersion: 2 | 3): string {
  const required = (name: keyof typeof ids, type: unknown) => ({ name, type, 'field-id': ids[name] });
  const optional = (name: keyof typeof ids, type: unknown) => ({
    name,
    type: ['null', type],
    default: null,
    'field-id': ids[name],
  });
  return JSON.stringify({
    type: 'record',
    name: 'manifest_file',
    fields: [
      required('manifest_path', 'string'),
      required('manifest_length', 'long'),
      required('partition_spec_id', 'int'),
      required('content', 'int'),
      required('sequence_number', 'long'),
      required('min_sequence_number', 'long'),
      required('added_snapshot_id', 'long'),
      required('added_files_count', 'int'),
      required('existing_files_count', 'int'),
      required('deleted_files_count', 'int'),
      required('added_rows_count', 'long'),
      required('existing_rows_count', 'long'),
      required('deleted_rows_count', 'long'),
      optional('partitions', {
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
      }),
      optional('key_metadata', 'bytes'),
      ...(formatVersion === 3 ? [optional('first_row_id', 'long')] : []),
    ],
  });
}

/** A manifest's line in the list, counted from its entries; they follow the manifest's spec in `metadata`. */
export function describeManifest(
  manifest: ManifestReference & { lengthBytes: number; content: 'data' | 'deletes' },
  entries: readonly ManifestEntry[],
  metadata: TableMetadata,
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
    partitions: partitionSummaries(
      partitionColumns(metadata, manifest.specId),
      entries.map((entry) => entry.file.partition),
    ),
    keyMetadata: null,
  };
}

/** The bytes of a manifest list. `firstRowId` is the snapshot's, of format 3. */
export function encodeManifestList(
  manifests: readonly ManifestFile[],
  snapshot: { id: bigint; parentId: bigint | null; sequenceNumber: bigint; firstRowId?: bigint | null },
  formatVersion: 2 | 3 = 2,
): Buffer {
  const header = {
    'snapshot-id': String(snapshot.id),
    'parent-snapshot-id': String(snapshot.parentId),
    'sequence-number': String(snapshot.sequenceNumber),
    'format-version': String(formatVersion),
    ...(formatVersion === 3 ? { 'first-row-id': String(snapshot.firstRowId ?? null) } : {}),
  };
  return encodeContainer(
    listSchema(formatVersion),
    header,
    manifests.map((manifest) => ({
      manifest_path: manifest.location,
      manifest_length: BigInt(manifest.lengthBytes),
      partition_spec_id: manifest.specId,
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
      partitions: manifest.partitions.map((summary) => ({
        contains_null: summary.containsNull,
        contains_nan: summary.containsNan,
        lower_bound: summary.lowerBound && Buffer.from(summary.lowerBound),
        upper_bound: summary.upperBound && Buffer.from(summary.upperBound),
      })),
      key_metadata: manifest.keyMetadata && Buffer.from(manifest.keyMetadata),
      first_row_id: manifest.firstRowId,
    })),
  );
}

const cache = new ByteCache<readonly ManifestFile[]>(32 << 20);

/** The manifests of a snapshot. Throws `table_corrupt`. The answer is shared: never change it. */
export async function readManifestList(location: string): Promise<readonly ManifestFile[]> {
  const cached = cache.get(location);
  if (cached) return cached;
  const bytes = await readTableFile(location, 'The manifest list');
  const { header, records } = decodeContainer(bytes, location);
  const manifests = records.map(manifestDecoder(header, location));
  rememberManifestList(location, manifests);
  return manifests;
}

/** Puts a manifest list that was just written into the cache. */
export function rememberManifestList(location: string, manifests: readonly ManifestFile[]): void {
  cache.set(location, manifests, 200 + manifests.length * 400);
}

interface AvroSummary {
  contains_null: boolean;
  contains_nan?: boolean | null;
  lower_bound?: Uint8Array | null;
  upper_bound?: Uint8Array | null;
}

/** A function from the list's Avro records to manifests, by the header of the file: fields are found by their ids. */
function manifestDecoder(header: ReadonlyMap<string, string>, location: string): (record: unknown) => ManifestFile {
  const schema = JSON.parse(header.get('avro.schema') ?? '') as { fields: { name: string; 'field-id'?: number }[] };
  const names = new Map(schema.fields.map((field) => [field['field-id'], field.name]));
  return (record) => {
    const of = (name: keyof typeof ids): unknown => {
      const written = names.get(ids[name]);
      return (written === undefined ? undefined : (record as Record<string, unknown>)[written]) ?? null;
    };
    const required = <T>(name: keyof typeof ids): T => {
      const value = of(name);
      if (value === null) {
        throw new DailiesError('table_corrupt', `The manifest list ${location} has a manifest without ${name}.`);
      }
      return value as T;
    };
    const content = of('content') ?? 0;
    if (content !== 0 && content !== 1) {
      throw new DailiesError(
        'unsupported',
        `The manifest list ${location} has a manifest of content ${content}, which a later version of Iceberg writes.`,
      );
    }
    // Counts that a writer left out may be anything: a manifest with such is never passed over.
    const count = (name: keyof typeof ids, unknown: number) => Number(of(name) ?? unknown);
    return {
      location: required('manifest_path'),
      lengthBytes: Number(required('manifest_length')),
      specId: (of('partition_spec_id') as number | null) ?? 0,
      content: content === 1 ? 'deletes' : 'data',
      sequenceNumber: (of('sequence_number') as bigint | null) ?? 0n,
      minSequenceNumber: (of('min_sequence_number') as bigint | null) ?? 0n,
      snapshotId: required('added_snapshot_id'),
      addedFiles: count('added_files_count', 1),
      existingFiles: count('existing_files_count', 1),
      deletedFiles: count('deleted_files_count', 1),
      addedRows: count('added_rows_count', 1),
      existingRows: count('existing_rows_count', 1),
      deletedRows: count('deleted_rows_count', 1),
      partitions: ((of('partitions') as AvroSummary[] | null) ?? []).map((summary) => ({
        containsNull: summary.contains_null,
        containsNan: summary.contains_nan ?? null,
        lowerBound: summary.lower_bound ?? null,
        upperBound: summary.upper_bound ?? null,
      })),
      keyMetadata: (of('key_metadata') as Uint8Array | null) ?? null,
      firstRowId: (of('first_row_id') as bigint | null) ?? null,
    };
  };
}
