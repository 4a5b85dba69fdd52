import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError, type ErrorRecord } from '../../error.ts';
import {
  type MaintenanceResult,
  type RecordedFigures,
  readFigures,
} from '../../iceberg/maintenance/maintenance-records.ts';
import {
  type MaintenanceSettings,
  maintenanceProperties,
  maintenanceSettings,
} from '../../iceberg/metadata/table-properties.ts';
import type { TableCatalog } from '../../iceberg/tables/table-catalog.ts';
import type { Scope } from '../scope.ts';

export interface MaintenanceRunRecord {
  id: string;
  trigger: 'schedule' | 'manual';
  requestedBy: string | null;
  state: 'queued' | 'running' | 'succeeded' | 'failed';
  result: MaintenanceResult;
  error: ErrorRecord | null;
  createdAt: Date;
  startedAt: Date | null;
  endedAt: Date | null;
}

/** One setting of a table as it holds. */
export interface MaintenanceSetting {
  /** The table property that sets it. */
  key: string;
  meaning: string;
  value: string;
  isSet: boolean;
}

export interface TableMaintenance {
  /** How the table stood when maintenance last looked at it; null before the first time. */
  figures: RecordedFigures | null;
  /** Newest first, at most 20. */
  runs: MaintenanceRunRecord[];
  settings: MaintenanceSetting[];
}

type CatalogScope = Scope & { catalog: TableCatalog };

/** What maintenance does with a table: its last runs, how its files stand, what steers it. Throws `not_found`. */
export async function tableMaintenance(scope: CatalogScope, name: string): Promise<TableMaintenance> {
  requireAccess(scope.who, 'catalog.read', 'see the catalog');
  const entry = await scope.catalog.load(name);
  if (entry === null) throw unknownTable(name);
  const [figures, rows] = await Promise.all([
    readFigures(scope.state, name),
    scope.state.maintenanceRun.findMany({ where: { tableName: name }, orderBy: { createdAt: 'desc' }, take: 20 }),
  ]);
  const { properties } = entry.metadata;
  const { settings } = maintenanceSettings(properties);
  return {
    figures,
    runs: rows.map(recordOf),
    settings: Object.entries(maintenanceProperties).map(([setting, { key, meaning }]) => ({
      key,
      meaning,
      value: String(settings[setting as keyof MaintenanceSettings]),
      isSet: properties[key] !== undefined,
    })),
  };
}

/** Asks for one run over the table now; durable when it resolves, begun by a worker within seconds. Throws `not_found`. */
export async function requestMaintenance(scope: CatalogScope, name: string): Promise<{ id: string }> {
  requireAccess(scope.who, 'pipeline.write', 'maintain tables');
  if ((await scope.catalog.locate(name)) === null) throw unknownTable(name);
  return await scope.state.$transaction(async (tx) => {
    const run = await tx.maintenanceRun.create({
      data: { tableName: name, trigger: 'manual', requestedBy: scope.who.email },
      select: { id: true },
    });
    await recordAudit(tx, scope.who, 'table.maintain', name);
    return run;
  });
}

/** One run over the table. Throws `not_found`. */
export async function getMaintenanceRun(scope: Scope, name: string, id: string): Promise<MaintenanceRunRecord> {
  requireAccess(scope.who, 'catalog.read', 'see the catalog');
  const row = await scope.state.maintenanceRun.findFirst({ where: { id, tableName: name } });
  if (row === null) throw new DailiesError('not_found', `There is no maintenance run ${id} of ${name}.`);
  return recordOf(row);
}

type Row = Awaited<ReturnType<Scope['state']['maintenanceRun']['findFirstOrThrow']>>;

function recordOf(row: Row): MaintenanceRunRecord {
  return {
    id: row.id,
    trigger: row.trigger as MaintenanceRunRecord['trigger'],
    requestedBy: row.requestedBy,
    state: row.state as MaintenanceRunRecord['state'],
    result: row.result as MaintenanceResult,
    error: row.error as ErrorRecord | null,
    createdAt: row.createdAt,
    startedAt: row.startedAt,
    endedAt: row.endedAt,
  };
}

function unknownTable(name: string): DailiesError {
  return new DailiesError('not_found', `There is no table ${name}.`, { details: { table: name } });
}
