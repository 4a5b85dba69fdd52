import type { Schema } from '../../schemas/schema.ts';
import { duckdbTypeName, identifier } from '../files/duckdb-values.ts';
import { bitsLiteral } from '../files/read-parquet.ts';
import type { ManifestEntry } from '../manifests/manifest.ts';
import {
  ancestors,
  currentSnapshot,
  readTableMetadata,
  type Snapshot,
  schemaOf,
  type TableMetadata,
} from '../metadata/table-metadata.ts';
import { localPath } from '../storage.ts';
import { bitIs } from './delete-masks.ts';
import { readScannedFiles, type ScannedFile } from './live-files.ts';
import { type FileMasks, readMasks, smallFileRows } from './read-masks.ts';
import { liveRowsSql, placed, rowsSql, scanLocations } from './scan.ts';
import { type ScanColumn, scanColumns } from './scan-columns.ts';
import { type ScanTarget, scanTarget } from './scan-target.ts';
import { type ScanTime, snapshotAt } from './time-travel.ts';

/*
 * What changed in a table between two of its states, from the files in which they differ.
 *
 *   from ──commit──► a ──commit──► b ──compaction──► c ──commit──► to
 *   └─── one stretch: from → b ───┘                └ another: c → to ┘
 *
 * A compaction (`replace`) moves rows and changes none: the history is cut there, and each stretch compared by its own files.
 * Of a file that both ends of a stretch have, only rows that one end has deleted are read; of all others in one end, its live
 * rows. A row that leaves is `gone`, one that appears has `come`; with a key the first and the last event of a key tell what
 * happened to it, without one equal rows cancel out. Where the history between is not whole (expired, or rolled back), both
 * ends are one stretch: right, but rows that a compaction moved are read too, and cancel out.
 */

/** A state of the table, or how to find it in its metadata. */
type ChangeBound = (metadata: TableMetadata) => ScanTime;

/** How to read changes with DuckDB. */
export interface ChangesScan {
  /**
   * A SELECT of `change` (`insert`, `update` or `delete`), `before` and `after`: structs with the table's columns, NULL
   * where the row was, or is, not there. Columns are those of the later state. In no order.
   */
  sql: string;
  /** Files that it opens: to be held (`holdLocal`), and their local paths. */
  locations: string[];
  files: string[];
  schema: Schema;
  metadata: TableMetadata;
  /** Every snapshot whose files are read. */
  snapshotIds: bigint[];
  fromSnapshotId: bigint;
  toSnapshotId: bigint | null;
}

/**
 * Plans the changes after `from` up to and with `to`, by default the present state. Throws `not_found` for a state that is not
 * kept, `table_corrupt`, and `unsupported` as `planScan` does.
 */
export async function planChanges(
  metadataLocation: string,
  from: ChangeBound,
  to: ChangeBound | null,
): Promise<ChangesScan> {
  const metadata = await readTableMetadata(metadataLocation);
  const start = snapshotAt(metadata, from(metadata));
  const end = to === null ? currentSnapshot(metadata) : snapshotAt(metadata, to(metadata));
  const iceberg = schemaOf(metadata, to === null ? undefined : end?.['schema-id']);
  const { schema, columns } = scanColumns(iceberg, metadata.properties);
  const stretches = end === null ? [] : stretchesOf(metadata, start, end);
  const compared = await Promise.all(stretches.map(compare));
  const events: string[] = [];
  const files: ScannedFile[] = [];
  for (const [index, stretch] of compared.entries()) {
    for (const { order, sql, read } of await eventsOf(stretch, metadata, columns)) {
      events.push(`SELECT ${index * 2 + order} AS event, item FROM (${sql})`);
      files.push(...read);
    }
  }
  const locations = scanLocations(files);
  return {
    sql: changesSql(events, schema),
    locations,
    files: locations.map(localPath),
    schema,
    metadata,
    snapshotIds: stretches.flatMap((stretch) => [stretch.start['snapshot-id'], stretch.end['snapshot-id']]),
    fromSnapshotId: start['snapshot-id'],
    toSnapshotId: end?.['snapshot-id'] ?? null,
  };
}

interface Stretch {
  start: Snapshot;
  end: Snapshot;
}

/** The parts of the history from one state to the other, oldest first, without what only moved rows. */
function stretchesOf(metadata: TableMetadata, start: Snapshot, end: Snapshot): Stretch[] {
  const path: Snapshot[] = [];
  let isWhole = false;
  for (const snapshot of ancestors(metadata, end)) {
    if (snapshot['snapshot-id'] === start['snapshot-id']) {
      isWhole = true;
      break;
    }
    path.unshift(snapshot);
  }
  if (!isWhole) return [{ start, end }];
  const stretches: Stretch[] = [];
  let first = start;
  let last = start;
  for (const snapshot of path) {
    if (snapshot.summary.operation === 'replace') {
      if (last !== first) stretches.push({ start: first, end: last });
      first = snapshot;
    }
    last = snapshot;
  }
  if (last !== first) stretches.push({ start: first, end: last });
  return stretches;
}

interface Comparison {
  /** Files that only the start, only the end has. */
  left: ScannedFile[];
  right: ScannedFile[];
  /** Files that both have, with different deletes. */
  kept: { before: ScannedFile; after: ScannedFile }[];
}

async function compare({ start, end }: Stretch): Promise<Comparison> {
  const [before, after] = await Promise.all([readScannedFiles(start), readScannedFiles(end)]);
  const ends = new Map(after.files.map((file) => [file.data.file.location, file]));
  const comparison: Comparison = { left: [], right: [], kept: [] };
  for (const file of before.files) {
    const same = ends.get(file.data.file.location);
    ends.delete(file.data.file.location);
    if (!same) comparison.left.push(file);
    else if (namesOf(file.equalityDeletes) !== namesOf(same.equalityDeletes)) {
      // Which rows those delete is not known without reading the file: all of it, what stays cancels out.
      comparison.left.push(file);
      comparison.right.push(same);
    } else if (namesOf(file.deletes) !== namesOf(same.deletes)) comparison.kept.push({ before: file, after: same });
  }
  comparison.right.push(...ends.values());
  return comparison;
}

function namesOf(deletes: readonly ManifestEntry[]): string {
  return deletes
    .map(({ file }) => `${file.location} ${file.contentOffset}`)
    .sort()
    .join('\n');
}

/** A SELECT of rows that are gone (0) or have come (1). */
interface Events {
  order: 0 | 1;
  sql: string;
  /** What it reads. */
  read: ScannedFile[];
}

async function eventsOf(
  { left, right, kept }: Comparison,
  metadata: TableMetadata,
  columns: readonly ScanColumn[],
): Promise<Events[]> {
  const before = kept.map((pair) => pair.before);
  const after = kept.map((pair) => pair.after);
  const [was, is] = await Promise.all([
    itemTarget(metadata, columns, left),
    itemTarget(metadata, columns, [...right, ...after]),
  ]);
  const [wereDeleted, areDeleted] = await Promise.all([readMasks(before, true), readMasks(after, true)]);
  const events: Events[] = [];
  if (left.length > 0) events.push({ order: 0, sql: liveRowsSql(was, left), read: left });
  if (right.length > 0) events.push({ order: 1, sql: liveRowsSql(is, right), read: right });
  for (const rows of onlyDeletedBy(areDeleted, wereDeleted, is, after)) events.push({ order: 0, ...rows });
  // Deletes are taken back by a rollback only.
  for (const rows of onlyDeletedBy(wereDeleted, areDeleted, is, after)) events.push({ order: 1, ...rows });
  return events;
}

/** SELECTs of the rows that one state's masks delete and the other's do not: one of all small files, one of each large. */
function onlyDeletedBy(
  masks: FileMasks,
  others: FileMasks,
  target: ScanTarget,
  files: readonly ScannedFile[],
): Pick<Events, 'sql' | 'read'>[] {
  const turned = files.flatMap((file) => {
    const { location } = file.data.file;
    const bits = onlyIn(masks.get(location)?.bits, others.get(location)?.bits);
    return bits ? [{ file, bits }] : [];
  });
  const groups = Map.groupBy(turned, ({ file }) =>
    file.data.file.recordCount > smallFileRows ? file : file.equalityDeletes.length > 0,
  );
  return [...groups.values()].map((group) => {
    // Which rows are read the bits alone tell.
    const read = group.map(({ file }) => ({ ...file, deletes: [] }));
    const [only, ...more] = group;
    // Constants cost a row less than a join.
    if (only && more.length === 0) return { sql: rowsSql(target, read, placed(bitIs(1, only.bits, 'data.r'))), read };
    const values = group.map(({ bits }, index) => `(${index}, ${bitsLiteral(bits)})`).join(', ');
    const join = `JOIN (VALUES ${values}) AS turned(i, bits) ON turned.i = data.f`;
    return { sql: rowsSql(target, read, { ...placed('get_bit(turned.bits, data.r::INTEGER) = 1'), join }), read };
  });
}

/** Null where there are none. */
function onlyIn(bits: Uint8Array | undefined, others: Uint8Array | undefined): Uint8Array | null {
  const rest = bits?.map((byte, index) => byte & ~(others?.[index] ?? 0));
  return rest?.some((byte) => byte !== 0) ? rest : null;
}

async function itemTarget(
  metadata: TableMetadata,
  columns: readonly ScanColumn[],
  files: readonly ScannedFile[],
): Promise<ScanTarget> {
  return { ...(await scanTarget(metadata, columns, files)), isItem: true };
}

/** Of a key, the first event tells whether the row was there and the last whether it is. */
function changesSql(events: readonly string[], schema: Schema): string {
  const row = `STRUCT(${schema.fields.map((field) => `${identifier(field.name)} ${duckdbTypeName(field.type)}`).join(', ')})`;
  if (events.length === 0) {
    return `SELECT CAST(NULL AS VARCHAR) AS change, CAST(NULL AS ${row}) AS before, CAST(NULL AS ${row}) AS after WHERE false`;
  }
  const all = `(${events.join(' UNION ALL ')}) AS events`;
  if (schema.key.length === 0) {
    const net = `SELECT item, sum(CASE WHEN event % 2 = 1 THEN 1 ELSE -1 END)::BIGINT AS times FROM ${all} GROUP BY item HAVING times <> 0`;
    return `SELECT CASE WHEN times > 0 THEN 'insert' ELSE 'delete' END AS change, CASE WHEN times < 0 THEN item END AS before, CASE WHEN times > 0 THEN item END AS after FROM (SELECT item, times, unnest(range(abs(times))) FROM (${net}))`;
  }
  const key = schema.key.map((name) => `item.${identifier(name)}`).join(', ');
  const ends = `SELECT min(event) AS first, max(event) AS last, arg_min(item, event) AS early, arg_max(item, event) AS late FROM ${all} GROUP BY ${key}`;
  const net = `SELECT CASE WHEN first % 2 = 0 THEN early END AS before, CASE WHEN last % 2 = 1 THEN late END AS after FROM (${ends})`;
  return `SELECT CASE WHEN before IS NULL THEN 'insert' WHEN after IS NULL THEN 'delete' ELSE 'update' END AS change, before, after FROM (${net}) WHERE before IS DISTINCT FROM after`;
}
