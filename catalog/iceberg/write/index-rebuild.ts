import { setImmediate } from 'node:timers/promises';
import { isNested } from '../../schemas/schema.ts';
import type { ReadSchema } from '../files/read-data-file.ts';
import type { DataFile } from '../manifests/manifest.ts';
import { printJson } from '../metadata/json.ts';
import { ancestors, currentSnapshot, type TableMetadata } from '../metadata/table-metadata.ts';
import { type LiveFile, readLiveFiles } from '../read/live-files.ts';
import type { IndexChange, IndexStand, KeyIndex } from './key-index.ts';
import { scanKeys } from './key-scan.ts';
import type { WorkingFile, WorkingFiles } from './working-files.ts';

/*
 * How the stored entries of an index come after a table's last commit:
 *
 *   stored stand          | table                        | then
 *   older snapshot, kept  | files were only added        | their keys are stored; a crash leaves them ahead of the stand
 *   older snapshot, kept  | its files are there, touched | unfinished until what changed is replayed
 *   anything else         |                              | emptied, and made anew from the keys of all live files
 *
 * Entries ahead of the stand are of files that are committed. They are right as long as their files are there as they were
 * added: where one is not, the index is made anew.
 */

/** The table that an index is of, as the commit in hand sees it. */
export interface IndexedTable extends ReadSchema {
  files: WorkingFiles;
  /** As of the last commit; null for a table that does not exist yet. */
  metadata: TableMetadata | null;
}

/** True where entries of this stand are those of the table's last commit. */
export function isCurrent(stand: IndexStand | null, table: IndexedTable): boolean {
  return stand?.snapshotId === snapshotIdOf(table) && stand.shape === shapeOf(table) && stand.ahead.length === 0;
}

/** Makes the stored entries those of the table's last commit. Ends early, with the signal's reason, where that is aborted. */
export async function bringUp(store: KeyIndex, table: IndexedTable, signal?: AbortSignal): Promise<void> {
  const { stand } = store;
  if (isCurrent(stand, table)) return;
  if (stand?.shape !== shapeOf(table) || !(await replay(store, stand, table, signal))) {
    await rebuild(store, table, committedFiles(table), signal);
  }
  await store.apply(new Map(), { snapshotId: snapshotIdOf(table), shape: shapeOf(table) }, []);
}

/** Makes the entries anew from these files. They stand for nothing until `apply` says so. */
export async function rebuild(
  store: KeyIndex,
  table: IndexedTable,
  files: readonly WorkingFile[],
  signal?: AbortSignal,
): Promise<void> {
  await store.clear(shapeOf(table));
  for (const file of files) await storeKeys(store, table, file, signal);
}

export function committedFiles({ files }: IndexedTable): WorkingFile[] {
  return files.all().filter(({ entry }) => entry !== null);
}

/** Brings stored entries from an older snapshot to the current one; false if that cannot be done. */
async function replay(store: KeyIndex, stand: IndexStand, table: IndexedTable, signal?: AbortSignal): Promise<boolean> {
  // Only forward: what a rollback has taken back is no longer told by the files that are there.
  const line = table.metadata ? [...ancestors(table.metadata)] : [];
  const old = line.find((snapshot) => snapshot['snapshot-id'] === stand.snapshotId);
  if (!old) return false;
  const before = new Map((await readLiveFiles(old)).files.map((file) => [file.data.file.location, file]));
  for (const location of before.keys()) if (!table.files.has(location)) return false;
  if (!stand.ahead.every((location) => isAsAdded(table.files.get(location)))) return false;
  const now = committedFiles(table);
  const added = now.filter(({ file }) => !before.has(file.location));
  const changed = now.filter((file) => isChanged(file, before.get(file.file.location)));
  if (changed.length === 0 && added.every(isAsAdded)) {
    await store.markAhead(added.map(({ file }) => file.location));
  } else {
    await store.markUnfinished(stand.shape);
  }
  for (const file of changed) await removeDeleted(store, table, file);
  for (const file of added) await storeKeys(store, table, file, signal);
  return true;
}

async function storeKeys(store: KeyIndex, table: IndexedTable, file: WorkingFile, signal?: AbortSignal): Promise<void> {
  const isKeyless = table.schema.key.length === 0;
  await scanKeys(table, isKeyless, file, async (keys) => {
    signal?.throwIfAborted();
    store.putRows(file.file.location, keys, isKeyless);
    await setImmediate();
  });
}

// Removes the entries of deleted rows unless they have moved on; files added later are stored afterwards.
async function removeDeleted(store: KeyIndex, table: IndexedTable, file: WorkingFile): Promise<void> {
  const deleted = await table.files.positionsOf(file);
  const { location } = file.file;
  const isKeyless = table.schema.key.length === 0;
  await scanKeys(
    table,
    isKeyless,
    file,
    async (keys) => {
      const removals: IndexChange[] = [];
      for (const { key: bytes, position } of keys) {
        const key = bytes.toString('latin1');
        if (isKeyless) {
          removals.push([store.rowEntry(key, { location, position }), null]);
          continue;
        }
        const stored = store.find(key);
        if (stored?.location === location && stored.position === position) removals.push([key, null]);
      }
      await store.write(removals);
    },
    deleted,
  );
}

function snapshotIdOf({ metadata }: IndexedTable): bigint {
  return (metadata ? currentSnapshot(metadata)?.['snapshot-id'] : undefined) ?? 0n;
}

function isAsAdded(file: WorkingFile | null): boolean {
  return file !== null && file.entry !== null && file.deletes.length === 0;
}

function isChanged(file: WorkingFile, before: LiveFile | undefined): boolean {
  return before !== undefined && deletesOf(file) !== deletesOf(before);
}

function deletesOf(file: { deletes: readonly { file: DataFile }[] }): string {
  return file.deletes.map((entry) => entry.file.location).join();
}

/** What entries are made of: widening a column does not change it, another key does, and any change inside a nested one. */
export function shapeOf({ schema, iceberg }: ReadSchema): string {
  const isKeyless = schema.key.length === 0;
  const columns = schema.fields
    .map((field, index) => ({ twin: iceberg[index], field, order: schema.key.indexOf(field.name) }))
    .filter(({ order }) => isKeyless || order >= 0)
    .sort((a, b) => a.order - b.order)
    .map(
      ({ twin, field }) => `${twin?.id}:${isNested(field.type) ? printJson(twin?.type) : encodingOf(field.type.kind)}`,
    );
  return `${isKeyless ? 'row' : 'key'} ${columns.join(' ')}`;
}

function encodingOf(kind: string): string {
  if (kind === 'int' || kind === 'long') return 'integer';
  return kind === 'float' || kind === 'double' ? 'floating' : kind;
}
