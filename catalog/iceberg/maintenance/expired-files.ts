import { type ManifestReference, readManifest } from '../manifests/manifest.ts';
import { readManifestList } from '../manifests/manifest-list.ts';
import type { Snapshot, TableMetadata } from '../metadata/table-metadata.ts';
import { mainLine } from './retention.ts';

/*
 * Which files only expired snapshots need. On the table's own line a file lives in an unbroken run of snapshots, from the
 * one that added it to the one that removed it: a file of a run of expired snapshots that neither of the run's kept
 * neighbours has is nobody's. Snapshots beside the line (branches, states rolled back) are compared file by file.
 */

/**
 * Locations of manifest lists, manifests, data, delete and statistics files that no snapshot needs any more once those of
 * `expired` have left `before`. Throws `table_corrupt` where a manifest cannot be read.
 */
export async function filesOfExpired(before: TableMetadata, expired: ReadonlySet<bigint>): Promise<string[]> {
  const line = mainLine(before);
  const onLine = new Set(line);
  const kept = before.snapshots.filter((snapshot) => !expired.has(snapshot['snapshot-id']));
  const keptBeside = kept.filter((snapshot) => !onLine.has(snapshot));
  const gone = new Candidates();
  for (const { run, neighbours } of runsOf(line, expired)) await gone.add(run, [...neighbours, ...keptBeside]);
  const expiredBeside = before.snapshots.filter(
    (snapshot) => expired.has(snapshot['snapshot-id']) && !onLine.has(snapshot),
  );
  if (expiredBeside.length > 0) await gone.add(expiredBeside, kept);
  const statistics = [...(before.statistics ?? []), ...(before['partition-statistics'] ?? [])];
  const keptStatistics = new Set(
    statistics.flatMap((file) => (expired.has(file['snapshot-id']) ? [] : [file['statistics-path']])),
  );
  for (const file of statistics) {
    if (expired.has(file['snapshot-id']) && !keptStatistics.has(file['statistics-path'])) {
      gone.locations.add(file['statistics-path']);
    }
  }
  return [...gone.locations];
}

interface Run {
  run: Snapshot[];
  /** The kept snapshots right after and right before it. */
  neighbours: Snapshot[];
}

function runsOf(line: readonly Snapshot[], expired: ReadonlySet<bigint>): Run[] {
  const runs: Run[] = [];
  let open: Run | null = null;
  let newer: Snapshot | null = null;
  for (const snapshot of line) {
    if (expired.has(snapshot['snapshot-id'])) {
      if (!open) {
        open = { run: [], neighbours: newer ? [newer] : [] };
        runs.push(open);
      }
      open.run.push(snapshot);
      continue;
    }
    open?.neighbours.push(snapshot);
    open = null;
    newer = snapshot;
  }
  return runs;
}

class Candidates {
  readonly locations = new Set<string>();

  /** Adds the files of `run` that none of `kept` has. */
  async add(run: readonly Snapshot[], kept: readonly Snapshot[]): Promise<void> {
    const keptManifests = new Map<string, ManifestReference>();
    for (const snapshot of kept) {
      for (const manifest of await readManifestList(snapshot['manifest-list'])) {
        keptManifests.set(manifest.location, manifest);
      }
    }
    const goneManifests = new Map<string, ManifestReference>();
    // Manifests that every snapshot of the run shares with a kept one hold none of the files in question.
    const shared = new Map<string, number>();
    for (const snapshot of run) {
      this.locations.add(snapshot['manifest-list']);
      for (const manifest of await readManifestList(snapshot['manifest-list'])) {
        if (keptManifests.has(manifest.location)) {
          shared.set(manifest.location, (shared.get(manifest.location) ?? 0) + 1);
        } else goneManifests.set(manifest.location, manifest);
      }
    }
    const files = new Set<string>();
    for (const manifest of goneManifests.values()) {
      this.locations.add(manifest.location);
      for (const entry of await readManifest(manifest)) {
        if (entry.status !== 'deleted') files.add(entry.file.location);
      }
    }
    if (files.size === 0) return;
    for (const manifest of keptManifests.values()) {
      if (shared.get(manifest.location) === run.length) continue;
      for (const entry of await readManifest(manifest)) {
        if (entry.status !== 'deleted') files.delete(entry.file.location);
      }
    }
    for (const location of files) this.locations.add(location);
  }
}
