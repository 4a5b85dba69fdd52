import { randomUUID } from 'node:crypto';
import { entryKey } from '../files/deletion-vector.ts';
import {
  type DataFile,
  encodeManifest,
  type ManifestEntry,
  readManifest,
  rememberManifest,
} from '../manifests/manifest.ts';
import { describeManifest, type ManifestFile } from '../manifests/manifest-list.ts';
import { withMetricsModes } from '../metadata/metrics-modes.ts';
import type { TableMetadata } from '../metadata/table-metadata.ts';
import { type MaintenanceSettings, maintenanceSettings } from '../metadata/table-properties.ts';
import { writeBytes } from '../storage.ts';

/** Manifests of deletes are rewritten often: a tenth of the number that data manifests are merged at is enough. */
const deletesPart = 0.1;

/** Writes the manifests of one snapshot: new ones for what changes, the others are carried on as they are. */
export class ManifestWriter {
  /** Entries that the snapshot adds. */
  readonly added: ManifestEntry[] = [];
  /** Entries that it removes. */
  readonly removed: ManifestEntry[] = [];
  /** Entries carried on that have got their row ids only now: the table has come to format 3. */
  readonly numbered: ManifestEntry[] = [];
  /** Locations written. */
  readonly written: string[] = [];
  readonly #id: bigint;
  readonly #sequenceNumber: bigint;
  readonly #metadata: TableMetadata;
  readonly #settings: MaintenanceSettings;
  /** The entries of manifests written here, in file order. */
  readonly #entries = new Map<string, ManifestEntry[]>();

  /** `metadata` is the table's with the schema and specs of this commit. */
  constructor(id: bigint, sequenceNumber: bigint, metadata: TableMetadata) {
    this.#id = id;
    this.#sequenceNumber = sequenceNumber;
    this.#metadata = metadata;
    this.#settings = maintenanceSettings(metadata.properties).settings;
  }

  /**
   * The manifests after `added` came and the files of these keys (`entryKey`) went. Those of data files come first; what has not
   * got its row ids yet (format 3) gets them from `firstRowId` on.
   */
  async manifests(
    current: readonly ManifestFile[],
    added: readonly DataFile[],
    removed: ReadonlySet<string>,
    firstRowId: bigint | null,
  ): Promise<{ manifests: ManifestFile[]; addedRows: bigint }> {
    const result: ManifestFile[] = [];
    for (const content of ['data', 'deletes'] as const) {
      const fresh = Map.groupBy(
        added.filter((file) => (file.content === 'data') === (content === 'data')),
        (file) => file.specId,
      );
      const old = Map.groupBy(
        current.filter((manifest) => manifest.content === content),
        (manifest) => manifest.specId,
      );
      for (const specId of new Set([...fresh.keys(), ...old.keys()])) {
        const entries = (fresh.get(specId) ?? []).map((file) => this.#addedEntry(file));
        result.push(...(await this.#ofSpec(content, specId, old.get(specId) ?? [], entries, removed)));
      }
    }
    return await this.#giveRowIds(result, firstRowId);
  }

  async #ofSpec(
    content: 'data' | 'deletes',
    specId: number,
    old: readonly ManifestFile[],
    added: ManifestEntry[],
    removed: ReadonlySet<string>,
  ): Promise<ManifestFile[]> {
    const live = old.filter((manifest) => manifest.addedFiles + manifest.existingFiles > 0);
    const merged = this.#toMerge(content, live);
    const kept: ManifestFile[] = [];
    const rewritten: ManifestEntry[] = [];
    let rewrittenBytes = 0;
    for (const manifest of live) {
      if (!merged.has(manifest) && removed.size === 0) {
        kept.push(manifest);
        continue;
      }
      const entries = (await readManifest(manifest)).filter((entry) => entry.status !== 'deleted');
      if (!merged.has(manifest) && !entries.some((entry) => removed.has(entryKey(entry.file)))) {
        kept.push(manifest);
        continue;
      }
      for (const entry of entries) rewritten.push(this.#carry(entry, removed));
      rewrittenBytes += manifest.lengthBytes;
    }
    const fresh = [...rewritten, ...added];
    const entryBytes = Math.max(1, rewrittenBytes / Math.max(1, rewritten.length));
    const most = Math.max(1, Math.floor(this.#settings.targetManifestBytes / entryBytes));
    const written: ManifestFile[] = [];
    for (let start = 0; start < fresh.length; start += most) {
      written.push(await this.#write(content, specId, fresh.slice(start, start + most)));
    }
    return [...written, ...kept];
  }

  /** Manifests below the target size, once there are many of them. */
  #toMerge(content: 'data' | 'deletes', live: readonly ManifestFile[]): ReadonlySet<ManifestFile> {
    const { minManifestsToMerge, targetManifestBytes } = this.#settings;
    const small = live.filter((manifest) => manifest.lengthBytes < targetManifestBytes / 2);
    const limit = content === 'data' ? minManifestsToMerge : Math.ceil(minManifestsToMerge * deletesPart);
    return new Set(small.length >= Math.max(2, limit) ? small : []);
  }

  #addedEntry(written: DataFile): ManifestEntry {
    const sequenceNumber = this.#sequenceNumber;
    const file = withMetricsModes(written, this.#metadata);
    return { status: 'added', snapshotId: this.#id, sequenceNumber, fileSequenceNumber: sequenceNumber, file };
  }

  #carry(entry: ManifestEntry, removed: ReadonlySet<string>): ManifestEntry {
    if (!removed.has(entryKey(entry.file))) return { ...entry, status: 'existing' };
    const gone: ManifestEntry = { ...entry, status: 'deleted', snapshotId: this.#id };
    this.removed.push(gone);
    return gone;
  }

  async #write(content: 'data' | 'deletes', specId: number, entries: ManifestEntry[]): Promise<ManifestFile> {
    const location = `${this.#metadata.location}/metadata/${randomUUID()}-m.avro`;
    const bytes = encodeManifest(entries, content, this.#metadata, specId);
    await writeBytes(location, bytes);
    this.written.push(location);
    this.#entries.set(location, entries);
    return describeManifest(
      {
        location,
        lengthBytes: bytes.length,
        content,
        specId,
        snapshotId: this.#id,
        sequenceNumber: this.#sequenceNumber,
        firstRowId: null,
      },
      entries,
      this.#metadata,
    );
  }

  /**
   * Row ids (spec, Row Lineage): a manifest of data files that has no first id takes the next one and as many as it has
   * live rows; its files that have none take theirs from it, in file order.
   */
  async #giveRowIds(manifests: readonly ManifestFile[], firstRowId: bigint | null) {
    let next = firstRowId;
    const result: ManifestFile[] = [];
    for (const manifest of manifests) {
      const isNew = next !== null && manifest.content === 'data' && manifest.firstRowId === null;
      const whole = isNew ? { ...manifest, firstRowId: next } : manifest;
      if (isNew && next !== null) next += BigInt(manifest.addedRows + manifest.existingRows);
      result.push(whole);
      const written = this.#entries.get(manifest.location);
      if (!written && !isNew) continue;
      const entries = withRowIds(written ?? (await readManifest(manifest)), whole.firstRowId);
      rememberManifest(manifest.location, entries);
      if (written) this.added.push(...entries.filter((entry) => entry.status === 'added'));
      else this.numbered.push(...entries.filter((entry) => entry.status !== 'deleted'));
    }
    return { manifests: result, addedRows: next === null || firstRowId === null ? 0n : next - firstRowId };
  }
}

function withRowIds(entries: readonly ManifestEntry[], firstRowId: bigint | null): ManifestEntry[] {
  let next = firstRowId;
  return entries.map((entry) => {
    if (next === null || entry.status === 'deleted' || entry.file.firstRowId !== null) return entry;
    const first = next;
    next += BigInt(entry.file.recordCount);
    return { ...entry, file: { ...entry.file, firstRowId: first } };
  });
}
