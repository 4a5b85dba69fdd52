import { getHome } from '#catalog/services/home/get.ts';
import { listReports } from '#catalog/services/report/list.ts';
import { procedure, router } from './init.ts';

export const homeRouter = router({
  get: procedure.query(({ ctx: { scope } }) => getHome(scope, new Date())),
  /** Reports of the person who asks. */
  myReports: procedure.query(async ({ ctx: { scope, who } }) => {
    const reports = await listReports(scope);
    return reports.filter((report) => report.owner === who.email);
  }),
});
