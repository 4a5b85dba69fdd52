import { DailiesError } from '../../error.ts';
import type { Value } from '../../schemas/schema.ts';
import type { PartitionColumn } from '../metadata/partition-spec.ts';
import type { DataFile, ManifestEntry, ManifestReference } from './manifest.ts';
import { partitionAvroSchema, partitionEncoder, partitionFields } from './partition-avro.ts';

/*
 * The Avro form of manifest entries (iceberg.apache.org/spec, Manifests): which fields there are by format version, and
 * reading by field id, since older writers name some of them otherwise.
 */
const statuses: readonly ManifestEntry['status'][] = ['existing', 'added', 'deleted'];
const contents: readonly DataFile['content'][] = ['data', 'position-deletes', 'equality-deletes'];
const formats: readonly DataFile['format'][] = ['parquet', 'avro', 'orc', 'puffin'];

const entryIds = { status: 0, snapshot_id: 1, sequence_number: 3, file_sequence_number: 4, data_file: 2 } as const;
const fileIds = {
  content: 134,
  file_path: 100,
  file_format: 101,
  partition: 102,
  record_count: 103,
  file_size_in_bytes: 104,
  column_sizes: 108,
  value_counts: 109,
  null_value_counts: 110,
  nan_value_counts: 137,
  lower_bounds: 125,
  upper_bounds: 128,
  key_metadata: 131,
  split_offsets: 132,
  equality_ids: 135,
  sort_order_id: 140,
  first_row_id: 142,
  referenced_data_file: 143,
  content_offset: 144,
  content_size_in_bytes: 145,
} as const;

/** The Avro schema of a manifest's entries, as JSON. */
export function entrySchema(formatVersion: 2 | 3, columns: readonly PartitionColumn[]): string {
  const required = (name: keyof typeof fileIds, type: unknown) => ({ name, type, 'field-id': fileIds[name] });
  const optional = (name: keyof typeof fileIds, type: unknown) => ({
    name,
    type: ['null', type],
    default: null,
    'field-id': fileIds[name],
  });
  const map = (name: keyof typeof fileIds, keyId: number, valueId: number, value: 'long' | 'bytes') =>
    optional(name, {
      type: 'array',
      logicalType: 'map',
      items: {
        type: 'record',
        name: `k${keyId}_v${valueId}`,
        fields: [
          { name: 'key', type: 'int', 'field-id': keyId },
          { name: 'value', type: value, 'field-id': valueId },
        ],
      },
    });
  const isThird = formatVersion === 3;
  const file = [
    required('content', 'int'),
    required('file_path', 'string'),
    required('file_format', 'string'),
    required('partition', partitionAvroSchema(columns)),
    required('record_count', 'long'),
    required('file_size_in_bytes', 'long'),
    map('column_sizes', 117, 118, 'long'),
    map('value_counts', 119, 120, 'long'),
    map('null_value_counts', 121, 122, 'long'),
    map('nan_value_counts', 138, 139, 'long'),
    map('lower_bounds', 126, 127, 'bytes'),
    map('upper_bounds', 129, 130, 'bytes'),
    optional('key_metadata', 'bytes'),
    optional('split_offsets', { type: 'array', items: 'long', 'element-id': 133 }),
    optional('equality_ids', { type: 'array', items: 'int', 'element-id': 136 }),
    optional('sort_order_id', 'int'),
    ...(isThird ? [optional('first_row_id', 'long')] : []),
    optional('referenced_data_file', 'string'),
    ...(isThird ? [optional('content_offset', 'long'), optional('content_size_in_bytes', 'long')] : []),
  ];
  return JSON.stringify({
    type: 'record',
    name: 'manifest_entry',
    fields: [
      { name: 'status', type: 'int', 'field-id': entryIds.status },
      { name: 'snapshot_id', type: ['null', 'long'], default: null, 'field-id': entryIds.snapshot_id },
      { name: 'sequence_number', type: ['null', 'long'], default: null, 'field-id': entryIds.sequence_number },
      {
        name: 'file_sequence_number',
        type: ['null', 'long'],
        default: null,
        'field-id': entryIds.file_sequence_number,
      },
      { name: 'data_file', 'field-id': entryIds.data_file, type: { type: 'record', name: 'r2', fields: file } },
    ],
  });
}

/** A function from entries to the values of `entrySchema`; fields that its version lacks are passed over. */
export function entryEncoder(columns: readonly PartitionColumn[]): (entry: ManifestEntry) => unknown {
  const encodePartition = partitionEncoder(columns);
  return (entry) => {
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
        file_format: file.format.toUpperCase(),
        partition: encodePartition(file.partition),
        record_count: BigInt(file.recordCount),
        file_size_in_bytes: BigInt(file.sizeBytes),
        column_sizes: longMap(file.columnSizes),
        value_counts: longMap(file.valueCounts),
        null_value_counts: longMap(file.nullCounts),
        nan_value_counts: longMap(file.nanCounts),
        lower_bounds: bytesMap(file.lowerBounds),
        upper_bounds: bytesMap(file.upperBounds),
        key_metadata: file.keyMetadata && Buffer.from(file.keyMetadata),
        split_offsets: file.splitOffsets?.map(BigInt) ?? null,
        equality_ids: file.equalityIds,
        sort_order_id: file.sortOrderId,
        first_row_id: file.firstRowId,
        referenced_data_file: file.referencedDataFile,
        content_offset: longOrNull(file.contentOffset),
        content_size_in_bytes: longOrNull(file.contentSizeBytes),
      },
    };
  };
}

function longOrNull(value: number | null): bigint | null {
  return value === null ? null : BigInt(value);
}

function longMap(map: ReadonlyMap<number, number>): unknown {
  return map.size === 0 ? null : [...map].map(([key, value]) => ({ key, value: BigInt(value) }));
}

function bytesMap(map: ReadonlyMap<number, Uint8Array>): unknown {
  return map.size === 0 ? null : [...map].map(([key, value]) => ({ key, value: Buffer.from(value) }));
}

type AvroRecord = Record<string, unknown>;
type AvroMap<T> = { key: number; value: T }[];
interface AvroRecordSchema {
  fields: { name: string; type: unknown; 'field-id'?: number }[];
}

/**
 * A function from a manifest's Avro records to entries, by the header of the file. Its entries inherit sequence numbers,
 * but not row ids. Throws `table_corrupt` for records without what is required, `unsupported` for later kinds of files.
 */
export function entryDecoder(
  header: ReadonlyMap<string, string>,
  manifest: ManifestReference,
): (record: unknown) => ManifestEntry {
  const entry = JSON.parse(header.get('avro.schema') ?? '') as AvroRecordSchema;
  const entryNames = namesById(entry);
  const fileSchema = entry.fields.find((field) => field['field-id'] === entryIds.data_file)?.type;
  if (!isRecordSchema(fileSchema)) throw corrupt(manifest, 'has no data files in it');
  const fileNames = namesById(fileSchema);
  const partitionSchema = fileSchema.fields.find((field) => field['field-id'] === fileIds.partition)?.type;
  const partition = inSpecOrder(partitionFields(partitionSchema), header.get('partition-spec'));
  return (value) => {
    const record = value as AvroRecord;
    const file = pick(record, entryNames, entryIds.data_file) as AvroRecord;
    const of = (name: keyof typeof fileIds): unknown => pick(file, fileNames, fileIds[name]);
    const requiredOf = (name: keyof typeof fileIds): unknown => {
      const found = of(name);
      if (found === null || found === undefined) throw corrupt(manifest, `has a file without ${name}`);
      return found;
    };
    const ofEntry = (id: number): bigint | null => (pick(record, entryNames, id) as bigint | null | undefined) ?? null;
    const status = statuses[Number(pick(record, entryNames, entryIds.status))];
    if (!status) throw corrupt(manifest, 'has an entry of no known status');
    const tuple = (of('partition') ?? {}) as AvroRecord;
    return {
      status,
      snapshotId: ofEntry(entryIds.snapshot_id) ?? manifest.snapshotId,
      sequenceNumber: ofEntry(entryIds.sequence_number) ?? manifest.sequenceNumber,
      fileSequenceNumber: ofEntry(entryIds.file_sequence_number) ?? manifest.sequenceNumber,
      file: {
        content: knownOf(contents, Number(of('content') ?? 0), manifest),
        format: formatOf(String(requiredOf('file_format')), manifest),
        location: String(requiredOf('file_path')),
        specId: manifest.specId,
        partition: partition.map((field): Value => field.read(tuple[field.name])),
        recordCount: Number(requiredOf('record_count')),
        sizeBytes: Number(requiredOf('file_size_in_bytes')),
        columnSizes: numberMap(of('column_sizes')),
        valueCounts: numberMap(of('value_counts')),
        nullCounts: numberMap(of('null_value_counts')),
        nanCounts: numberMap(of('nan_value_counts')),
        lowerBounds: byteMap(of('lower_bounds')),
        upperBounds: byteMap(of('upper_bounds')),
        keyMetadata: (of('key_metadata') as Uint8Array | null | undefined) ?? null,
        splitOffsets: (of('split_offsets') as bigint[] | null | undefined)?.map(Number) ?? null,
        equalityIds: (of('equality_ids') as number[] | null | undefined) ?? null,
        sortOrderId: (of('sort_order_id') as number | null | undefined) ?? null,
        referencedDataFile: (of('referenced_data_file') as string | null | undefined) ?? null,
        contentOffset: numberOrNull(of('content_offset')),
        contentSizeBytes: numberOrNull(of('content_size_in_bytes')),
        firstRowId: (of('first_row_id') as bigint | null | undefined) ?? null,
      },
    };
  };
}

function namesById(record: AvroRecordSchema): Map<number, string> {
  return new Map(record.fields.flatMap(({ name, 'field-id': id }) => (id === undefined ? [] : [[id, name]])));
}

function isRecordSchema(schema: unknown): schema is AvroRecordSchema {
  return typeof schema === 'object' && schema !== null && 'fields' in schema && Array.isArray(schema.fields);
}

function pick(record: AvroRecord, names: ReadonlyMap<number, string>, id: number): unknown {
  const name = names.get(id);
  return name === undefined ? undefined : record[name];
}

// The tuple follows the spec's field order, whatever the order in the file.
function inSpecOrder<T extends { fieldId: number }>(fields: readonly T[], spec: string | undefined): readonly T[] {
  if (fields.length < 2 || spec === undefined) return fields;
  const parsed: unknown = JSON.parse(spec);
  const ids = Array.isArray(parsed) ? parsed.map((field: { 'field-id'?: unknown }) => field['field-id']) : [];
  const ordered = ids.flatMap((id) => fields.find((field) => field.fieldId === id) ?? []);
  return ordered.length === fields.length ? ordered : fields;
}

function knownOf<T>(known: readonly T[], index: number, manifest: ManifestReference): T {
  const found = known[index];
  if (found === undefined) {
    throw new DailiesError(
      'unsupported',
      `The manifest ${manifest.location} lists files of content ${index}, which a later version of Iceberg writes.`,
    );
  }
  return found;
}

function formatOf(text: string, manifest: ManifestReference): DataFile['format'] {
  const format = formats.find((known) => known === text.toLowerCase());
  if (!format) {
    throw new DailiesError(
      'unsupported',
      `The manifest ${manifest.location} lists files in the format ${text}, which is not known here.`,
    );
  }
  return format;
}

function corrupt(manifest: ManifestReference, what: string): DailiesError {
  return new DailiesError('table_corrupt', `The manifest ${manifest.location} ${what}.`);
}

function numberOrNull(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}

function numberMap(map: unknown): Map<number, number> {
  return new Map((map as AvroMap<bigint> | null | undefined)?.map(({ key, value }) => [key, Number(value)]));
}

function byteMap(map: unknown): Map<number, Uint8Array> {
  return new Map((map as AvroMap<Uint8Array> | null | undefined)?.map(({ key, value }) => [key, value]));
}
