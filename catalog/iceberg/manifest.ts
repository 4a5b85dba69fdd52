import { DailiesError } from '../error.ts';
import { decodeContainer, encodeContainer } from './avro-container.ts';
import { ByteCache } from './byte-cache.ts';
import { printJson } from './json.ts';
import { readBytes } from './storage.ts';
import type { IcebergSchema } from './table-metadata.ts';

/*
 * Manifests (iceberg.apache.org/spec, Manifests): an Avro file of entries, each one data or delete file with its status
 * and statistics. An ADDED entry leaves its sequence numbers null and inherits them from the manifest list.
 */

type FileContent = 'data' | 'position-deletes' | 'equality-deletes';
type EntryStatus = 'existing' | 'added' | 'deleted';

/** A data or delete file of an unpartitioned table. Maps are by field id. */
export interface DataFile {
  content: FileContent;
  location: string;
  recordCount: number;
  sizeBytes: number;
  columnSizes: ReadonlyMap<number, number>;
  valueCounts: ReadonlyMap<number, number>;
  nullCounts: ReadonlyMap<number, number>;
  nanCounts: ReadonlyMap<number, number>;
  lowerBounds: ReadonlyMap<number, Uint8Array>;
  upperBounds: ReadonlyMap<number, Uint8Array>;
  /** Of position deletes that belong to one data file: its location. */
  referencedDataFile: string | null;
}

export interface ManifestEntry {
  status: EntryStatus;
  /** The snapshot that added the file, or that removed it where the status is deleted. */
  snapshotId: bigint;
  sequenceNumber: bigint;
  fileSequenceNumber: bigint;
  file: DataFile;
}

const statuses: readonly EntryStatus[] = ['existing', 'added', 'deleted'];
const contents: readonly FileContent[] = ['data', 'position-deletes', 'equality-deletes'];

const entrySchema = JSON.stringify({
  type: 'record',
  name: 'manifest_entry',
  fields: [
    { name: 'status', type: 'int', 'field-id': 0 },
    { name: 'snapshot_id', type: ['null', 'long'], default: null, 'field-id': 1 },
    { name: 'sequence_number', type: ['null', 'long'], default: null, 'field-id': 3 },
    { name: 'file_sequence_number', type: ['null', 'long'], default: null, 'field-id': 4 },
    {
      name: 'data_file',
      'field-id': 2,
      type: {
        type: 'record',
        name: 'r2',
        fields: [
          { name: 'content', type: 'int', 'field-id': 134 },
          { name: 'file_path', type: 'string', 'field-id': 100 },
          { name: 'file_format', type: 'string', 'field-id': 101 },
          { name: 'partition', type: { type: 'record', name: 'r102', fields: [] }, 'field-id': 102 },
          { name: 'record_count', type: 'long', 'field-id': 103 },
          { name: 'file_size_in_bytes', type: 'long', 'field-id': 104 },
          avroMap('column_sizes', 108, 117, 118, 'long'),
          avroMap('value_counts', 109, 119, 120, 'long'),
          avroMap('null_value_counts', 110, 121, 122, 'long'),
          avroMap('nan_value_counts', 137, 138, 139, 'long'),
          avroMap('lower_bounds', 125, 126, 127, 'bytes'),
          avroMap('upper_bounds', 128, 129, 130, 'bytes'),
          { name: 'key_metadata', type: ['null', 'bytes'], default: null, 'field-id': 131 },
          {
            name: 'split_offsets',
            type: ['null', { type: 'array', items: 'long', 'element-id': 133 }],
            default: null,
            'field-id': 132,
          },
          {
            name: 'equality_ids',
            type: ['null', { type: 'array', items: 'int', 'element-id': 136 }],
            default: null,
            'field-id': 135,
          },
          { name: 'sort_order_id', type: ['null', 'int'], default: null, 'field-id': 140 },
          { name: 'referenced_data_file', type: ['null', 'string'], default: null, 'field-id': 143 },
        ],
      },
    },
  ],
});

function avroMap(name: string, fieldId: number, keyId: number, valueId: number, value: 'long' | 'bytes'): object {
  const items = {
    type: 'record',
    name: `k${keyId}_v${valueId}`,
    fields: [
      { name: 'key', type: 'int', 'field-id': keyId },
      { name: 'value', type: value, 'field-id': valueId },
    ],
  };
  return {
    name,
    type: ['null', { type: 'array', logicalType: 'map', items }],
    default: null,
    'field-id': fieldId,
  };
}

/** The bytes of a manifest. Entries of status added inherit their sequence numbers when they are read. */
export function encodeManifest(
  entries: readonly ManifestEntry[],
  content: 'data' | 'deletes',
  schema: IcebergSchema,
): Buffer {
  const header = {
    schema: printJson(schema),
    'schema-id': String(schema['schema-id']),
    'partition-spec': '[]',
    'partition-spec-id': '0',
    'format-version': '2',
    content,
  };
  return encodeContainer(entrySchema, header, entries.map(toAvro));
}

function toAvro(entry: ManifestEntry): unknown {
  const { file } = entry;
  const isAdded = entry.status === 'added';
  return {
    status: statuses.indexOf(entry.status),
    snapshot_id: entry.snapshotId,
    sequence_number: isAdded ? null : entry.sequenceNumber,
    file_sequence_number: isAdded ? null : entry.fileSequenceNumber,
    data_file: {
      content: contents.indexOf(file.content),
      file_path: file.location,
      file_format: 'PARQUET',
      partition: {},
      record_count: BigInt(file.recordCount),
      file_size_in_bytes: BigInt(file.sizeBytes),
      column_sizes: longMap(file.columnSizes),
      value_counts: longMap(file.valueCounts),
      null_value_counts: longMap(file.nullCounts),
      nan_value_counts: longMap(file.nanCounts),
      lower_bounds: bytesMap(file.lowerBounds),
      upper_bounds: bytesMap(file.upperBounds),
      key_metadata: null,
      split_offsets: null,
      equality_ids: null,
      sort_order_id: file.content === 'position-deletes' ? null : 0,
      referenced_data_file: file.referencedDataFile,
    },
  };
}

function longMap(map: ReadonlyMap<number, number>): unknown {
  return map.size === 0 ? null : [...map].map(([key, value]) => ({ key, value: BigInt(value) }));
}

function bytesMap(map: ReadonlyMap<number, Uint8Array>): unknown {
  return map.size === 0 ? null : [...map].map(([key, value]) => ({ key, value: Buffer.from(value) }));
}

const cache = new ByteCache<readonly ManifestEntry[]>(64 << 20);

/** Where a manifest stands in its list: what its entries inherit. */
export interface ManifestReference {
  location: string;
  snapshotId: bigint;
  sequenceNumber: bigint;
}

/** All entries, deleted ones too, inherited values filled in. Throws `table_corrupt`. The answer is shared: never change it. */
export async function readManifest(manifest: ManifestReference): Promise<readonly ManifestEntry[]> {
  const cached = cache.get(manifest.location);
  if (cached) return cached;
  const bytes = await readBytes(manifest.location).catch((thrown: unknown) => {
    throw new DailiesError('table_corrupt', `The manifest ${manifest.location} cannot be read.`, { cause: thrown });
  });
  const { records } = decodeContainer(bytes, manifest.location);
  const entries = records.map((record) => fromAvro(record as AvroEntry, manifest));
  rememberManifest(manifest.location, entries);
  return entries;
}

/** Puts a manifest that was just written into the cache. */
export function rememberManifest(location: string, entries: readonly ManifestEntry[]): void {
  cache.set(location, entries, 200 + entries.reduce((sum, entry) => sum + entryBytes(entry), 0));
}

/** Rough memory of an entry: its maps hold six numbers or small buffers for each column. */
function entryBytes({ file }: ManifestEntry): number {
  const counts = file.columnSizes.size + file.valueCounts.size + file.nullCounts.size + file.nanCounts.size;
  return 1000 + counts * 40 + (file.lowerBounds.size + file.upperBounds.size) * 280;
}

// What Avro gives for the schema above; other writers may leave out optional fields.
interface AvroEntry {
  status: number;
  snapshot_id: bigint | null;
  sequence_number?: bigint | null;
  file_sequence_number?: bigint | null;
  data_file: {
    content?: number;
    file_path: string;
    record_count: bigint;
    file_size_in_bytes: bigint;
    column_sizes?: AvroMap<bigint> | null;
    value_counts?: AvroMap<bigint> | null;
    null_value_counts?: AvroMap<bigint> | null;
    nan_value_counts?: AvroMap<bigint> | null;
    lower_bounds?: AvroMap<Uint8Array> | null;
    upper_bounds?: AvroMap<Uint8Array> | null;
    referenced_data_file?: string | null;
  };
}
type AvroMap<T> = { key: number; value: T }[];

function fromAvro(entry: AvroEntry, manifest: ManifestReference): ManifestEntry {
  const file = entry.data_file;
  const sequenceNumber = entry.sequence_number ?? manifest.sequenceNumber;
  return {
    status: statuses[entry.status] ?? 'deleted',
    snapshotId: entry.snapshot_id ?? manifest.snapshotId,
    sequenceNumber,
    fileSequenceNumber: entry.file_sequence_number ?? manifest.sequenceNumber,
    file: {
      content: contents[file.content ?? 0] ?? 'data',
      location: file.file_path,
      recordCount: Number(file.record_count),
      sizeBytes: Number(file.file_size_in_bytes),
      columnSizes: numberMap(file.column_sizes),
      valueCounts: numberMap(file.value_counts),
      nullCounts: numberMap(file.null_value_counts),
      nanCounts: numberMap(file.nan_value_counts),
      lowerBounds: new Map(file.lower_bounds?.map(({ key, value }) => [key, value])),
      upperBounds: new Map(file.upper_bounds?.map(({ key, value }) => [key, value])),
      referencedDataFile: file.referenced_data_file ?? null,
    },
  };
}

function numberMap(map: AvroMap<bigint> | null | undefined): Map<number, number> {
  return new Map(map?.map(({ key, value }) => [key, Number(value)]));
}
