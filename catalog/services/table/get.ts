import { requireAccess } from '../../access/principal.ts';
import { DailiesError } from '../../error.ts';
import type { ColumnRecord } from '../../iceberg/tables/record-table.ts';
import { nearestName } from '../nearest-name.ts';
import type { Scope } from '../scope.ts';
import { summarizeTables, type TableSummary } from './list.ts';

export interface TableDetail extends TableSummary {
  /** Source tables behind it: source.schema.table. */
  sources: string[];
  key: string[];
  /** Decimal text of the current snapshot's id; null before the first. */
  snapshotId: string | null;
  columns: TableColumn[];
  reports: { name: string; title: string | null; owner: string }[];
  lastError: unknown;
}

export type TableColumn = ColumnRecord;

/** Throws `not_found`, with the nearest name, where there is no such table. */
export async function getTable(scope: Scope, name: string): Promise<TableDetail> {
  requireAccess(scope.who, 'catalog.read', 'see the catalog');
  const { state } = scope;
  const [[summary], table, reports] = await Promise.all([
    summarizeTables(state, [name]),
    state.dataTable.findUnique({ where: { name }, include: { columns: { orderBy: { ordinal: 'asc' } } } }),
    state.report.findMany({
      where: { reads: { has: name } },
      select: { name: true, title: true, owner: true },
      orderBy: { name: 'asc' },
    }),
  ]);
  if (summary === undefined || table === null) throw await unknownTable(scope, name);
  const sink =
    table.pipeline === null
      ? null
      : await state.pipelineSink.findFirst({
          where: { pipelineName: table.pipeline, target: name },
          include: { pipeline: true },
        });
  return {
    ...summary,
    sources: table.sources,
    key: table.key,
    snapshotId: table.snapshotId === null ? null : String(table.snapshotId),
    columns: table.columns.map((column) => ({
      fieldId: column.fieldId,
      path: column.path,
      type: column.type,
      required: column.required,
      isKey: column.isKey,
      description: column.description,
      origin: column.origin,
    })),
    reports,
    lastError: sink?.lastError ?? sink?.pipeline.lastError ?? null,
  };
}

async function unknownTable(scope: Scope, name: string): Promise<DailiesError> {
  const tables = await scope.state.dataTable.findMany({ select: { name: true } });
  const near = nearestName(
    name,
    tables.map((table) => table.name),
  );
  return new DailiesError('not_found', `There is no table ${name}.${near === null ? '' : ` Did you mean ${near}?`}`, {
    details: { table: name },
  });
}
