import { z } from 'zod';
import { requireAccess } from '#catalog/access/principal.ts';
import { asOfInput } from '#catalog/query/as-of.ts';
import { CatalogCompletion } from '#catalog/query/completion.ts';
import { listQueryHistory } from '#catalog/services/query-history/list.ts';
import type { State } from '#catalog/state/state.ts';
import { procedure, router } from './init.ts';

const known = z.strictObject({ id: z.uuid() });

export const sqlRouter = router({
  submit: procedure
    .input(
      z.strictObject({
        sql: z.string().max(1_000_000),
        parameters: z.record(z.string(), z.unknown()).default({}),
        asOf: asOfInput.nullable().default(null),
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
  /** What may stand at a place of the text (an index in UTF-16 units), best first. */
  complete: procedure
    .input(z.strictObject({ sql: z.string().max(1_000_000), position: z.int().min(0) }))
    .query(({ ctx: { deps, who }, input }) => {
      requireAccess(who, 'sql.run', 'run SQL');
      return completionOf(deps.state).complete(input.sql, input.position);
    }),
});

/** One index of names for each state database, for as long as that is open. */
const completions = new WeakMap<State, CatalogCompletion>();

function completionOf(state: State): CatalogCompletion {
  const known = completions.get(state) ?? new CatalogCompletion(state);
  completions.set(state, known);
  return known;
}
