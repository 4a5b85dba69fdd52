import { z } from 'zod';
import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError } from '../../error.ts';
import { definitionSchema } from '../definition/schema.ts';
import { parseInput } from '../parse-input.ts';
import { notifyChanged, type Scope } from '../scope.ts';

const input = z.strictObject({ email: z.email('is not an e-mail address').toLowerCase(), roles: z.array(z.string()) });

/** Names a person, or changes what they may do. The last admin keeps that role. Durable when resolved; may be repeated. */
export async function setRoles(scope: Scope, raw: z.input<typeof input>): Promise<void> {
  requireAccess(scope.who, 'admin', 'change who has which role');
  const { email, roles } = parseInput(input, raw);
  parseInput(definitionSchema, { version: 1, people: { [email]: { roles } } });
  await scope.state.$transaction(async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('dailies.definition'))`;
    const admins = await tx.person.findMany({ where: { roles: { has: 'admin' } }, select: { email: true } });
    if (!roles.includes('admin') && admins.length === 1 && admins[0]?.email === email)
      throw new DailiesError('conflict', `${email} is the only admin. Make somebody else an admin first.`, {
        details: { person: email },
      });
    await tx.person.upsert({ where: { email }, create: { email, roles }, update: { roles } });
    await recordAudit(tx, scope.who, 'person.roles', email, { roles });
    await notifyChanged(tx);
  });
}
