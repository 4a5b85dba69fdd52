import { requireAccess } from '../../access/principal.ts';
import type { State } from '../../state/state.ts';
import type { Scope } from '../scope.ts';
import { freshAsOf } from './freshness.ts';

export interface TableSummary {
  /** namespace.table */
  name: string;
  title: string | null;
  description: string | null;
  owner: string | null;
  rows: number;
  columnCount: number;
  reportCount: number;
  pipeline: string | null;
  /** snapshotting | running | paused | failed; null for a table whose pipeline was removed. */
  state: string | null;
  /** Everything committed at the source before this instant is in the table. */
  freshAsOf: Date | null;
  changedAt: Date;
}

/** All tables of the warehouse, by name. */
export async function listTables(scope: Scope): Promise<TableSummary[]> {
  requireAccess(scope.who, 'catalog.read', 'see the catalog');
  return summarizeTables(scope.state);
}

/** Without a check of rights, for services that made one. `names` narrows it. */
export async function summarizeTables(state: State, names?: readonly string[]): Promise<TableSummary[]> {
  const where = names === undefined ? {} : { name: { in: [...names] } };
  const target = names === undefined ? {} : { target: { in: [...names] } };
  const [tables, columnCounts, sinks, sources, pipelines, reports] = await Promise.all([
    state.dataTable.findMany({ where, orderBy: { name: 'asc' } }),
    state.dataColumn.groupBy({
      by: ['tableName'],
      _count: true,
      ...(names === undefined ? {} : { where: { tableName: { in: [...names] } } }),
    }),
    state.pipelineSink.findMany({
      where: target,
      select: { pipelineName: true, target: true, state: true, position: true, committedAt: true },
    }),
    state.source.findMany({ select: { name: true, position: true, coveredAt: true } }),
    state.pipeline.findMany({ select: { name: true, owner: true, state: true } }),
    state.report.findMany({ select: { reads: true } }),
  ]);
  const counts = new Map(columnCounts.map((row) => [row.tableName, row._count]));
  const sinkOf = new Map(sinks.map((sink) => [`${sink.pipelineName}/${sink.target}`, sink]));
  const sourceOf = new Map(sources.map((source) => [source.name, source]));
  const pipelineOf = new Map(pipelines.map((pipeline) => [pipeline.name, pipeline]));
  const reportCounts = new Map<string, number>();
  for (const { reads } of reports) for (const name of reads) reportCounts.set(name, (reportCounts.get(name) ?? 0) + 1);

  return tables.map((table) => {
    const pipeline = table.pipeline === null ? undefined : pipelineOf.get(table.pipeline);
    const sink = pipeline === undefined ? undefined : sinkOf.get(`${pipeline.name}/${table.name}`);
    const fresh = sink === undefined ? null : freshAsOf(sink, sourceOf);
    return {
      name: table.name,
      title: table.title,
      description: table.description,
      owner: table.ownerEmail ?? pipeline?.owner ?? null,
      rows: Number(table.rows),
      columnCount: counts.get(table.name) ?? 0,
      reportCount: reportCounts.get(table.name) ?? 0,
      pipeline: pipeline?.name ?? null,
      state: pipeline === undefined ? null : pipeline.state === 'running' ? (sink?.state ?? 'running') : pipeline.state,
      freshAsOf: latest(fresh, table.freshAsOf),
      changedAt: table.changedAt,
    };
  });
}

function latest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b;
  return a > b ? a : b;
}
