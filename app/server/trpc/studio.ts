import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { requireAccess } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import { procedure, router } from './init.ts';
import type { PageDeps } from './page-context.ts';

const place = z.strictObject({ spreadsheet: z.string().max(200), tab: z.string().max(200) });

const workbook = z.object({ title: z.string(), version: z.number(), tabs: z.array(z.string()) });

const sheet = z.object({
  title: z.string(),
  version: z.number(),
  tabs: z.array(z.string()),
  /** As shown, row by row; the first row is the header. */
  cells: z.array(z.array(z.string())),
  /** For each column the report's column that is kept there; null for a column of the people's own. */
  marks: z.array(z.string().nullable()),
});
export type SheetView = z.infer<typeof sheet>;

/** The sample studio's spreadsheet as its stakeholders see it: the browser asks us, and we ask the double. */
export const studioRouter = router({
  /** Tabs that reports deliver to. */
  sheets: procedure.query(async ({ ctx: { scope, who } }) => {
    requireAccess(who, 'report.read', "see the studio's sheets");
    const reports = await scope.state.report.findMany({
      select: { name: true, title: true, deliveries: true },
      orderBy: { name: 'asc' },
    });
    return reports.flatMap((report) =>
      (report.deliveries as { kind?: string; spreadsheet?: string; tab?: string }[]).flatMap(
        ({ kind, spreadsheet, tab }) =>
          kind === 'google-sheets' && spreadsheet !== undefined && tab !== undefined
            ? [{ spreadsheet, tab, report: report.name, reportTitle: report.title ?? report.name }]
            : [],
      ),
    );
  }),
  /** The tab's cells; null where nothing has changed since `since`. */
  sheet: procedure
    .input(place.extend({ since: z.int().nullable() }))
    .query(async ({ ctx: { deps, who }, input, signal }): Promise<SheetView | null> => {
      requireAccess(who, 'report.read', "see the studio's sheets");
      const at = `/__sheet/${encodeURIComponent(input.spreadsheet)}`;
      if (input.since !== null) {
        const { version } = workbook.parse(await ask(deps, at, { signal }));
        if (version === input.since) return null;
      }
      return sheet.parse(await ask(deps, `${at}/${encodeURIComponent(input.tab)}`, { signal }));
    }),
  /** Types into a cell, as a stakeholder would; row 0 is the header. */
  write: procedure
    .input(place.extend({ row: z.int().min(0), column: z.int().min(0), value: z.string().max(50_000) }))
    .mutation(async ({ ctx: { deps, who }, input: { spreadsheet, tab, row, column, value } }) => {
      requireAccess(who, 'report.read', "write into the studio's sheets");
      const at = `/__sheet/${encodeURIComponent(spreadsheet)}/${encodeURIComponent(tab)}/cells`;
      await ask(deps, at, { body: { row, column, value: value === '' ? null : value } });
    }),
});

async function ask(
  deps: PageDeps,
  at: string,
  { body, signal }: { body?: unknown; signal?: AbortSignal | undefined },
): Promise<unknown> {
  const limit = AbortSignal.timeout(10_000);
  const response = await fetch(`${await sheetsUrl(deps)}${at}`, {
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    ...(body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  }).catch((cause: unknown) => {
    throw new DailiesError('destination_unreachable', 'The sample studio’s spreadsheets do not answer.', { cause });
  });
  if (response.status === 404) throw new DailiesError('not_found', 'There is no such spreadsheet or tab.');
  if (!response.ok) {
    throw new DailiesError('invalid', 'The spreadsheet does not take that cell.', {
      details: { status: response.status },
    });
  }
  return response.json();
}

/** The studio writes its addresses when it has started. */
async function sheetsUrl({ home, isDemo }: PageDeps): Promise<string> {
  if (!isDemo)
    throw new DailiesError('not_found', 'The sample studio does not run here: start it with “dailies demo”.');
  const text = await readFile(path.join(home, 'studio.json'), 'utf8').catch((cause: unknown) => {
    throw new DailiesError('destination_unreachable', 'The sample studio has not started yet.', { cause });
  });
  return z.object({ sheets: z.url() }).parse(JSON.parse(text)).sheets;
}
