import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { requireAccess, system } from '../../access/principal.ts';
import { recordAudit, type Transaction } from '../../audit/record-audit.ts';
import type { State } from '../../state/state.ts';
import { parseInput } from '../parse-input.ts';
import type { Scope } from '../scope.ts';
import { hashToken } from '../token/create.ts';
import { setRoles } from './set-roles.ts';

const dayMs = 86_400_000;

const input = z.strictObject({
  email: z.email('is not an e-mail address').toLowerCase(),
  /** Left out for somebody who is named already: a new link, to set another password. */
  roles: z.array(z.string()).optional(),
});

/** A one-time link, good for 7 days, with which this person sets a password. Shown this once; only its hash is kept. */
export async function invitePerson(
  scope: Scope & { url: string; now: Date },
  raw: z.input<typeof input>,
): Promise<{ email: string; link: string; expiresAt: Date }> {
  requireAccess(scope.who, 'admin', 'invite people');
  const { email, roles } = parseInput(input, raw);
  if (roles !== undefined) await setRoles(scope, { email, roles });
  return scope.state.$transaction(async (tx) => {
    const made = await makeLink(tx, scope.url, {
      email,
      roles: [],
      expiresAt: new Date(scope.now.getTime() + 7 * dayMs),
    });
    await recordAudit(tx, scope.who, 'person.invite', email);
    return { email, ...made };
  });
}

/**
 * For the first start: the link that makes the admin, good for a day; null once there is anybody with that role. Earlier
 * links of its kind end with it.
 */
export async function firstAdminLink(state: State, url: string, now: Date): Promise<string | null> {
  return state.$transaction(async (tx) => {
    if ((await tx.person.count({ where: { roles: { has: 'admin' } } })) > 0) return null;
    await tx.signInLink.deleteMany({ where: { email: null } });
    const expiresAt = new Date(now.getTime() + dayMs);
    const { link } = await makeLink(tx, url, { email: null, roles: ['admin'], expiresAt });
    await recordAudit(tx, system, 'person.first-admin-link', 'admin');
    return link;
  });
}

async function makeLink(
  tx: Transaction,
  url: string,
  data: { email: string | null; roles: string[]; expiresAt: Date },
): Promise<{ link: string; expiresAt: Date }> {
  const token = randomBytes(32).toString('base64url');
  await tx.signInLink.create({ data: { ...data, hash: hashToken(token) } });
  return { link: `${url}/welcome?token=${token}`, expiresAt: data.expiresAt };
}
