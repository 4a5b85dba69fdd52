import type { Schema } from '../../schemas/schema.ts';
import { duckdbTypeName, identifier, literal } from '../files/duckdb-values.ts';
import { mapEntry, pathList } from '../files/read-parquet.ts';
import type { DataFile } from '../manifests/manifest.ts';
import type { IcebergSchema } from '../metadata/iceberg-schema.ts';
import { withLineage } from '../metadata/row-lineage.ts';
import {
  currentSnapshot,
  liveRows,
  readTableMetadata,
  schemaOf,
  type TableMetadata,
} from '../metadata/table-metadata.ts';
import { localPath } from '../storage.ts';
import { isLive, isUnmasked, masksJoin, parquetLocation } from './delete-masks.ts';
import { equalityJoins, keyColumns } from './equality-deletes.ts';
import { readScannedFiles, type ScannedFile } from './live-files.ts';
import { type MaskedPart, type MaskFolder, noMaskFiles, writeMasks } from './mask-files.ts';
import { fileFilter, type RowFilter } from './pruning.ts';
import { type FileMasks, smallFileRows } from './read-masks.ts';
import { absentText, innerName, type ScanColumn, scanColumns } from './scan-columns.ts';
import { type FileProjections, type ScanTarget, scanTarget } from './scan-target.ts';
import { isBestSideBySide } from './side-by-side.ts';
import { type ScanTime, snapshotAt } from './time-travel.ts';

/** How to read one snapshot of a table with DuckDB. */
export interface TableScan {
  /** A DuckDB SELECT that yields the table's columns in schema order, right after deletes; it reads only `files`. */
  sql: string;
  /** Data and delete files: whoever runs `sql` holds them (`holdLocal`) until it has run. */
  locations: string[];
  /** Their local paths. They stay at their locations for 10 minutes after the snapshot has expired. */
  files: string[];
  schema: Schema;
  metadata: TableMetadata;
  /** Null for a table without a snapshot. */
  snapshotId: bigint | null;
  snapshotTimeMs: number | null;
  rows: bigint;
  /** Where `needs` is `count`, the live rows as metadata and deletes tell: `sql` then reads no file and gives so many NULLs. */
  count: bigint | null;
}

/** What a statement needs of a table's rows: maybe few of them, all that fulfil its filter, or only how many there are. */
export type NeededRows = 'some' | 'all' | 'count';

export interface ScanOptions {
  /** What all rows fulfil that are wanted, over the columns that the scan finds. */
  filter?: ((columns: readonly ScanColumn[]) => RowFilter) | undefined;
  /** Of a table of format 3: `_row_id` and `_last_updated_sequence_number` after its own columns. */
  hasLineage?: boolean | undefined;
  /** What the scan is for: by default some of the rows. */
  needs?: NeededRows;
  /** Names in lower case, the read columns' own among them; null for all columns. They tell what the scan costs, not what it gives. */
  reads?: readonly string[] | null;
  /** Where masks of deleted rows may be written for the scan, if it needs all; else they are in its SQL. */
  masks?: MaskFolder | undefined;
}

/**
 * Plans a scan of the table at its current snapshot, or at an older one. Throws `not_found` naming the oldest snapshot
 * kept if `at` is before it, `table_corrupt`, or `unsupported` for what another engine wrote and DuckDB cannot read. Files
 * without rows that fulfil `filter` are left out; others may still give rows that do not.
 */
export async function planScan(
  metadataLocation: string,
  at?: ScanTime,
  { filter, hasLineage, needs = 'some', reads = null, masks: folder }: ScanOptions = {},
): Promise<TableScan> {
  const metadata = await readTableMetadata(metadataLocation);
  const snapshot = at === undefined ? currentSnapshot(metadata) : snapshotAt(metadata, at);
  const iceberg = schemaOf(metadata, at === undefined ? undefined : snapshot?.['schema-id']);
  const { schema, columns } = scanColumns(iceberg, metadata.properties);
  const rowFilter = filter?.(columns) ?? null;
  const pruning = rowFilter === null ? undefined : fileFilter(rowFilter, metadata);
  const files = snapshot ? (await readScannedFiles(snapshot, pruning)).files : [];
  const locations = scanLocations(files);
  const isLineage = hasLineage === true && metadata['format-version'] === 3;
  const target = await scanTarget(metadata, columns, files, needs === 'count');
  const count = needs === 'count' && filter === undefined ? countLive(files, target.masks) : null;
  const read = columns.filter(({ field }) => reads === null || reads.includes(field.name.toLowerCase()));
  const isSideBySide = needs !== 'some' && count === null && isBestSideBySide(files, read, rowFilter);
  const maskFiles = folder && isSideBySide ? await writeMasks(folder, files, target.masks) : noMaskFiles;
  const opened = count === null ? locations : [];
  return {
    sql:
      count === null
        ? liveRowsSql({ ...target, maskFiles, hasLineage: isLineage }, files)
        : emptyRowsSql({ ...target, hasLineage: isLineage }, count),
    locations: opened,
    files: [...opened.map(localPath), ...maskFiles.paths],
    schema,
    metadata,
    snapshotId: snapshot?.['snapshot-id'] ?? null,
    snapshotTimeMs: snapshot?.['timestamp-ms'] ?? null,
    rows: liveRows(snapshot),
    count,
  };
}

/** Null where only the files' rows can tell. */
function countLive(files: readonly ScannedFile[], masks: FileMasks): bigint | null {
  let rows = 0n;
  for (const { data, deletes, equalityDeletes } of files) {
    const mask = masks.get(data.file.location);
    if (equalityDeletes.length > 0 || (deletes.length > 0 && !mask)) return null;
    rows += BigInt(data.file.recordCount - (mask?.deleted ?? 0));
  }
  return rows;
}

/** A SELECT of these files' live rows, columns in the target's order. */
export function liveRowsSql(target: ScanTarget, files: readonly ScannedFile[]): string {
  const branches: string[] = [];
  const parts: { sql: string; rows: number }[] = [];
  // Files with equality deletes carry their number of the file for the join, and so are read together.
  for (const group of Map.groupBy(files, (file) => file.equalityDeletes.length > 0).values()) {
    const clean: ScannedFile[] = [];
    const masked: ScannedFile[] = [];
    const joined: ScannedFile[] = [];
    for (const file of group) {
      const own = target.maskFiles?.parts.get(file.data.file.location);
      const rows = file.data.file.recordCount / (own?.length ?? 1);
      if (file.deletes.length === 0) clean.push(file);
      else if (own) parts.push(...own.map((part) => ({ sql: rowsSql(target, [file], part), rows })));
      else if (file.data.file.recordCount <= smallFileRows) joined.push(file);
      else masked.push(file);
    }
    if (joined.length > 0) {
      const join = masksJoin(joined, target.masks, 'data.f');
      branches.push(rowsSql(target, joined, { ...placed(isUnmasked('data.r')), join }));
    }
    // DuckDB shares one scan of many files better among its threads than many scans.
    const live = isLive(masked, target.masks, 'data.f', 'data.r');
    if (masked.length > 0) branches.push(rowsSql(target, [...masked, ...clean], placed(live)));
    else if (clean.length > 0) branches.push(rowsSql(target, clean));
  }
  const all = begunInOrder([...parts.sort((a, b) => b.rows - a.rows).map(({ sql }) => sql), ...branches]);
  return all.length === 0 ? emptyRowsSql(target, 0n) : all.join(' UNION ALL ');
}

/**
 * The branches in the order in which DuckDB begins them: the first one, and then from the last to the second. Each part of a
 * file is read by one thread, so the largest are begun first, and last what all threads read together, which fills what these
 * leave.
 */
function begunInOrder([first, ...others]: readonly string[]): string[] {
  return first === undefined ? [] : [first, ...others.reverse()];
}

const wholeFiles: MaskedPart = { range: null, join: null, where: null, usesPlace: false };

/** The rows for which a condition holds; `data.r` is a row's number in its file, `data.f` the file's index. */
export function placed(where: string): MaskedPart {
  return { ...wholeFiles, where, usesPlace: true };
}

/** A SELECT of those rows of the files, or of a part of one, that no equality delete deletes. */
export function rowsSql(
  target: ScanTarget,
  files: readonly ScannedFile[],
  { range, join, where, usesPlace }: MaskedPart = wholeFiles,
): string {
  const relation = (columns: readonly ScanColumn[], read: readonly DataFile[]) =>
    relationSql(target.projections, columns, read, true, null);
  const hasEquality = files.some((file) => file.equalityDeletes.length > 0);
  const equality = hasEquality ? equalityJoins(target.keys, files, relation) : '';
  const columns = [
    ...target.columns,
    ...(hasEquality ? keyColumns(target.keys, target.columns) : []),
    ...(target.hasLineage ? lineageScanColumns : []),
  ];
  const read = files.map(({ data }) => data.file);
  const needsPlace = hasEquality || usesPlace || target.hasLineage === true;
  const source = relationSql(target.projections, columns, read, needsPlace, range);
  const list = [selectList(target), ...(target.hasLineage ? lineageList(files) : [])].join(', ');
  return `SELECT ${list} FROM (${source}) AS data ${join ?? ''} ${equality}${where === null ? '' : ` WHERE ${where}`}`;
}

/** Row ids and sequence numbers: those of a row's file, unless the row was moved there with its own (spec, Row Lineage). */
function lineageList(files: readonly ScannedFile[]): string[] {
  const first = files.map(({ data }) => data.file.firstRowId ?? 'NULL').join(', ');
  const sequence = files.map(({ data }) => data.sequenceNumber).join(', ');
  const inherited = [`([${first}]::BIGINT[])[data.f + 1] + data.r`, `([${sequence}]::BIGINT[])[data.f + 1]`];
  return lineageScanColumns.map(
    (column, index) =>
      `coalesce(data.${innerName(column)}, ${inherited[index]})::BIGINT AS ${identifier(column.field.name)}`,
  );
}

const lineageScanColumns: readonly ScanColumn[] = withLineage<{ schema: Schema; iceberg: IcebergSchema }>({
  schema: { fields: [], key: [] },
  iceberg: { type: 'struct', 'schema-id': 0, fields: [] },
}).iceberg.fields.map((field) => ({
  id: field.id,
  field: { name: field.name, type: { kind: 'long' }, required: false },
  iceberg: field,
}));

function selectList({ columns, isItem }: ScanTarget): string {
  if (isItem) {
    return `{${columns.map((column) => `${literal(column.field.name)}: data.${innerName(column)}`).join(', ')}} AS item`;
  }
  return columns.map((column) => `data.${innerName(column)} AS ${identifier(column.field.name)}`).join(', ');
}

/** Files as columns of their inner names, right by field id; with each row's number `r` in its file, and the file's index `f`. */
function relationSql(
  projections: FileProjections,
  columns: readonly ScanColumn[],
  files: readonly DataFile[],
  needsPlace: boolean,
  range: MaskedPart['range'],
): string {
  const groups = Map.groupBy(files.keys(), (index) => {
    const file = files[index];
    return (file ? projections(file, columns) : null)?.join(', ') ?? null;
  });
  return [...groups]
    .map(([projection, indexes]) => {
      const read = indexes.flatMap((index) => files[index] ?? []);
      const paths = read.map((file) => localPath(parquetLocation(file)));
      // DuckDB opens no file to plan with a schema given, takes each for empty, and joins the wrong way round.
      const rows = read.reduce((sum, file) => sum + file.recordCount, 0);
      const place = `, file_row_number AS r, ${indexSql(indexes, files.length)} AS f`;
      const list = (projection ?? columns.map(innerName).join(', ')) + (needsPlace ? place : '');
      const schema = projection === null ? `, ${schemaOption(columns)}` : '';
      return `SELECT ${list} FROM read_parquet(${pathList(paths)}, hive_partitioning = false, explicit_cardinality = ${rows}${schema})${rangeSql(range)}`;
    })
    .join(' UNION ALL ');
}

function rangeSql(range: MaskedPart['range']): string {
  if (range === null) return '';
  const ends = [
    range.from > 0 ? `file_row_number >= ${range.from}` : [],
    range.to === null ? [] : `file_row_number < ${range.to}`,
  ].flat();
  return ` WHERE ${ends.join(' AND ')}`;
}

function indexSql(indexes: readonly number[], count: number): string {
  return indexes.length === count ? 'file_index::BIGINT' : `[${indexes.join(', ')}][file_index::BIGINT + 1]::BIGINT`;
}

function schemaOption(columns: readonly ScanColumn[]): string {
  const entries = columns.map((column) =>
    mapEntry(column.id, innerName(column), column.field.type, absentText(column.field)),
  );
  return `schema = MAP {${entries.join(', ')}}`;
}

/** So many rows of NULLs. */
function emptyRowsSql({ columns, hasLineage }: ScanTarget, count: bigint): string {
  const list = [...columns, ...(hasLineage ? lineageScanColumns : [])].map(
    ({ field }) => `CAST(NULL AS ${duckdbTypeName(field.type)}) AS ${identifier(field.name)}`,
  );
  return `SELECT ${list.join(', ')} ${count === 0n ? 'WHERE false' : `FROM repeat(1, ${count})`}`;
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
