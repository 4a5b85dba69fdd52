import { z } from 'zod';
import { can } from '#catalog/access/principal.ts';
import { searchTables } from '#catalog/services/table/search.ts';
import { procedure } from './init.ts';

export interface Found {
  kind: 'table' | 'column' | 'report' | 'pipeline';
  name: string;
  /** The column that matched, of a table. */
  column: string | null;
  type: string | null;
  words: string | null;
}

/** What Ctrl-K offers for a text: the best few of each kind. A procedure by itself, not a router. */
export const find = procedure
  .input(z.strictObject({ text: z.string().max(200) }))
  .query(async ({ ctx: { scope, who }, input: { text } }): Promise<Found[]> => {
    const contains = { contains: text, mode: 'insensitive' as const };
    const [tables, reports, pipelines] = await Promise.all([
      searchTables(scope, text, 12),
      can(who, 'report.read')
        ? scope.state.report.findMany({
            where: { OR: [{ name: contains }, { title: contains }] },
            select: { name: true, title: true, owner: true },
            orderBy: { name: 'asc' },
            take: 6,
          })
        : [],
      can(who, 'pipeline.read')
        ? scope.state.pipeline.findMany({
            where: { name: contains },
            select: { name: true, owner: true },
            orderBy: { name: 'asc' },
            take: 6,
          })
        : [],
    ]);
    return [
      ...tables.hits.map(({ table, column }) =>
        column === null
          ? found('table', table.name, table.title ?? table.description)
          : { ...found('column', table.name, column.description), column: column.path, type: column.type },
      ),
      ...reports.map((report) => found('report', report.name, report.title ?? `owned by ${report.owner}`)),
      ...pipelines.map((pipeline) =>
        found('pipeline', pipeline.name, pipeline.owner === null ? null : `owned by ${pipeline.owner}`),
      ),
    ];
  });

function found(kind: Found['kind'], name: string, words: string | null): Found {
  return { kind, name, column: null, type: null, words };
}
