import { DailiesError } from '../../error.ts';
import { readManifest } from '../manifests/manifest.ts';
import { readManifestList } from '../manifests/manifest-list.ts';
import { listFiles, type StoredFile } from '../storage.ts';
import type { TableEntry } from '../tables/table-catalog.ts';

/*
 * Files below a table's location that nothing refers to: what a crash left between writing and committing, or a refused
 * commit of another engine. Age is what tells them from files of a commit that is under way.
 */

export interface OrphanSearch {
  /** What nothing refers to, older than asked for. */
  orphans: StoredFile[];
  /** Files below the table's location, and their bytes. */
  files: number;
  bytes: number;
}

/**
 * Looks for orphans. A file is none if a snapshot, metadata file or statistics of `entry` needs it, if `held` says that a
 * commit under way does, or if it was changed after `beforeMs`. `otherMetadata` are the metadata locations of all other
 * tables: throws `unsupported` where one is below this table's location, for the files of both could not be told apart.
 * Throws `table_corrupt` where a manifest cannot be read: then nothing can be called an orphan.
 */
export async function findOrphans(
  entry: TableEntry,
  beforeMs: number,
  held: ReadonlySet<string>,
  otherMetadata: readonly string[],
  signal: AbortSignal,
): Promise<OrphanSearch> {
  const { metadata } = entry;
  const root = `${pathOf(metadata.location).replace(/\/+$/, '')}/`;
  const guest = otherMetadata.find((location) => pathOf(location).startsWith(root));
  if (guest !== undefined) {
    throw new DailiesError(
      'unsupported',
      `Another table has its files below ${metadata.location} (${guest}), so that what nothing refers to cannot be told: move one of the tables.`,
      { details: { location: metadata.location, other: guest } },
    );
  }
  const search: OrphanSearch = { orphans: [], files: 0, bytes: 0 };
  const old = new Map<string, StoredFile>();
  for await (const file of listFiles(metadata.location)) {
    signal.throwIfAborted();
    search.files += 1;
    search.bytes += file.sizeBytes;
    if (file.modifiedMs < beforeMs) old.set(pathOf(file.location), file);
  }
  for (const location of held) old.delete(pathOf(location));
  for (const location of metadataFiles(entry)) old.delete(pathOf(location));
  const seen = new Set<string>();
  for (const snapshot of metadata.snapshots) {
    signal.throwIfAborted();
    // Nothing is left to be looked for; what is referred to is most of what there is.
    if (old.size === 0) return search;
    for (const manifest of await readManifestList(snapshot['manifest-list'])) {
      if (seen.has(manifest.location)) continue;
      seen.add(manifest.location);
      old.delete(pathOf(manifest.location));
      for (const { status, file } of await readManifest(manifest)) {
        if (status !== 'deleted') old.delete(pathOf(file.location));
      }
    }
  }
  search.orphans = [...old.values()];
  return search;
}

function* metadataFiles({ metadata, metadataLocation }: TableEntry): Generator<string> {
  yield metadataLocation;
  for (const entry of metadata['metadata-log']) yield entry['metadata-file'];
  for (const snapshot of metadata.snapshots) yield snapshot['manifest-list'];
  for (const file of metadata.statistics ?? []) yield file['statistics-path'];
  for (const file of metadata['partition-statistics'] ?? []) yield file['statistics-path'];
  // Hadoop's catalogs keep the newest version's number there.
  yield `${metadata.location}/metadata/version-hint.text`;
}

/** One form of what writers write differently: `file:/a`, `file:///a`, `/a`; `s3a://b/k`, `s3://b/k`. */
function pathOf(location: string): string {
  return location.replace(/^file:(\/\/)?(?=\/)/, '').replace(/^s3[an]:/, 's3:');
}
