import { DailiesError } from '../../error.ts';
import type { Value } from '../../schemas/schema.ts';
import { printJson } from '../metadata/json.ts';
import { partitionColumns, partitionSpecOf } from '../metadata/partition-spec.ts';
import { schemaOf, type TableMetadata } from '../metadata/table-metadata.ts';
import { readTableFile } from '../storage.ts';
import { decodeContainer, encodeContainer } from './avro-container.ts';
import { ByteCache } from './byte-cache.ts';
import { entryDecoder, entryEncoder, entrySchema } from './manifest-avro.ts';

/*
 * Manifests (iceberg.apache.org/spec, Manifests): an Avro file of entries, each one data or delete file with its status
 * and statistics, all of one partition spec. An ADDED entry leaves its sequence numbers null and inherits them from the
 * manifest list, as do row ids (format 3).
 */

/** A data or delete file. Maps are by field id. */
export interface DataFile {
  content: 'data' | 'position-deletes' | 'equality-deletes';
  /** `puffin` for deletion vectors, which are position deletes of format 3. */
  format: 'parquet' | 'avro' | 'orc' | 'puffin';
  location: string;
  /** The partition spec that the file follows. */
  specId: number;
  /** A value for each of the spec's fields, in their order; of a type as the column had it when the file was written. */
  partition: readonly Value[];
  recordCount: number;
  sizeBytes: number;
  columnSizes: ReadonlyMap<number, number>;
  valueCounts: ReadonlyMap<number, number>;
  nullCounts: ReadonlyMap<number, number>;
  nanCounts: ReadonlyMap<number, number>;
  lowerBounds: ReadonlyMap<number, Uint8Array>;
  upperBounds: ReadonlyMap<number, Uint8Array>;
  keyMetadata: Uint8Array | null;
  /** Where a reader may split the file, in bytes from its start. */
  splitOffsets: readonly number[] | null;
  /** Of equality deletes: the field ids that they compare. */
  equalityIds: readonly number[] | null;
  sortOrderId: number | null;
  /** Of position deletes that belong to one data file: its location. */
  referencedDataFile: string | null;
  /** Of a deletion vector: where its blob starts in the file, and its length. */
  contentOffset: number | null;
  contentSizeBytes: number | null;
  /** Of a data file of format 3: the id of its first row; null until the file's first commit. */
  firstRowId: bigint | null;
}

/** What a plain Parquet file of an unpartitioned table has nothing to say about. */
export const plainFile = {
  format: 'parquet',
  specId: 0,
  partition: [],
  keyMetadata: null,
  splitOffsets: null,
  equalityIds: null,
  sortOrderId: null,
  referencedDataFile: null,
  contentOffset: null,
  contentSizeBytes: null,
  firstRowId: null,
} as const satisfies Partial<DataFile>;

/** The same of a data file whose rows stand in no order. */
export const plainDataFile = { ...plainFile, content: 'data', sortOrderId: 0 } as const satisfies Partial<DataFile>;

export interface ManifestEntry {
  status: 'existing' | 'added' | 'deleted';
  /** The snapshot that added the file, or that removed it where the status is deleted. */
  snapshotId: bigint;
  sequenceNumber: bigint;
  fileSequenceNumber: bigint;
  file: DataFile;
}

/**
 * The bytes of a manifest in the table's format, with its current schema. All files follow the spec. Entries of status
 * added inherit their sequence numbers when they are read. Throws `unsupported` for a table of format 1.
 */
export function encodeManifest(
  entries: readonly ManifestEntry[],
  content: 'data' | 'deletes',
  metadata: TableMetadata,
  specId = metadata['default-spec-id'],
): Buffer {
  const formatVersion = metadata['format-version'];
  if (formatVersion === 1) {
    throw new DailiesError(
      'unsupported',
      `The table at ${metadata.location} is of format 1, which is only read here. Upgrade it to format version 2.`,
    );
  }
  const columns = partitionColumns(metadata, specId);
  const schema = schemaOf(metadata);
  const header = {
    schema: printJson(schema),
    'schema-id': String(schema['schema-id']),
    'partition-spec': printJson(partitionSpecOf(metadata, specId).fields),
    'partition-spec-id': String(specId),
    'format-version': String(formatVersion),
    content,
  };
  return encodeContainer(entrySchema(formatVersion, columns), header, entries.map(entryEncoder(columns)));
}

const cache = new ByteCache<readonly ManifestEntry[]>(64 << 20);

/** Where a manifest stands in its list: what its entries inherit. */
export interface ManifestReference {
  location: string;
  snapshotId: bigint;
  sequenceNumber: bigint;
  /** The partition spec that all of its files follow. */
  specId: number;
  /** Format 3, data manifests: the id of the first row that has none of its own. */
  firstRowId: bigint | null;
}

/** All entries, deleted ones too, inherited values filled in. Throws `table_corrupt`. The answer is shared: never change it. */
export async function readManifest(manifest: ManifestReference): Promise<readonly ManifestEntry[]> {
  const cached = cache.get(manifest.location);
  if (cached) return cached;
  const bytes = await readTableFile(manifest.location, 'The manifest');
  const { header, records } = decodeContainer(bytes, manifest.location);
  const entries = withRowIds(records.map(entryDecoder(header, manifest)), manifest.firstRowId);
  rememberManifest(manifest.location, entries);
  return entries;
}

/**
 * Entries whose live data files without a row id have the next ones, as readers give them (spec, Row Lineage): in their
 * order from the manifest's first. Without one, as in format 2, no file has any.
 */
export function withRowIds(entries: readonly ManifestEntry[], firstRowId: bigint | null): ManifestEntry[] {
  let next = firstRowId;
  return entries.map((entry) => {
    const { file } = entry;
    if (next === null || file.content !== 'data' || entry.status === 'deleted' || file.firstRowId !== null) {
      return entry;
    }
    const withId = { ...entry, file: { ...file, firstRowId: next } };
    next += BigInt(file.recordCount);
    return withId;
  });
}

/** Puts a manifest that was just written into the cache, with what readers will inherit filled in. */
export function rememberManifest(location: string, entries: readonly ManifestEntry[]): void {
  cache.set(location, entries, 200 + entries.reduce((sum, entry) => sum + entryBytes(entry), 0));
}

/** Rough memory of an entry: its maps hold six numbers or small buffers for each column. */
function entryBytes({ file }: ManifestEntry): number {
  const counts = file.columnSizes.size + file.valueCounts.size + file.nullCounts.size + file.nanCounts.size;
  return 1000 + counts * 40 + (file.lowerBounds.size + file.upperBounds.size) * 280;
}
