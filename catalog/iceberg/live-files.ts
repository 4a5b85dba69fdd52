import { DailiesError } from '../error.ts';
import { type ManifestEntry, readManifest } from './manifest.ts';
import { type ManifestFile, readManifestList } from './manifest-list.ts';
import type { Snapshot } from './table-metadata.ts';

/** Field id of `file_path` in position delete files (iceberg.apache.org/spec, Reserved Field IDs). */
export const deletePathFieldId = 2147483546;
export const deletePositionFieldId = 2147483545;

/** A data file of a snapshot with the position deletes that apply to it. */
export interface LiveFile {
  data: ManifestEntry;
  deletes: ManifestEntry[];
}

interface LiveFiles {
  manifests: readonly ManifestFile[];
  files: LiveFile[];
}

/** The files that make up a snapshot, in manifest order. Throws `unsupported` where it has equality deletes. */
export async function readLiveFiles(snapshot: Snapshot): Promise<LiveFiles> {
  const manifests = await readManifestList(snapshot['manifest-list']);
  const files = new Map<string, LiveFile>();
  const deletes: ManifestEntry[] = [];
  for (const manifest of manifests) {
    for (const entry of await readManifest(manifest)) {
      if (entry.status === 'deleted') continue;
      if (entry.file.content === 'data') files.set(entry.file.location, { data: entry, deletes: [] });
      else deletes.push(entry);
    }
  }
  for (const entry of deletes) attachDeletes(files, entry);
  return { manifests, files: [...files.values()] };
}

function attachDeletes(files: ReadonlyMap<string, LiveFile>, deletes: ManifestEntry): void {
  if (deletes.file.content === 'equality-deletes') {
    throw new DailiesError(
      'unsupported',
      'The table has equality deletes, written by another engine; they cannot be read yet. Rewrite its data files there.',
    );
  }
  const location = deletes.file.referencedDataFile ?? soleDataFile(deletes);
  const candidates = location === null ? files.values() : [files.get(location)];
  for (const file of candidates) {
    if (file && file.data.sequenceNumber <= deletes.sequenceNumber) file.deletes.push(deletes);
  }
}

// Bounds of file_path that are equal name the only data file (writers older than referenced_data_file).
function soleDataFile(deletes: ManifestEntry): string | null {
  const lower = deletes.file.lowerBounds.get(deletePathFieldId);
  const upper = deletes.file.upperBounds.get(deletePathFieldId);
  if (!lower || !upper || Buffer.compare(lower, upper) !== 0) return null;
  return Buffer.from(lower).toString();
}
