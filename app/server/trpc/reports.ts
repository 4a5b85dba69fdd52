import { z } from 'zod';
import { can } from '#catalog/access/principal.ts';
import { getReport } from '#catalog/services/report/get.ts';
import { listReports } from '#catalog/services/report/list.ts';
import { removeReport } from '#catalog/services/report/remove.ts';
import { requireRun } from '#catalog/services/report/require-run.ts';
import { saveReport } from '#catalog/services/report/save.ts';
import { setReportPaused } from '#catalog/services/report/set-paused.ts';
import { secretReferences } from '#catalog/services/secret/references.ts';
import { requestRun } from '#connectors/reports/request-run.ts';
import { destinationFields } from './destination-fields.ts';
import { procedure, router } from './init.ts';

const named = z.strictObject({ name: z.string().max(200) });

export const reportsRouter = router({
  list: procedure.query(({ ctx: { scope } }) => listReports(scope)),
  get: procedure.input(named).query(({ ctx: { scope }, input }) => getReport(scope, input.name)),
  /** `report` as a definition writes it, without its owner: the service checks it. */
  save: procedure
    .input(
      z.strictObject({ name: z.string().max(200), isNew: z.boolean(), report: z.looseObject({ sql: z.string() }) }),
    )
    .mutation(({ ctx: { scope }, input }) =>
      saveReport(scope, {
        name: input.name,
        mayReplace: !input.isNew,
        report: input.report as Parameters<typeof saveReport>[1]['report'],
      }),
    ),
  remove: procedure.input(named).mutation(({ ctx: { scope }, input }) => removeReport(scope, input.name)),
  setPaused: procedure
    .input(named.extend({ isPaused: z.boolean() }))
    .mutation(({ ctx: { scope }, input }) => setReportPaused(scope, input.name, input.isPaused)),
  run: procedure.input(named).mutation(async ({ ctx: { scope, who }, input }) => {
    await requireRun(scope, input.name);
    return requestRun(scope.state, input.name, 'manual', who);
  }),
  /** Where rows can go, each with the fields of its form. */
  destinations: procedure.query(({ ctx: { scope } }) =>
    scope.modules.destinations.map((module) => ({
      id: module.id,
      title: module.title,
      summary: module.summary,
      fields: destinationFields(module.config),
    })),
  ),
  /** Credentials by reference that a report may use: names only, which deliveries show anyway. */
  credentials: procedure.query(async ({ ctx: { scope, who } }) => {
    if (!can(who, 'report.write')) return [];
    const [secrets, reports] = await Promise.all([
      can(who, 'admin') ? scope.state.secret.findMany({ select: { name: true } }) : [],
      scope.state.report.findMany({ select: { deliveries: true } }),
    ]);
    const kinds = new Map(secrets.map((secret) => [secret.name, new Set<string>()]));
    for (const { deliveries } of reports) {
      for (const delivery of deliveries as { kind?: string }[]) {
        for (const name of secretReferences(delivery)) {
          kinds.set(name, (kinds.get(name) ?? new Set()).add(delivery.kind ?? ''));
        }
      }
    }
    return [...kinds].map(([name, used]) => ({ reference: `\${secret:${name}}`, kinds: [...used] }));
  }),
});
