import { DailiesError } from '../error.ts';
import type { Schema } from '../schemas/schema.ts';
import { duckdbTypeName, identifier, literal } from './duckdb-values.ts';
import { type LiveFile, readLiveFiles } from './live-files.ts';
import { fieldIds, fromIcebergSchema } from './schema-conversion.ts';
import { isS3 } from './storage/s3-location.ts';
import { localPath } from './storage.ts';
import {
  currentSnapshot,
  liveRows,
  readTableMetadata,
  type Snapshot,
  schemaOf,
  snapshotById,
  type TableMetadata,
} from './table-metadata.ts';

/** How to read one snapshot of a table with DuckDB. */
export interface TableScan {
  /** A DuckDB SELECT that yields the table's columns in schema order, right after deletes; it reads only `files`. */
  sql: string;
  /** Data and delete files: whoever runs `sql` holds them (`holdLocal`) until it has run. */
  locations: string[];
  /** Their local paths. They stay at their locations for 10 minutes after the snapshot has expired. */
  files: string[];
  schema: Schema;
  /** Null for a table without a snapshot. */
  snapshotId: bigint | null;
  snapshotTimeMs: number | null;
  rows: bigint;
}

export type ScanTime = { snapshotId: bigint } | { timeMs: number };

/**
 * Plans a scan of the table at its current snapshot, or at an older one. Throws `not_found` naming the oldest snapshot
 * kept if `at` is before it, `table_corrupt`, or `unsupported` for what another engine wrote and DuckDB cannot read.
 */
export async function planScan(metadataLocation: string, at?: ScanTime): Promise<TableScan> {
  const metadata = await readTableMetadata(metadataLocation);
  const snapshot = at === undefined ? currentSnapshot(metadata) : snapshotAt(metadata, at);
  const icebergSchema = schemaOf(metadata, at === undefined ? undefined : snapshot?.['schema-id']);
  const schema = fromIcebergSchema(icebergSchema, metadata.properties);
  const ids = fieldIds(icebergSchema);
  const live = snapshot ? (await readLiveFiles(snapshot)).files : [];
  const locations = scanLocations(live);
  return {
    sql: scanSql(live, schema, ids),
    locations,
    files: locations.map(localPath),
    schema,
    snapshotId: snapshot?.['snapshot-id'] ?? null,
    snapshotTimeMs: snapshot?.['timestamp-ms'] ?? null,
    rows: liveRows(snapshot),
  };
}

function snapshotAt(metadata: TableMetadata, at: ScanTime): Snapshot {
  if ('snapshotId' in at) {
    const found = snapshotById(metadata, at.snapshotId);
    if (found) return found;
    throw new DailiesError('not_found', `The table has no snapshot ${at.snapshotId}; it may have expired.`);
  }
  const log = metadata['snapshot-log'];
  const entry = log.findLast((candidate) => candidate['timestamp-ms'] <= at.timeMs);
  const found = entry && snapshotById(metadata, entry['snapshot-id']);
  if (found) return found;
  const oldest = log[0];
  throw new DailiesError(
    'not_found',
    oldest
      ? `The oldest state of the table that is kept is of ${new Date(oldest['timestamp-ms']).toISOString()}.`
      : 'The table has no snapshot yet.',
    { details: { oldest: oldest ? new Date(oldest['timestamp-ms']).toISOString() : null } },
  );
}

/** DuckDB's own name for it, `filename`, is one that tables have, too. */
const fileColumn = '__dailies_filename';

/** Files with few rows are masked together by an anti join; larger ones each by a bit mask, which is cheaper a row. */
const smallFileRows = 50_000;

/** A SELECT of these files' live rows, columns in schema order. */
export function scanSql(files: readonly LiveFile[], schema: Schema, ids: readonly number[]): string {
  const columns = schema.fields.map((field) => identifier(field.name)).join(', ');
  const clean: LiveFile[] = [];
  const joined: LiveFile[] = [];
  const masked: LiveFile[] = [];
  for (const file of files) {
    const isFileScoped = file.deletes.every((deletes) => deletes.file.referencedDataFile === file.data.file.location);
    if (file.deletes.length === 0) clean.push(file);
    else if (file.data.file.recordCount > smallFileRows && isFileScoped) masked.push(file);
    else joined.push(file);
  }
  const branches: string[] = [];
  if (clean.length > 0) {
    branches.push(`SELECT ${columns} FROM ${readParquet(clean.map(dataPath), schema, ids)}`);
  }
  if (joined.length > 0) branches.push(antiJoin(joined, columns, schema, ids));
  for (const file of masked) branches.push(bitMask(file, columns, schema, ids));
  if (branches.length === 0) return emptySql(schema);
  return branches.join(' UNION ALL ');
}

function emptySql(schema: Schema): string {
  const columns = schema.fields.map(
    (field) => `CAST(NULL AS ${duckdbTypeName(field.type)}) AS ${identifier(field.name)}`,
  );
  return `SELECT ${columns.join(', ')} WHERE false`;
}

function antiJoin(files: readonly LiveFile[], columns: string, schema: Schema, ids: readonly number[]): string {
  const deletes = [...new Set(files.flatMap((file) => file.deletes.map((entry) => localPath(entry.file.location))))];
  const source = readParquet(files.map(dataPath), schema, ids, [
    `filename = ${literal(fileColumn)}`,
    'file_row_number = true',
  ]);
  const path = pathOfDeleted(files);
  return `SELECT ${columns} FROM ${source} AS data WHERE NOT EXISTS (SELECT 1 FROM read_parquet(${pathList(deletes)}) AS deleted WHERE ${path} = data.${fileColumn} AND deleted.pos = data.file_row_number)`;
}

/** An expression for the local path of the file that a row of `deleted` is about. */
function pathOfDeleted(files: readonly LiveFile[]): string {
  if (!files.some((file) => isS3(file.data.file.location))) {
    // Locations and local paths name the same file with or without the scheme.
    return "regexp_replace(deleted.file_path, '^file:(//)?/', '/')";
  }
  const paths = files.map((file) => `${literal(file.data.file.location)}: ${literal(dataPath(file))}`);
  return `MAP {${paths.join(', ')}}[deleted.file_path]`;
}

function bitMask(file: LiveFile, columns: string, schema: Schema, ids: readonly number[]): string {
  const deletes = file.deletes.map((entry) => localPath(entry.file.location));
  const last = file.data.file.recordCount - 1;
  const mask = `(SELECT bitstring_agg(pos, 0, ${last}) FROM read_parquet(${pathList(deletes)}))`;
  const source = readParquet([dataPath(file)], schema, ids, ['file_row_number = true']);
  return `SELECT ${columns} FROM ${source} WHERE get_bit(${mask}, file_row_number::INTEGER) = 0`;
}

function dataPath(file: LiveFile): string {
  return localPath(file.data.file.location);
}

/** `read_parquet(…)` that matches columns by field id: names and types are the schema's, absent columns NULL. */
export function readParquet(
  paths: readonly string[],
  schema: Schema,
  ids: readonly number[],
  options: readonly string[] = [],
): string {
  const entries = schema.fields.map(
    (field, index) =>
      `${ids[index]}: {name: ${literal(field.name)}, type: ${literal(duckdbTypeName(field.type))}, default_value: NULL}`,
  );
  return `read_parquet(${[pathList(paths), ...options, `schema = MAP {${entries.join(', ')}}`].join(', ')})`;
}

function pathList(paths: readonly string[]): string {
  return `[${paths.map(literal).join(', ')}]`;
}

function scanLocations(files: readonly LiveFile[]): string[] {
  const locations = new Set<string>();
  for (const file of files) {
    locations.add(file.data.file.location);
    for (const deletes of file.deletes) locations.add(deletes.file.location);
  }
  return [...locations];
}
