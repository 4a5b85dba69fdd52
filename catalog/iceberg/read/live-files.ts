import { DailiesError } from '../../error.ts';
import { isDeletionVector } from '../files/deletion-vector.ts';
import { tupleKey } from '../files/partitioner.ts';
import { type DataFile, type ManifestEntry, readManifest } from '../manifests/manifest.ts';
import { type ManifestFile, readManifestList } from '../manifests/manifest-list.ts';
import type { Snapshot } from '../metadata/table-metadata.ts';
import { inParallel } from '../storage/in-parallel.ts';

/** Field id of `file_path` in position delete files (iceberg.apache.org/spec, Reserved Field IDs). */
export const deletePathFieldId = 2147483546;
export const deletePositionFieldId = 2147483545;

/** A data file of a snapshot with the deletes that apply to it. */
export interface LiveFile {
  data: ManifestEntry;
  /** Position deletes: one deletion vector, or any number of position delete files. */
  deletes: ManifestEntry[];
}

/** A data file with the equality deletes that apply to it, too: other engines write those, we never do. */
export interface ScannedFile extends LiveFile {
  equalityDeletes: ManifestEntry[];
}

interface LiveFiles {
  manifests: readonly ManifestFile[];
  files: LiveFile[];
}

/** The files that make up a snapshot, in manifest order. Throws `unsupported` where it has equality deletes. */
export async function readLiveFiles(snapshot: Snapshot): Promise<LiveFiles> {
  const { manifests, files } = await readScannedFiles(snapshot);
  if (files.some((file) => file.equalityDeletes.length > 0)) {
    throw new DailiesError(
      'unsupported',
      'The table has equality deletes, written by another engine: it can be read, but not be written here before its data files are rewritten there.',
    );
  }
  return { manifests, files };
}

/** In S3 each takes tens of milliseconds, most of it waiting. */
const manifestsAtOnce = 16;

/** What a scan need not look at. */
export interface FileFilter {
  mayHoldRows(manifest: ManifestFile): boolean;
  mayMatch(file: DataFile): boolean;
}

/**
 * The files that make up a snapshot, in manifest order, with all their deletes; without data files that `filter` rules out.
 * Which deletes apply to a file: spec, Scan Planning.
 */
export async function readScannedFiles(
  snapshot: Snapshot,
  filter?: FileFilter,
): Promise<{ manifests: readonly ManifestFile[]; files: ScannedFile[] }> {
  const manifests = await readManifestList(snapshot['manifest-list']);
  const files = new Map<string, ScannedFile>();
  const deletes: ManifestEntry[] = [];
  const wanted = manifests.filter((manifest) => manifest.content !== 'data' || !filter || filter.mayHoldRows(manifest));
  for (const entries of await inParallel(wanted, manifestsAtOnce, readManifest)) {
    for (const entry of entries) {
      if (entry.status === 'deleted') continue;
      if (entry.file.content !== 'data') deletes.push(entry);
      else if (!filter || filter.mayMatch(entry.file)) {
        files.set(entry.file.location, { data: entry, deletes: [], equalityDeletes: [] });
      }
    }
  }
  const byPartition = Map.groupBy(files.values(), (file) => partitionKey(file.data.file));
  for (const entry of deletes) {
    if (entry.file.content === 'equality-deletes') attachEqualityDeletes(files, byPartition, entry);
    else attachPositionDeletes(files, byPartition, entry);
  }
  for (const file of files.values()) {
    // Of a file that has a deletion vector, position deletes are in it already.
    const vector = file.deletes.find((entry) => isDeletionVector(entry.file));
    if (vector) file.deletes = [vector];
  }
  return { manifests, files: [...files.values()] };
}

function partitionKey(file: DataFile): string {
  return `${file.specId} ${tupleKey(file.partition)}`;
}

type Partitions = ReadonlyMap<string, ScannedFile[]>;

function attachPositionDeletes(
  files: ReadonlyMap<string, ScannedFile>,
  partitions: Partitions,
  deletes: ManifestEntry,
) {
  const location = deletes.file.referencedDataFile ?? soleDataFile(deletes);
  const candidates = location === null ? (partitions.get(partitionKey(deletes.file)) ?? []) : [files.get(location)];
  for (const file of candidates) {
    if (file && file.data.sequenceNumber <= deletes.sequenceNumber) file.deletes.push(deletes);
  }
}

// An unpartitioned equality delete is global: it applies whatever partition spec a data file has.
function attachEqualityDeletes(
  files: ReadonlyMap<string, ScannedFile>,
  partitions: Partitions,
  deletes: ManifestEntry,
) {
  const isGlobal = deletes.file.partition.length === 0;
  const candidates = isGlobal ? files.values() : (partitions.get(partitionKey(deletes.file)) ?? []);
  for (const file of candidates) {
    if (file.data.sequenceNumber < deletes.sequenceNumber) file.equalityDeletes.push(deletes);
  }
}

// Bounds of file_path that are equal name the only data file (writers older than referenced_data_file).
function soleDataFile(deletes: ManifestEntry): string | null {
  const lower = deletes.file.lowerBounds.get(deletePathFieldId);
  const upper = deletes.file.upperBounds.get(deletePathFieldId);
  if (!lower || !upper || Buffer.compare(lower, upper) !== 0) return null;
  return Buffer.from(lower).toString();
}
