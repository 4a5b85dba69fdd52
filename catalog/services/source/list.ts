import { requireAccess } from '../../access/principal.ts';
import type { ErrorRecord } from '../../error.ts';
import type { Scope } from '../scope.ts';
import { type StoredWarning, withWarnings } from './source-warnings.ts';
import { readTableSnapshot, type TableSnapshot } from './table-snapshot.ts';

export interface SourceSummary {
  name: string;
  kind: string;
  state: string;
  lastError: ErrorRecord | null;
  warnings: StoredWarning[];
  /** When everything committed at the source before was last known to be held. */
  coveredAt: Date | null;
  sourceTime: Date | null;
  tables: {
    name: string;
    state: string;
    rows: number | null;
    snapshot: TableSnapshot | null;
    lastError: ErrorRecord | null;
  }[];
  /** Names of the pipelines that read from it. */
  pipelines: string[];
}

export async function listSources(scope: Scope): Promise<SourceSummary[]> {
  requireAccess(scope.who, 'pipeline.read', 'see sources');
  const [sources, pipelines] = await Promise.all([
    scope.state.source.findMany({
      include: { tables: { orderBy: { name: 'asc' } }, warnings: withWarnings },
      orderBy: { name: 'asc' },
    }),
    scope.state.pipeline.findMany({ select: { name: true, spec: true }, orderBy: { name: 'asc' } }),
  ]);
  return sources.map((source) => ({
    name: source.name,
    kind: source.kind,
    state: source.state,
    lastError: source.lastError as ErrorRecord | null,
    warnings: source.warnings,
    coveredAt: source.coveredAt,
    sourceTime: source.sourceTime,
    tables: source.tables.map((table) => ({
      name: table.name,
      state: table.state,
      rows: table.rows === null ? null : Number(table.rows),
      snapshot: readTableSnapshot(table),
      lastError: table.lastError as ErrorRecord | null,
    })),
    pipelines: pipelines.filter((pipeline) => readsFrom(pipeline.spec, source.name)).map((pipeline) => pipeline.name),
  }));
}

function readsFrom(spec: unknown, source: string): boolean {
  const from = (spec as { from?: unknown }).from;
  return Array.isArray(from) && from.some((pattern) => String(pattern).startsWith(`${source}.`));
}
