import type { Schema } from '../schemas/schema.ts';
import {
  type DeletionVectors,
  isDeleted,
  isUnmasked,
  masksJoin,
  parquetLocation,
  readDeletionVectors,
} from './delete-masks.ts';
import { duckdbTypeName, identifier, literal } from './duckdb-values.ts';
import { readScannedFiles, type ScannedFile } from './live-files.ts';
import { mapEntry, pathList } from './read-parquet.ts';
import { absentText, innerName, type ScanColumn, scanColumns } from './scan-columns.ts';
import { localPath } from './storage.ts';
import { currentSnapshot, liveRows, readTableMetadata, schemaOf } from './table-metadata.ts';
import { type ScanTime, snapshotAt } from './time-travel.ts';

export { readParquet } from './read-parquet.ts';

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

/**
 * Plans a scan of the table at its current snapshot, or at an older one. Throws `not_found` naming the oldest snapshot
 * kept if `at` is before it, `table_corrupt`, or `unsupported` for what another engine wrote and DuckDB cannot read.
 */
export async function planScan(metadataLocation: string, at?: ScanTime): Promise<TableScan> {
  const metadata = await readTableMetadata(metadataLocation);
  const snapshot = at === undefined ? currentSnapshot(metadata) : snapshotAt(metadata, at);
  const iceberg = schemaOf(metadata, at === undefined ? undefined : snapshot?.['schema-id']);
  const { schema, columns } = scanColumns(iceberg, metadata.properties);
  const files = snapshot ? (await readScannedFiles(snapshot)).files : [];
  const locations = scanLocations(files);
  return {
    sql: liveRowsSql({ columns, vectors: await readDeletionVectors(files) }, files),
    locations,
    files: locations.map(localPath),
    schema,
    snapshotId: snapshot?.['snapshot-id'] ?? null,
    snapshotTimeMs: snapshot?.['timestamp-ms'] ?? null,
    rows: liveRows(snapshot),
  };
}

/** What the rows of files are read as. */
export interface ScanTarget {
  columns: readonly ScanColumn[];
  vectors: DeletionVectors;
  /** Each row as one struct `item`, in place of its columns. */
  isItem?: boolean;
}

/** Files with few rows are read together and joined to their masks; larger ones each by itself, which is cheaper a row. */
const smallFileRows = 50_000;

/** A SELECT of these files' live rows, columns in the target's order. */
export function liveRowsSql(target: ScanTarget, files: readonly ScannedFile[]): string {
  const clean: ScannedFile[] = [];
  const joined: ScannedFile[] = [];
  const branches: string[] = [];
  for (const file of files) {
    if (file.deletes.length === 0) clean.push(file);
    else if (file.data.file.recordCount <= smallFileRows) joined.push(file);
    else branches.push(rowsSql(target, [file], `NOT (${isDeleted(file, target.vectors, 'r')})`));
  }
  if (joined.length > 0) {
    const join = masksJoin(joined, target.vectors, 'data.f') ?? '';
    branches.unshift(rowsSql(target, joined, isUnmasked('data.r'), join));
  }
  if (clean.length > 0) branches.unshift(rowsSql(target, clean));
  return branches.length === 0 ? noRowsSql(target.columns) : branches.join(' UNION ALL ');
}

/** A SELECT of those rows of the files for which a condition holds; `data.r` is a row's number, `data.f` its file's index. */
export function rowsSql(target: ScanTarget, files: readonly ScannedFile[], where?: string, join = ''): string {
  const source = `(${relationSql(target, files, where !== undefined)}) AS data`;
  return `SELECT ${selectList(target)} FROM ${source} ${join}${where === undefined ? '' : ` WHERE ${where}`}`;
}

function selectList({ columns, isItem }: ScanTarget): string {
  if (isItem) {
    return `{${columns.map((column) => `${literal(column.field.name)}: data.${innerName(column)}`).join(', ')}} AS item`;
  }
  return columns.map((column) => `data.${innerName(column)} AS ${identifier(column.field.name)}`).join(', ');
}

function relationSql(target: ScanTarget, files: readonly ScannedFile[], needsPlace: boolean): string {
  const names = target.columns.map(innerName);
  if (needsPlace) names.push('file_row_number AS r', 'file_index::BIGINT AS f');
  const entries = target.columns.map((column) =>
    mapEntry(column.id, innerName(column), column.field.type, absentText(column.field)),
  );
  const paths = files.map((file) => localPath(parquetLocation(file.data.file)));
  return `SELECT ${names.join(', ')} FROM read_parquet(${pathList(paths)}, schema = MAP {${entries.join(', ')}})`;
}

export function noRowsSql(columns: readonly ScanColumn[]): string {
  const list = columns.map(({ field }) => `CAST(NULL AS ${duckdbTypeName(field.type)}) AS ${identifier(field.name)}`);
  return `SELECT ${list.join(', ')} WHERE false`;
}

/** All that a scan of these files opens with DuckDB. */
export function scanLocations(files: readonly ScannedFile[]): string[] {
  const locations = new Set<string>();
  for (const file of files) {
    locations.add(file.data.file.location);
    for (const { file: deletes } of [...file.deletes, ...file.equalityDeletes]) {
      // Deletion vectors are read here already.
      if (deletes.format !== 'puffin') locations.add(deletes.location);
    }
  }
  return [...locations];
}
