import { DailiesError, toDailiesError } from '../error.ts';
import type { Pinnable } from '../iceberg/maintenance/snapshot-pins.ts';
import { readTableMetadata, type TableMetadata } from '../iceberg/metadata/table-metadata.ts';
import { planChanges } from '../iceberg/read/changes.ts';
import type { MaskFolder } from '../iceberg/read/mask-files.ts';
import { planScan, type ScanOptions, type TableScan } from '../iceberg/read/scan.ts';
import type { ScanTime } from '../iceberg/read/time-travel.ts';
import { isBelow, plainLocation } from '../iceberg/storage/location-root.ts';
import { isS3 } from '../iceberg/storage/s3-location.ts';
import { nearestName } from '../services/nearest-name.ts';
import { bindFilter } from './bind-filter.ts';
import type { Analysis, Place, RunRequest } from './child-protocol.ts';
import type { TableFiles } from './damaged-file.ts';
import type { BoundParameter } from './parameters.ts';
import { StatementError } from './query-problem.ts';
import { type FoundTable, lookUpTables, type TableNames } from './table-lookup.ts';
import { type PointUnit, parseTime, pointOfValue, type TablePoint } from './table-point.ts';

/** How a table is read, now or as it was. */
export type PlanTable = (
  metadataLocation: string,
  at?: ScanTime,
  options?: ScanOptions,
) => Promise<
  Pick<TableScan, 'sql' | 'files' | 'snapshotId'> & Partial<Pick<TableScan, 'locations' | 'metadata' | 'count'>>
>;

export interface QueryPlan extends Pick<RunRequest, 'tables' | 'count' | 'files'> {
  /** What must be held (`holdLocal`) for `files` to be there while they are read. */
  locations: string[];
  /** The snapshot that is read of each table that has one, by name, ids as text; of changes both, `1..2`. */
  snapshots: Record<string, string>;
  /** What is read of each table: must not expire meanwhile. */
  reads: (Pinnable & { name: string })[];
  /** The files by table. */
  tableFiles: TableFiles[];
}

/** Where a table's local files must be, or must not be: engines may commit any. */
export type LocalFilesRule = { below: string } | { notBelow: string };

/** What the statement is read with: the state that the whole query asks for, null for now, and its parameters. */
export interface PlanContext {
  asOf: ScanTime | null;
  parameters: readonly BoundParameter[];
  plan?: PlanTable | undefined;
  /** Where masks of deleted rows may be written, there while the statement runs. */
  masks?: MaskFolder;
  localFiles: LocalFilesRule;
}

/** Finds every table of the statement and plans how it is read. Throws `StatementError`, and what planning throws with the table's name. */
export async function planTables(catalog: TableNames, analysis: Analysis, context: PlanContext): Promise<QueryPlan> {
  const tables = await lookUpTables(catalog, analysis.tables);
  const whole: QueryPlan = {
    tables: [],
    count: null,
    files: [],
    locations: [],
    snapshots: {},
    reads: [],
    tableFiles: [],
  };
  for (const table of tables) {
    const read = await planRead(table, context);
    const locations = read.locations ?? [];
    whole.files.push(...read.files);
    whole.locations.push(...locations);
    whole.tableFiles.push({ name: table.name, locations });
    whole.reads.push(...read.reads.map((one) => ({ ...one, name: table.name })));
    whole.tables.push(read.sql);
    whole.count = read.count?.toString() ?? null;
    if (read.snapshot !== null) whole.snapshots[freeName(whole.snapshots, table)] = read.snapshot;
  }
  return whole;
}

interface PlannedRead {
  sql: string;
  files: string[];
  locations?: string[];
  snapshot: string | null;
  /** Where the statement only counts the rows of this table, and they need not be read for it. */
  count?: bigint | null;
  reads: Pinnable[];
}

async function planRead(table: FoundTable, context: PlanContext): Promise<PlannedRead> {
  const { read, at, filter, needs, reads } = table.mention;
  const { parameters } = context;
  const time = (point: TablePoint) => (metadata: TableMetadata) => scanTime(point, parameters, metadata, at);
  try {
    if (read.kind === 'changes') {
      const { from, to } = read;
      const { asOf } = context;
      const until = to === null ? asOf && (() => asOf) : time(to);
      const scan = await planChanges(table.metadataLocation, time(from), until);
      requireOwnFiles(context.localFiles, scan.locations);
      const reads = scan.snapshotIds.map((snapshotId) => ({ metadata: scan.metadata, snapshotId }));
      return { ...scan, snapshot: `${scan.fromSnapshotId}..${scan.toSnapshotId ?? ''}`, reads };
    }
    const asOf = read.kind === 'at' ? time(read.point)(await readTableMetadata(table.metadataLocation)) : context.asOf;
    const scan = await (context.plan ?? planScan)(table.metadataLocation, asOf ?? undefined, {
      filter: filter === null ? undefined : (columns) => bindFilter(filter, columns, parameters),
      hasLineage: table.mention.wantsLineage,
      needs,
      reads,
      masks: context.masks,
    });
    requireOwnFiles(context.localFiles, scan.locations ?? []);
    const { metadata, snapshotId } = scan;
    if (snapshotId === null) return { ...scan, snapshot: null, reads: [] };
    return { ...scan, snapshot: String(snapshotId), reads: metadata ? [{ metadata, snapshotId }] : [] };
  } catch (thrown) {
    if (thrown instanceof StatementError) throw thrown;
    const { code, message, details } = toDailiesError(thrown);
    throw new DailiesError(code, `${table.name} cannot be read: ${message}`, {
      cause: thrown,
      details: { ...details, table: table.name },
    });
  }
}

/** Engines commit files by name: a local one that is not a table's own would show what else this machine holds. */
function requireOwnFiles(rule: LocalFilesRule, locations: readonly string[]): void {
  const isRefused = (location: string) =>
    'below' in rule
      ? !isBelow(rule.below, location)
      : plainLocation(location) === null || isBelow(rule.notBelow, location);
  const outside = locations.find((location) => !isS3(location) && isRefused(location));
  if (outside === undefined) return;
  throw new DailiesError('unsupported', `It has a file outside the warehouse: ${outside}.`, {
    details: { location: outside },
  });
}

/** The state that a point names in this table. */
function scanTime(
  point: TablePoint,
  parameters: readonly BoundParameter[],
  metadata: TableMetadata,
  at: Place | null,
): ScanTime {
  switch (point.kind) {
    case 'snapshot':
      return { snapshotId: BigInt(point.id) };
    case 'name':
      return { ref: point.name };
    case 'time':
      return { timeMs: point.timeMs };
    case 'text': {
      const timeMs = Object.hasOwn(metadata.refs, point.text) ? null : parseTime(point.text);
      return timeMs === null ? { ref: point.text } : { timeMs };
    }
    case 'parameter':
      return scanTime(parameterPoint(point, parameters, at), parameters, metadata, at);
  }
}

function parameterPoint(
  { name, unit }: { name: string; unit: PointUnit },
  parameters: readonly BoundParameter[],
  at: Place | null,
): TablePoint {
  const bound = parameters.find((parameter) => parameter.name.toLowerCase() === name.toLowerCase());
  const text = bound?.value ?? null;
  const isTime = bound?.type === 'timestamp' || bound?.type === 'date';
  const value = bound?.type === 'integer' && text !== null ? BigInt(text) : text;
  const point = value === null ? null : pointOfValue(value, isTime && unit === 'any' ? 'timestamp' : unit);
  if (point !== null) return point;
  throw new StatementError('sql_invalid', `Parameter :${name} does not name a state of the table.`, at);
}

/** A statement may read a table in several ways: the first has the table's name, others say how. */
function freeName(taken: Readonly<Record<string, string>>, { name, mention }: FoundTable): string {
  const own = mention.read.kind === 'changes' ? `changes of ${name}` : name;
  for (let count = 1; ; count++) {
    const candidate = count === 1 ? own : `${own} (${count})`;
    if (!Object.hasOwn(taken, candidate)) return candidate;
  }
}

/** Every parameter of the statement has a value, and no value is for none. Throws `StatementError`. */
export function requireParameters(wanted: readonly string[], given: readonly BoundParameter[]): void {
  const names = new Set(given.map(({ name }) => name.toLowerCase()));
  const missing = wanted.find((name) => !names.has(name.toLowerCase()));
  if (missing !== undefined) throw new StatementError('sql_invalid', `Parameter :${missing} has no value.`);
  const known = new Set(wanted.map((name) => name.toLowerCase()));
  const unknown = given.find(({ name }) => !known.has(name.toLowerCase()));
  if (unknown === undefined) return;
  const nearest = nearestName(unknown.name, wanted);
  const hint = nearest === null ? '' : ` Did you mean :${nearest}?`;
  throw new StatementError('sql_invalid', `The SQL has no parameter :${unknown.name}.${hint}`);
}
