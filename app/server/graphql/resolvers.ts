import { tableLineage } from '#catalog/lineage/table-lineage.ts';
import type { QueryService } from '#catalog/query/query-service.ts';
import type { CatalogIndex } from '#catalog/search/catalog-index.ts';
import { listPipelines, type PipelineSummary } from '#catalog/services/pipeline/list.ts';
import { listReports, type ReportSummary, type RunSummary } from '#catalog/services/report/list.ts';
import { listRuns } from '#catalog/services/report/list-runs.ts';
import type { Scope } from '#catalog/services/scope.ts';
import { listSources } from '#catalog/services/source/list.ts';
import { getTable, type TableDetail } from '#catalog/services/table/get.ts';
import { listTables, type TableSummary } from '#catalog/services/table/list.ts';
import { sampleTable } from '#catalog/services/table/sample.ts';
import { searchTables } from '#catalog/services/table/search.ts';
import { serviceSdl } from './type-defs.ts';

export interface GraphContext extends Scope {
  queries: QueryService;
  index: CatalogIndex;
  signal: AbortSignal;
  /** Answers of services that several fields of one request need. */
  once: <T>(key: string, load: () => Promise<T>) => Promise<T>;
  /** Runs a few at a time, so that a list's samples don't fill the queue of queries. */
  inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

interface OwnerRef {
  email: string;
}

const allReports = (context: GraphContext) => context.once('reports', () => listReports(context));
const allPipelines = (context: GraphContext) => context.once('pipelines', () => listPipelines(context));
const allTables = (context: GraphContext) => context.once('tables', () => listTables(context));
const detail = (table: TableSummary, context: GraphContext): Promise<TableDetail> =>
  context.once(`table ${table.name}`, () => getTable(context, table.name));
const owner = (email: string | null): OwnerRef | null => (email === null ? null : { email });
const named = <T extends { name: string }>(items: readonly T[], name: string): T | null =>
  items.find((item) => item.name === name) ?? null;
const errorText = (error: { message: string } | null) => error?.message ?? null;

export const resolvers = {
  DateTime: { serialize: (value: unknown) => (value instanceof Date ? value.toISOString() : String(value)) },
  Query: {
    tables: async (_: unknown, { search }: { search?: string | null }, context: GraphContext) =>
      search ? (await searchTables(context, search, 500)).hits.map((hit) => hit.table) : allTables(context),
    table: async (_: unknown, { name }: { name: string }, context: GraphContext) =>
      named(await allTables(context), name),
    reports: (_: unknown, __: unknown, context: GraphContext) => allReports(context),
    report: async (_: unknown, { name }: { name: string }, context: GraphContext) =>
      named(await allReports(context), name),
    pipelines: (_: unknown, __: unknown, context: GraphContext) => allPipelines(context),
    sources: (_: unknown, __: unknown, context: GraphContext) => listSources(context),
    owners: async (_: unknown, __: unknown, context: GraphContext): Promise<OwnerRef[]> => {
      const [tables, pipelines, reports] = await Promise.all([
        allTables(context),
        allPipelines(context),
        allReports(context),
      ]);
      const emails = [...tables, ...pipelines, ...reports].flatMap((item) => (item.owner === null ? [] : [item.owner]));
      return [...new Set(emails)].sort().map((email) => ({ email }));
    },
    _service: () => ({ sdl: serviceSdl }),
    _entities: async (
      _: unknown,
      { representations }: { representations: Record<string, unknown>[] },
      context: GraphContext,
    ) => Promise.all(representations.map((item) => entity(item, context))),
  },
  _Entity: { __resolveType: (value: { __typename: string }) => value.__typename },
  Table: {
    owner: (table: TableSummary) => owner(table.owner),
    key: async (table: TableSummary, _: unknown, context: GraphContext) => (await detail(table, context)).key,
    fields: async (table: TableSummary, _: unknown, context: GraphContext) =>
      (await detail(table, context)).columns.map(({ path, ...field }) => ({ ...field, name: path })),
    sources: async (table: TableSummary, _: unknown, context: GraphContext) => (await detail(table, context)).sources,
    sample: async (table: TableSummary, { limit }: { limit: number }, context: GraphContext) => {
      const { columns, rows } = await context.inTurn(() =>
        sampleTable(context, table.name, Math.min(limit, 100), context.signal),
      );
      return rows.map((row) => Object.fromEntries(columns.map((column, index) => [column.name, row[index]])));
    },
    pipeline: async (table: TableSummary, _: unknown, context: GraphContext) =>
      table.pipeline === null ? null : named(await allPipelines(context), table.pipeline),
    reports: async (table: TableSummary, _: unknown, context: GraphContext) =>
      (await allReports(context)).filter((report) => report.reads.includes(table.name)),
    lineage: (table: TableSummary, _: unknown, context: GraphContext) => tableLineage(context, table.name),
  },
  Report: {
    owner: (report: ReportSummary) => owner(report.owner),
    runs: (report: ReportSummary, { limit }: { limit: number }, context: GraphContext) =>
      listRuns(context, report.name, limit),
  },
  Run: {
    error: (run: RunSummary) => errorText(run.error),
    attempts: (run: RunSummary) => run.attempts.map((attempt) => ({ ...attempt, error: errorText(attempt.error) })),
  },
  Pipeline: {
    owner: (pipeline: PipelineSummary) => owner(pipeline.owner),
    steps: (pipeline: PipelineSummary) => pipeline.steps.map((step) => step.name),
    tables: (pipeline: PipelineSummary) => pipeline.sinks.map((sink) => sink.target),
    lastError: (pipeline: PipelineSummary) => errorText(pipeline.lastError),
  },
  Source: {
    tables: (source: { tables: { name: string }[] }) => source.tables.map((table) => table.name),
    lastError: (source: { lastError: { message: string } | null }) => errorText(source.lastError),
  },
  Owner: {
    tables: async ({ email }: OwnerRef, _: unknown, context: GraphContext) => ownedBy(await allTables(context), email),
    pipelines: async ({ email }: OwnerRef, _: unknown, context: GraphContext) =>
      ownedBy(await allPipelines(context), email),
    reports: async ({ email }: OwnerRef, _: unknown, context: GraphContext) =>
      ownedBy(await allReports(context), email),
  },
};

function ownedBy(items: readonly { name: string; owner: string | null }[], email: string): string[] {
  return items.filter((item) => item.owner === email).map((item) => item.name);
}

async function entity(item: Record<string, unknown>, context: GraphContext): Promise<object | null> {
  const kind = String(item.__typename);
  const name = String(item.name);
  const found = await (async () => {
    switch (kind) {
      case 'Table':
        return named(await allTables(context), name);
      case 'Report':
        return named(await allReports(context), name);
      case 'Pipeline':
        return named(await allPipelines(context), name);
      case 'Owner':
        return { email: String(item.email) };
      default:
        return null;
    }
  })();
  return found === null ? null : { ...found, __typename: kind };
}
