import { randomBytes, randomUUID } from 'node:crypto';
import type { DataFile, ManifestEntry } from '../manifests/manifest.ts';
import { encodeManifestList, type ManifestFile, rememberManifestList } from '../manifests/manifest-list.ts';
import { currentSnapshot, type Snapshot, type TableMetadata } from '../metadata/table-metadata.ts';
import type { TableRequirement, TableUpdate } from '../metadata/table-updates.ts';
import { syncTableFolders, writeBytes } from '../storage.ts';
import type { TableEntry } from '../tables/table-catalog.ts';
import { ManifestWriter } from './manifest-writer.ts';
import { snapshotTotals } from './snapshot-summary.ts';
import type { TableChange } from './table-change.ts';

export type Operation = 'append' | 'overwrite' | 'delete' | 'replace';

/** What a commit of rows is called in the snapshot's summary. */
export function operationOf(added: readonly DataFile[], removed: ReadonlySet<string>): Operation {
  const hasRows = added.some((file) => file.content === 'data');
  if (removed.size === 0 && added.every((file) => file.content === 'data')) return 'append';
  return hasRows ? 'overwrite' : 'delete';
}

/** The table as of its last commit. */
export interface TableBase {
  /** namespace.table */
  name: string;
  uuid: string;
  location: string;
  /** Null for a table that does not exist yet. */
  entry: TableEntry | null;
  manifests: readonly ManifestFile[];
}

/** What a commit changes of the table's files. */
export interface FileChanges {
  added: readonly DataFile[];
  /** Keys (`entryKey`) of data files and of delete files that leave the table. */
  removed: ReadonlySet<string>;
  operation: Operation;
  summary: Readonly<Record<string, string>>;
}

export interface BuiltSnapshot {
  snapshot: Snapshot;
  manifests: readonly ManifestFile[];
  /** Entries that this snapshot added. */
  added: readonly ManifestEntry[];
  /** Entries carried on that have got their row ids only now. */
  numbered: readonly ManifestEntry[];
  /** What the catalog is asked for: it holds for the table that the snapshot was built on alone. */
  requirements: TableRequirement[];
  updates: TableUpdate[];
  /** Locations of manifests and manifest list, for a commit that is refused. */
  written: readonly string[];
}

/**
 * Writes manifests and manifest list of the table's next snapshot and flushes them, with the folders that hold them and
 * the data files, to disk. Nothing is visible before the catalog has applied `updates`.
 */
export async function buildSnapshot(
  base: TableBase,
  change: TableChange,
  files: FileChanges,
  nowMs: number,
): Promise<BuiltSnapshot> {
  const { metadata } = change;
  const parent = base.entry ? currentSnapshot(base.entry.metadata) : null;
  const id = randomSnapshotId(metadata);
  const sequenceNumber = metadata['last-sequence-number'] + 1n;
  const firstRowId = metadata['format-version'] >= 3 ? (metadata['next-row-id'] ?? 0n) : null;
  const writer = new ManifestWriter(id, sequenceNumber, metadata);
  const { manifests, addedRows } = await writer.manifests(base.manifests, files.added, files.removed, firstRowId);
  const listLocation = `${metadata.location}/metadata/snap-${id}-${randomUUID()}.avro`;
  const list = encodeManifestList(
    manifests,
    { id, parentId: parent?.['snapshot-id'] ?? null, sequenceNumber, firstRowId },
    firstRowId === null ? 2 : 3,
  );
  await writeBytes(listLocation, list);
  await syncTableFolders(metadata.location);
  rememberManifestList(listLocation, manifests);
  const snapshot: Snapshot = {
    'snapshot-id': id,
    ...(parent ? { 'parent-snapshot-id': parent['snapshot-id'] } : {}),
    'sequence-number': sequenceNumber,
    'timestamp-ms': Math.max(nowMs, base.entry?.metadata['last-updated-ms'] ?? 0),
    'manifest-list': listLocation,
    summary: {
      operation: files.operation,
      ...snapshotTotals(parent, writer.added, writer.removed, manifests),
      ...files.summary,
    },
    'schema-id': metadata['current-schema-id'],
    ...(firstRowId === null ? {} : { 'first-row-id': firstRowId, 'added-rows': addedRows }),
  };
  return {
    snapshot,
    manifests,
    added: writer.added,
    numbered: writer.numbered,
    requirements: requirementsOf(base, parent),
    updates: [
      ...change.updates,
      { action: 'add-snapshot', snapshot },
      { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': id },
    ],
    written: [...writer.written, listLocation],
  };
}

function requirementsOf(base: TableBase, parent: Snapshot | null): TableRequirement[] {
  if (!base.entry) return [{ type: 'assert-create' }];
  const { metadata } = base.entry;
  return [
    // Another server's catalog may have given a new table an id of its own.
    { type: 'assert-table-uuid', uuid: metadata['table-uuid'] },
    { type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': parent?.['snapshot-id'] ?? null },
    // The files follow this schema and this spec, and new ids go on from these.
    { type: 'assert-current-schema-id', 'current-schema-id': metadata['current-schema-id'] },
    { type: 'assert-last-assigned-field-id', 'last-assigned-field-id': metadata['last-column-id'] },
    { type: 'assert-default-spec-id', 'default-spec-id': metadata['default-spec-id'] },
    { type: 'assert-last-assigned-partition-id', 'last-assigned-partition-id': metadata['last-partition-id'] },
  ];
}

// Below 2^53, for readers whose JSON cannot hold more.
function randomSnapshotId(metadata: TableMetadata): bigint {
  for (;;) {
    const id = randomBytes(8).readBigUInt64BE() >> 11n;
    if (id !== 0n && !metadata.snapshots.some((snapshot) => snapshot['snapshot-id'] === id)) return id;
  }
}
