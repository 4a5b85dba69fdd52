import { z } from 'zod';
import { builtInRoles } from '#catalog/access/principal.ts';
import { listAudit } from '#catalog/services/audit/list.ts';
import { invitePerson } from '#catalog/services/person/invite.ts';
import { listPeople } from '#catalog/services/person/list.ts';
import { setRoles } from '#catalog/services/person/set-roles.ts';
import { createToken } from '#catalog/services/token/create.ts';
import { listTokens } from '#catalog/services/token/list.ts';
import { revokeToken } from '#catalog/services/token/revoke.ts';
import { procedure, router } from './init.ts';

const withRoles = z.strictObject({ email: z.string().max(320), roles: z.array(z.string().max(60)).max(20) });

export const peopleRouter = router({
  list: procedure.query(async ({ ctx: { scope } }) => {
    const people = await listPeople(scope);
    const roles = [...new Set([...builtInRoles, ...people.flatMap((person) => person.roles)])];
    return { people, roles };
  }),
  invite: procedure
    .input(z.strictObject({ email: z.string().max(320), roles: z.array(z.string().max(60)).max(20).optional() }))
    .mutation(({ ctx: { scope }, input }) => {
      const { email, roles } = input;
      return invitePerson({ ...scope, now: new Date() }, roles === undefined ? { email } : { email, roles });
    }),
  setRoles: procedure.input(withRoles).mutation(({ ctx: { scope }, input }) => setRoles(scope, input)),
  tokens: procedure.query(({ ctx: { scope } }) => listTokens(scope)),
  createToken: procedure
    .input(z.strictObject({ name: z.string().max(200), role: z.string().max(60) }))
    .mutation(({ ctx: { scope }, input }) => createToken(scope, input)),
  revokeToken: procedure
    .input(z.strictObject({ id: z.string().max(200) }))
    .mutation(({ ctx: { scope }, input }) => revokeToken(scope, input.id)),
  audit: procedure.query(({ ctx: { scope } }) => listAudit(scope, { limit: 50 })),
});
