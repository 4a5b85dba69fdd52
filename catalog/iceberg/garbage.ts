import { readManifest } from './manifest.ts';
import { readManifestList } from './manifest-list.ts';
import type { Snapshot } from './table-metadata.ts';

/**
 * Locations of the files that only an expired snapshot needed, where the table's history is a line: its manifest list,
 * the manifests that the next snapshot did not carry on, and the data and delete files that the next snapshot removed.
 */
export async function filesOfExpired(snapshot: Snapshot, next: Snapshot): Promise<string[]> {
  const manifests = await readManifestList(snapshot['manifest-list']);
  const nextManifests = await readManifestList(next['manifest-list']);
  const carried = new Set(nextManifests.map((manifest) => manifest.location));
  const locations = [snapshot['manifest-list']];
  for (const manifest of manifests) if (!carried.has(manifest.location)) locations.push(manifest.location);
  for (const manifest of nextManifests) {
    if (manifest.snapshotId !== next['snapshot-id'] || manifest.deletedFiles === 0) continue;
    for (const entry of await readManifest(manifest)) {
      if (entry.status === 'deleted' && entry.snapshotId === next['snapshot-id']) locations.push(entry.file.location);
    }
  }
  return locations;
}
