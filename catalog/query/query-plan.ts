import { DailiesError, toDailiesError } from '../error.ts';
import { planScan, type TableScan } from '../iceberg/scan.ts';
import { nearestName } from '../services/nearest-name.ts';
import type { Analysis, RunRequest } from './child-protocol.ts';
import type { BoundParameter } from './parameters.ts';
import { StatementError } from './query-problem.ts';
import { type FoundTable, lookUpTables, type TableNames } from './table-lookup.ts';

/** How a table is read, now or as it was at a time. */
export type PlanTable = (
  metadataLocation: string,
  at?: { timeMs: number },
) => Promise<Pick<TableScan, 'sql' | 'files' | 'snapshotId'> & Partial<Pick<TableScan, 'locations'>>>;

export interface QueryPlan extends Pick<RunRequest, 'views' | 'files'> {
  /** What must be held (`holdLocal`) for `files` to be there while they are read. */
  locations: string[];
  /** The snapshot that is read of each table that has one, by name, ids as text. */
  snapshots: Record<string, string>;
}

/** Finds every table of the statement and plans how it is read. Throws `StatementError`, and what planning throws with the table's name. */
export async function planTables(
  catalog: TableNames,
  analysis: Analysis,
  asOf: Date | null,
  plan: PlanTable = planScan,
): Promise<QueryPlan> {
  const tables = await lookUpTables(catalog, analysis.tables);
  const at = asOf === null ? undefined : { timeMs: asOf.getTime() };
  const whole: QueryPlan = { views: [], files: [], locations: [], snapshots: {} };
  for (const table of tables) {
    const scan = await planTable(table, at, plan);
    whole.files.push(...scan.files);
    whole.locations.push(...(scan.locations ?? []));
    whole.views.push({ namespace: table.mention.namespace, table: table.mention.table, sql: scan.sql });
    if (scan.snapshotId !== null) whole.snapshots[table.name] = String(scan.snapshotId);
  }
  return whole;
}

async function planTable(table: FoundTable, at: { timeMs: number } | undefined, plan: PlanTable) {
  try {
    return await plan(table.metadataLocation, at);
  } catch (thrown) {
    const { code, message, details } = toDailiesError(thrown);
    throw new DailiesError(code, `${table.name} cannot be read: ${message}`, {
      cause: thrown,
      details: { ...details, table: table.name },
    });
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
