import { z } from 'zod';
import { listQueryHistory } from '#catalog/services/query-history/list.ts';
import { procedure, router } from './init.ts';

const known = z.strictObject({ id: z.uuid() });

export const sqlRouter = router({
  submit: procedure
    .input(
      z.strictObject({
        sql: z.string().max(1_000_000),
        parameters: z.record(z.string(), z.unknown()).default({}),
        asOf: z.date().nullable().default(null),
      }),
    )
    .mutation(({ ctx: { deps, who }, input: { sql, parameters, asOf } }) =>
      deps.queries.submit({ sql, parameters, ...(asOf === null ? {} : { asOf }), origin: 'browser' }, who),
    ),
  get: procedure.input(known).query(({ ctx: { deps, who }, input }) => deps.queries.get(input.id, who)),
  rows: procedure
    .input(known.extend({ offset: z.int().min(0), limit: z.int().min(1).max(1000) }))
    .query(async ({ ctx: { deps, who }, input }) => ({
      rows: await deps.queries.rows(input.id, who, input.offset, input.limit),
    })),
  cancel: procedure.input(known).mutation(({ ctx: { deps, who }, input }) => deps.queries.cancel(input.id, who)),
  history: procedure.query(({ ctx: { scope } }) => listQueryHistory(scope)),
});
