import type { DataFile, ManifestEntry } from '../manifests/manifest.ts';
import { printJson } from '../metadata/json.ts';
import { type MaintenanceSettings, maintenanceSettings } from '../metadata/table-properties.ts';

/** A data file with its deletes as of the last commit. */
export interface CompactableFile {
  file: DataFile;
  deletes: readonly ManifestEntry[];
}

type Settings = Pick<
  MaintenanceSettings,
  'targetFileBytes' | 'minCompactionFiles' | 'deletedPart' | 'maxCompactionBytes'
>;

/** A file that is smaller than this part of the target is worth being joined with others. */
const smallPart = 0.5;
/** Never more files in one step: each is opened, and holds a map of its deleted rows. */
const maxFiles = 500;
/** Deletes of a file that is smaller are not worth a rewrite of its own. */
const minBytesForDeletes = 1 << 20;

/**
 * The files that are worth rewriting as one now, all of one partition, in the order their rows shall have; empty if none:
 * either many small ones, or one with many deletes. Small ones are joined so that sizes grow: a row of a table under
 * endless small commits is rewritten a logarithmic number of times. What is read in one step is bounded by the target
 * size and by `maxCompactionBytes`.
 */
export function compactionOf<F extends CompactableFile>(
  files: readonly F[],
  settings: Settings = maintenanceSettings({}).settings,
): F[] {
  // Equality deletes and what others wrote in formats that cannot be read here stay as they are.
  const partitions = Map.groupBy(
    files.filter(({ file }) => file.format === 'parquet'),
    ({ file }) => `${file.specId} ${printJson(file.partition.map(comparable))}`,
  );
  const runs = [...partitions.values()].flatMap((partition) => [
    ...smallRuns(partition, settings),
    ...oneWithDeletes(partition, settings),
  ]);
  return runs.sort((a, b) => b.gain - a.gain)[0]?.files ?? [];
}

interface Run<F> {
  files: F[];
  /** Files fewer for each MiB that is rewritten; deleted rows count as files. */
  gain: number;
}

function smallRuns<F extends CompactableFile>(partition: readonly F[], settings: Settings): Run<F>[] {
  const { targetFileBytes, minCompactionFiles, maxCompactionBytes } = settings;
  const small = partition
    .filter(({ file }) => file.sizeBytes < targetFileBytes * smallPart)
    .sort((a, b) => a.file.sizeBytes - b.file.sizeBytes);
  const maxBytes = Math.min(targetFileBytes, maxCompactionBytes);
  let bytes = 0;
  let count = 0;
  let chosenBytes = 0;
  for (const [index, { file }] of small.slice(0, maxFiles).entries()) {
    // The largest is no larger than the others together: so it is rewritten only when its size doubles.
    const isBalanced = file.sizeBytes <= bytes;
    bytes += file.sizeBytes;
    if (bytes > maxBytes) break;
    if (index + 1 < Math.max(2, minCompactionFiles) || !isBalanced) continue;
    count = index + 1;
    chosenBytes = bytes;
  }
  if (count === 0) return [];
  const chosen = small.slice(0, count);
  // Rows stay in the order they came in.
  const order = new Map(partition.map((one, index) => [one, index]));
  chosen.sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
  return [{ files: chosen, gain: count / megabytes(chosenBytes) }];
}

function oneWithDeletes<F extends CompactableFile>(partition: readonly F[], settings: Settings): Run<F>[] {
  const worst = partition
    .map((one) => ({ one, part: deletedRows(one) / Math.max(1, one.file.recordCount) }))
    .filter(
      ({ one: { file }, part }) =>
        part >= settings.deletedPart &&
        file.sizeBytes >= minBytesForDeletes &&
        file.sizeBytes <= Math.max(settings.maxCompactionBytes, settings.targetFileBytes),
    )
    .sort((a, b) => b.part - a.part)[0];
  if (!worst) return [];
  return [{ files: [worst.one], gain: (10 * worst.part) / megabytes(worst.one.file.sizeBytes) }];
}

/** Rows of a file that are deleted; those of delete files that several data files share are not known and count as none. */
export function deletedRows({ file, deletes }: CompactableFile): number {
  return deletes.reduce(
    (sum, entry) => sum + (entry.file.referencedDataFile === file.location ? entry.file.recordCount : 0),
    0,
  );
}

function megabytes(bytes: number): number {
  return bytes / (1 << 20) + 0.1;
}

function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return typeof value === 'number' && !Number.isInteger(value) ? String(value) : value;
}
