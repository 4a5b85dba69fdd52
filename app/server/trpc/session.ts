import { z } from 'zod';
import { can } from '#catalog/access/principal.ts';
import { peekLink } from '#catalog/services/person/accept-link.ts';
import { openProcedure, router } from './init.ts';

export const sessionRouter = router({
  /** Who looks at the page and what they may do; `who` is null for somebody who is not signed in. */
  get: openProcedure.query(({ ctx: { who, name, deps } }) => ({
    who:
      who === null
        ? null
        : {
            email: who.email,
            name: name ?? who.email,
            roles: [...who.roles],
            isAdmin: can(who, 'admin'),
            mayWriteReports: can(who, 'report.write'),
            mayWritePipelines: can(who, 'pipeline.write'),
            mayRunSql: can(who, 'sql.run'),
          },
    /** The sample studio runs: people sign in by role. */
    isDemo: deps.isDemo,
    hasStudio: deps.isDemo && who !== null,
  })),
  /** Whom a one-time link is for; null for a link that is used up, expired or unknown. */
  link: openProcedure
    .input(z.strictObject({ token: z.string().max(200) }))
    .query(({ ctx: { deps }, input }) => peekLink(deps.state, input.token, new Date())),
});
