import { randomBytes, randomUUID } from 'node:crypto';
import { type DataFile, encodeManifest, type ManifestEntry, readManifest, rememberManifest } from './manifest.ts';
import { describeManifest, encodeManifestList, type ManifestFile, rememberManifestList } from './manifest-list.ts';
import type { SchemaState } from './schema-conversion.ts';
import { syncTableFolders, writeBytes } from './storage.ts';
import {
  currentSnapshot,
  printTableMetadata,
  rememberTableMetadata,
  type Snapshot,
  type TableMetadata,
} from './table-metadata.ts';

/** Manifests of data files are merged beyond this many, those of deletes (rewritten often) beyond a tenth. */
const maxDataManifests = 100;
const maxDeleteManifests = 10;
const maxPreviousMetadata = 20;

export type Operation = 'append' | 'overwrite' | 'delete' | 'replace';

/** The table as of its last commit; metadata is null for a table that does not exist yet. */
export interface TableBase {
  metadataLocation: string | null;
  metadata: TableMetadata;
  manifests: readonly ManifestFile[];
}

/** What a commit changes. */
export interface TableChanges {
  added: readonly DataFile[];
  /** Locations of data files and of delete files that leave the table. */
  removed: ReadonlySet<string>;
  operation: Operation;
  /** A new current schema. */
  schema: SchemaState | null;
  properties: Readonly<Record<string, string>>;
  summary: Readonly<Record<string, string>>;
}

export interface BuiltSnapshot {
  snapshot: Snapshot;
  metadata: TableMetadata;
  metadataLocation: string;
  manifests: readonly ManifestFile[];
  /** Entries that this snapshot added. */
  added: readonly ManifestEntry[];
  /** Snapshots that are no longer in the metadata, each with the one that followed it. */
  expired: readonly { snapshot: Snapshot; next: Snapshot }[];
  /** Metadata files that left the log. */
  oldMetadata: readonly string[];
  /** Locations of what was written, for a commit that is refused. */
  written: readonly string[];
}

/** How long snapshots are kept: the newest ones always, others until an age, never more than the most. */
export interface Retention {
  minSnapshots: number;
  maxSnapshots: number;
  maxAgeMs: number;
}

/**
 * Writes manifests, manifest list and metadata file of the table's next snapshot and flushes them, with the folders that
 * hold them and the data files, to disk. Nothing is visible before the catalog's pointer moves to `metadataLocation`.
 */
export async function buildSnapshot(
  base: TableBase,
  changes: TableChanges,
  retention: Retention,
  nowMs: number,
): Promise<BuiltSnapshot> {
  const { metadata } = base;
  const parent = currentSnapshot(metadata);
  const id = randomSnapshotId(metadata);
  const sequenceNumber = metadata['last-sequence-number'] + 1n;
  const timestampMs = Math.max(nowMs, metadata['last-updated-ms']);
  const next: TableMetadata = withSchema(metadata, changes);
  const writer = new ManifestWriter(metadata.location, id, sequenceNumber, next);
  const manifests = await writer.manifests(base.manifests, changes);
  const listLocation = `${metadata.location}/metadata/snap-${id}-${randomUUID()}.avro`;
  await writeBytes(
    listLocation,
    encodeManifestList(manifests, { id, parentId: parent?.['snapshot-id'] ?? null, sequenceNumber }),
  );
  const snapshot: Snapshot = {
    'snapshot-id': id,
    ...(parent ? { 'parent-snapshot-id': parent['snapshot-id'] } : {}),
    'sequence-number': sequenceNumber,
    'timestamp-ms': timestampMs,
    'manifest-list': listLocation,
    summary: { operation: changes.operation, ...totals(parent, writer, manifests), ...changes.summary },
    'schema-id': next['current-schema-id'],
  };
  const { kept, expired } = expire([...metadata.snapshots, snapshot], metadata, retention, timestampMs);
  const keptIds = new Set(kept.map((candidate) => candidate['snapshot-id']));
  const log = [
    ...metadata['metadata-log'],
    ...(base.metadataLocation === null
      ? []
      : [{ 'timestamp-ms': metadata['last-updated-ms'], 'metadata-file': base.metadataLocation }]),
  ];
  const built: TableMetadata = {
    ...next,
    'last-sequence-number': sequenceNumber,
    'last-updated-ms': timestampMs,
    'current-snapshot-id': id,
    snapshots: kept,
    'snapshot-log': [...metadata['snapshot-log'], { 'timestamp-ms': timestampMs, 'snapshot-id': id }].filter((entry) =>
      keptIds.has(entry['snapshot-id']),
    ),
    'metadata-log': log.slice(-maxPreviousMetadata),
    refs: { ...metadata.refs, main: { 'snapshot-id': id, type: 'branch' } },
  };
  const metadataLocation = `${metadata.location}/metadata/${nextVersion(base.metadataLocation)}-${randomUUID()}.metadata.json`;
  const text = printTableMetadata(built);
  await writeBytes(metadataLocation, text);
  await syncTableFolders(metadata.location);
  rememberManifestList(snapshot['manifest-list'], manifests);
  rememberTableMetadata(metadataLocation, built, text.length);
  return {
    snapshot,
    metadata: built,
    metadataLocation,
    manifests,
    added: writer.added,
    expired,
    oldMetadata: log.slice(0, -maxPreviousMetadata).map((entry) => entry['metadata-file']),
    written: [...writer.written, listLocation, metadataLocation],
  };
}

// Below 2^53, for readers whose JSON cannot hold more.
function randomSnapshotId(metadata: TableMetadata): bigint {
  for (;;) {
    const id = randomBytes(8).readBigUInt64BE() >> 11n;
    if (id !== 0n && !metadata.snapshots.some((snapshot) => snapshot['snapshot-id'] === id)) return id;
  }
}

function nextVersion(location: string | null): string {
  const current = /\/(\d+)-[^/]*$/.exec(location ?? '')?.[1];
  return String(current === undefined ? 0 : Number(current) + 1).padStart(5, '0');
}

function withSchema(metadata: TableMetadata, changes: TableChanges): TableMetadata {
  const properties = { ...metadata.properties, ...changes.properties };
  if (!changes.schema) return { ...metadata, properties };
  const { schema, lastColumnId } = changes.schema;
  return {
    ...metadata,
    properties,
    schemas: [...metadata.schemas.filter((old) => old['schema-id'] !== schema['schema-id']), schema],
    'current-schema-id': schema['schema-id'],
    'last-column-id': Math.max(metadata['last-column-id'], lastColumnId),
  };
}

// Only the straight line of a table that has no tags or branches is expired: what people named stays.
function expire(
  snapshots: readonly Snapshot[],
  metadata: TableMetadata,
  retention: Retention,
  nowMs: number,
): { kept: Snapshot[]; expired: { snapshot: Snapshot; next: Snapshot }[] } {
  const ordered = [...snapshots].sort((a, b) => Number(a['sequence-number'] - b['sequence-number']));
  const isLine = ordered.every(
    (snapshot, index) => index === 0 || snapshot['parent-snapshot-id'] === ordered[index - 1]?.['snapshot-id'],
  );
  if (!isLine || Object.keys(metadata.refs).some((name) => name !== 'main')) return { kept: ordered, expired: [] };
  let first = Math.max(0, ordered.length - retention.maxSnapshots);
  while (
    first < ordered.length - retention.minSnapshots &&
    // A snapshot was current until the next one came.
    (ordered[first + 1]?.['timestamp-ms'] ?? nowMs) < nowMs - retention.maxAgeMs
  ) {
    first += 1;
  }
  const expired = ordered.slice(0, first).flatMap((snapshot, index) => {
    const next = ordered[index + 1];
    return next ? [{ snapshot, next }] : [];
  });
  return { kept: ordered.slice(first), expired };
}

/** Writes the manifests of one snapshot: added entries in new ones, those that lose an entry rewritten, others kept. */
class ManifestWriter {
  readonly added: ManifestEntry[] = [];
  readonly removed: ManifestEntry[] = [];
  readonly written: string[] = [];
  readonly #location: string;
  readonly #id: bigint;
  readonly #sequenceNumber: bigint;
  readonly #metadata: TableMetadata;

  constructor(location: string, id: bigint, sequenceNumber: bigint, metadata: TableMetadata) {
    this.#location = location;
    this.#id = id;
    this.#sequenceNumber = sequenceNumber;
    this.#metadata = metadata;
  }

  async manifests(current: readonly ManifestFile[], changes: TableChanges): Promise<ManifestFile[]> {
    const result: ManifestFile[] = [];
    for (const content of ['data', 'deletes'] as const) {
      const old = current.filter((manifest) => manifest.content === content);
      const added = changes.added
        .filter((file) => (file.content === 'data') === (content === 'data'))
        .map((file) => this.#addedEntry(file));
      this.added.push(...added);
      result.push(...(await this.#ofContent(content, old, added, changes.removed)));
    }
    return result;
  }

  async #ofContent(
    content: 'data' | 'deletes',
    old: readonly ManifestFile[],
    added: ManifestEntry[],
    removed: ReadonlySet<string>,
  ): Promise<ManifestFile[]> {
    const live = old.filter((manifest) => manifest.addedFiles + manifest.existingFiles > 0);
    const limit = content === 'data' ? maxDataManifests : maxDeleteManifests;
    const isMerging = live.length >= limit;
    const kept: ManifestFile[] = [];
    const rewritten: ManifestEntry[] = [];
    for (const manifest of live) {
      if (!isMerging && removed.size === 0) {
        kept.push(manifest);
        continue;
      }
      const entries = (await readManifest(manifest)).filter((entry) => entry.status !== 'deleted');
      if (!isMerging && !entries.some((entry) => removed.has(entry.file.location))) {
        kept.push(manifest);
        continue;
      }
      for (const entry of entries) rewritten.push(this.#carry(entry, removed));
    }
    const fresh = [...rewritten, ...added];
    if (fresh.length === 0) return kept;
    return [await this.#write(content, fresh), ...kept];
  }

  #addedEntry(file: DataFile): ManifestEntry {
    const sequenceNumber = this.#sequenceNumber;
    return { status: 'added', snapshotId: this.#id, sequenceNumber, fileSequenceNumber: sequenceNumber, file };
  }

  #carry(entry: ManifestEntry, removed: ReadonlySet<string>): ManifestEntry {
    if (!removed.has(entry.file.location)) return { ...entry, status: 'existing' };
    const gone: ManifestEntry = { ...entry, status: 'deleted', snapshotId: this.#id };
    this.removed.push(gone);
    return gone;
  }

  async #write(content: 'data' | 'deletes', entries: readonly ManifestEntry[]): Promise<ManifestFile> {
    const location = `${this.#location}/metadata/${randomUUID()}-m.avro`;
    const specId = this.#metadata['default-spec-id'];
    const bytes = encodeManifest(entries, content, this.#metadata, specId);
    await writeBytes(location, bytes);
    this.written.push(location);
    rememberManifest(location, entries);
    return describeManifest(
      {
        location,
        lengthBytes: bytes.length,
        content,
        snapshotId: this.#id,
        sequenceNumber: this.#sequenceNumber,
        specId,
        firstRowId: null,
      },
      entries,
      this.#metadata,
    );
  }
}

function totals(
  parent: Snapshot | null,
  writer: ManifestWriter,
  manifests: readonly ManifestFile[],
): Record<string, string> {
  const count = { dataFiles: 0, rows: 0, deleteFiles: 0, deletes: 0, bytes: 0 };
  const change = { addedFiles: 0, addedRows: 0, addedDeleteFiles: 0, addedDeletes: 0, addedBytes: 0, removedFiles: 0 };
  const removed = { rows: 0, deleteFiles: 0, deletes: 0, bytes: 0 };
  for (const { file } of writer.added) {
    change.addedBytes += file.sizeBytes;
    if (file.content === 'data') {
      change.addedFiles += 1;
      change.addedRows += file.recordCount;
    } else {
      change.addedDeleteFiles += 1;
      change.addedDeletes += file.recordCount;
    }
  }
  for (const { file } of writer.removed) {
    removed.bytes += file.sizeBytes;
    if (file.content === 'data') {
      change.removedFiles += 1;
      removed.rows += file.recordCount;
    } else {
      removed.deleteFiles += 1;
      removed.deletes += file.recordCount;
    }
  }
  for (const manifest of manifests) {
    const files = manifest.addedFiles + manifest.existingFiles;
    const rows = manifest.addedRows + manifest.existingRows;
    if (manifest.content === 'data') {
      count.dataFiles += files;
      count.rows += rows;
    } else {
      count.deleteFiles += files;
      count.deletes += rows;
    }
  }
  const oldBytes = Number(parent?.summary['total-files-size'] ?? 0);
  count.bytes = oldBytes + change.addedBytes - removed.bytes;
  const summary: Record<string, number> = {
    'added-data-files': change.addedFiles,
    'added-records': change.addedRows,
    'added-delete-files': change.addedDeleteFiles,
    'added-position-delete-files': change.addedDeleteFiles,
    'added-position-deletes': change.addedDeletes,
    'added-files-size': change.addedBytes,
    'deleted-data-files': change.removedFiles,
    'deleted-records': removed.rows,
    'removed-delete-files': removed.deleteFiles,
    'removed-position-delete-files': removed.deleteFiles,
    'removed-position-deletes': removed.deletes,
    'removed-files-size': removed.bytes,
  };
  const total: Record<string, number> = {
    'total-data-files': count.dataFiles,
    'total-records': count.rows,
    'total-delete-files': count.deleteFiles,
    'total-position-deletes': count.deletes,
    'total-equality-deletes': 0,
    'total-files-size': count.bytes,
  };
  return Object.fromEntries(
    [...Object.entries(summary).filter(([, value]) => value > 0), ...Object.entries(total)].map(([key, value]) => [
      key,
      String(value),
    ]),
  );
}
