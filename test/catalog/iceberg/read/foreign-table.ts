import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import { type DataFile, encodeManifest, type ManifestEntry, plainFile } from '#catalog/iceberg/manifests/manifest.ts';
import { describeManifest, encodeManifestList, type ManifestFile } from '#catalog/iceberg/manifests/manifest-list.ts';
import type { IcebergField } from '#catalog/iceberg/metadata/iceberg-schema.ts';
import { printTableMetadata, type TableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import type { ScanTime } from '#catalog/iceberg/read/time-travel.ts';

/** A table on disk put together file by file, as any engine may have written it. No catalog knows it. */
export class ForeignTable implements AsyncDisposable {
  readonly folder: string;
  metadata: TableMetadata;
  metadataLocation = '';
  #manifests: ManifestFile[] = [];
  #clock = Date.parse('2026-01-01T00:00:00Z');

  private constructor(folder: string, metadata: TableMetadata) {
    this.folder = folder;
    this.metadata = metadata;
  }

  static async create(
    fields: IcebergField[],
    options: {
      formatVersion?: 2 | 3;
      spec?: TableMetadata['partition-specs'][number]['fields'];
      properties?: Record<string, string>;
      key?: number[];
    } = {},
  ): Promise<ForeignTable> {
    const folder = await mkdtemp(path.join(tmpdir(), 'dailies-foreign-'));
    await mkdir(path.join(folder, 'data'));
    await mkdir(path.join(folder, 'metadata'));
    const formatVersion = options.formatVersion ?? 2;
    const table = new ForeignTable(folder, {
      'format-version': formatVersion,
      'table-uuid': randomUUID(),
      location: `file://${folder}`,
      'last-sequence-number': 0n,
      'last-updated-ms': 0,
      'last-column-id': 100,
      schemas: [{ type: 'struct', 'schema-id': 0, 'identifier-field-ids': options.key ?? [], fields }],
      'current-schema-id': 0,
      'partition-specs': [{ 'spec-id': 0, fields: options.spec ?? [] }],
      'default-spec-id': 0,
      'last-partition-id': 1100,
      properties: options.properties ?? {},
      'current-snapshot-id': -1n,
      snapshots: [],
      'snapshot-log': [],
      'metadata-log': [],
      'sort-orders': [{ 'order-id': 0, fields: [] }],
      'default-sort-order-id': 0,
      refs: {},
      ...(formatVersion === 3 ? { 'next-row-id': 0n } : {}),
    });
    await table.#writeMetadata();
    return table;
  }

  /** Writes the SELECT's rows to a Parquet file; `fieldIds` is DuckDB's FIELD_IDS, none if left out. */
  async file(sql: string, fieldIds: string | null, facts: Partial<DataFile> = {}): Promise<DataFile> {
    const file = path.join(this.folder, 'data', `${randomUUID()}.parquet`);
    const connection = await connectDuckdb();
    try {
      const ids = fieldIds === null ? '' : `, FIELD_IDS ${fieldIds}`;
      const reader = await connection.runAndReadAll(`COPY (${sql}) TO ${literal(file)} (FORMAT parquet${ids})`);
      return {
        ...plainFile,
        content: 'data',
        location: `file://${file}`,
        recordCount: Number(reader.getRows()[0]?.[0]),
        sizeBytes: (await stat(file)).size,
        columnSizes: new Map(),
        valueCounts: new Map(),
        nullCounts: new Map(),
        nanCounts: new Map(),
        lowerBounds: new Map(),
        upperBounds: new Map(),
        ...facts,
      };
    } finally {
      connection.closeSync();
    }
  }

  /** Position deletes of any number of files, in one. */
  async positionDeletes(
    rows: readonly (readonly [DataFile, number])[],
    facts: Partial<DataFile> = {},
  ): Promise<DataFile> {
    const values = rows.map(([file, row]) => `(${literal(file.location)}, ${row}::BIGINT)`);
    return await this.file(
      `SELECT * FROM (VALUES ${values.join(', ')}) AS rows(file_path, pos) ORDER BY ALL`,
      '{file_path: 2147483546, pos: 2147483545}',
      { content: 'position-deletes', ...facts },
    );
  }

  /** Commits files; those in `removed` leave. Gives the snapshot's id. */
  async commit(
    added: readonly DataFile[],
    removed: readonly DataFile[] = [],
    operation = 'overwrite',
  ): Promise<bigint> {
    const { metadata } = this;
    const sequenceNumber = metadata['last-sequence-number'] + 1n;
    const id = sequenceNumber * 1000n;
    const gone = new Set(removed.map((file) => file.location));
    const manifests: ManifestFile[] = [];
    for (const manifest of this.#manifests) {
      const entries = this.#entries.get(manifest.location) ?? [];
      if (!entries.some((entry) => gone.has(entry.file.location))) manifests.push(manifest);
      else {
        const kept = entries.map(
          (entry): ManifestEntry =>
            gone.has(entry.file.location)
              ? { ...entry, status: 'deleted', snapshotId: id }
              : entry.status === 'deleted'
                ? entry
                : { ...entry, status: 'existing' },
        );
        manifests.push(await this.#writeManifest(kept, manifest.content, manifest.specId, id, sequenceNumber));
      }
    }
    const groups = Map.groupBy(added, (file) => `${file.content === 'data'} ${file.specId}`);
    for (const files of groups.values()) {
      const content = files[0]?.content === 'data' ? 'data' : 'deletes';
      const entries = files.map(
        (file): ManifestEntry => ({
          status: 'added',
          snapshotId: id,
          sequenceNumber,
          fileSequenceNumber: sequenceNumber,
          file,
        }),
      );
      manifests.push(await this.#writeManifest(entries, content, files[0]?.specId ?? 0, id, sequenceNumber));
    }
    this.#manifests = manifests;
    const list = path.join(this.folder, 'metadata', `snap-${id}.avro`);
    const parentId = metadata['current-snapshot-id'] ?? null;
    const formatVersion = metadata['format-version'] === 3 ? 3 : 2;
    await writeFile(
      list,
      encodeManifestList(manifests, { id, parentId, sequenceNumber, firstRowId: 0n }, formatVersion),
    );
    this.#clock += 60_000;
    const at = this.#clock;
    this.metadata = {
      ...metadata,
      'last-sequence-number': sequenceNumber,
      'last-updated-ms': at,
      'current-snapshot-id': id,
      snapshots: [
        ...metadata.snapshots,
        {
          'snapshot-id': id,
          ...(parentId === -1n || parentId === null ? {} : { 'parent-snapshot-id': parentId }),
          'sequence-number': sequenceNumber,
          'timestamp-ms': at,
          'manifest-list': `file://${list}`,
          summary: { operation },
          'schema-id': metadata['current-schema-id'],
          ...(formatVersion === 3 ? { 'first-row-id': 0n, 'added-rows': 0n } : {}),
        },
      ],
      'snapshot-log': [...metadata['snapshot-log'], { 'timestamp-ms': at, 'snapshot-id': id }],
      refs: { ...metadata.refs, main: { 'snapshot-id': id, type: 'branch' } },
    };
    await this.#writeMetadata();
    return id;
  }

  /** Makes these the table's columns. */
  async evolve(fields: IcebergField[]): Promise<void> {
    const id = this.metadata.schemas.length;
    const [first] = this.metadata.schemas;
    if (!first) throw new Error('The table has no schema.');
    await this.change({
      schemas: [...this.metadata.schemas, { ...first, 'schema-id': id, fields }],
      'current-schema-id': id,
    });
  }

  async change(metadata: Partial<TableMetadata>): Promise<void> {
    this.metadata = { ...this.metadata, ...metadata };
    await this.#writeMetadata();
  }

  /** The rows of a scan as text, sorted. */
  async read(at?: ScanTime): Promise<string[]> {
    return await runRows((await planScan(this.metadataLocation, at)).sql);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  readonly #entries = new Map<string, readonly ManifestEntry[]>();

  async #writeManifest(
    entries: readonly ManifestEntry[],
    content: 'data' | 'deletes',
    specId: number,
    snapshotId: bigint,
    sequenceNumber: bigint,
  ): Promise<ManifestFile> {
    const file = path.join(this.folder, 'metadata', `${randomUUID()}-m.avro`);
    const bytes = encodeManifest(entries, content, this.metadata, specId);
    await writeFile(file, bytes);
    const location = `file://${file}`;
    this.#entries.set(location, entries);
    const reference = {
      location,
      lengthBytes: bytes.length,
      content,
      snapshotId,
      sequenceNumber,
      specId,
      firstRowId: null,
    };
    return describeManifest(reference, entries, this.metadata);
  }

  async #writeMetadata(): Promise<void> {
    const file = path.join(this.folder, 'metadata', `${randomUUID()}.metadata.json`);
    await writeFile(file, printTableMetadata(this.metadata));
    this.metadataLocation = `file://${file}`;
  }
}

/** The rows of a SELECT, each as the JSON of its columns, sorted. */
export async function runRows(sql: string): Promise<string[]> {
  const connection = await connectDuckdb();
  try {
    await connection.run("SET TimeZone = 'UTC'");
    const reader = await connection.runAndReadAll(`SELECT to_json(item)::VARCHAR FROM (${sql}) AS item ORDER BY 1`);
    return reader.getRows().map(([row]) => String(row));
  } finally {
    connection.closeSync();
  }
}

/** An optional column. */
export function column(
  id: number,
  name: string,
  type: IcebergField['type'],
  more: Partial<IcebergField> = {},
): IcebergField {
  return { id, name, required: false, type, ...more };
}
