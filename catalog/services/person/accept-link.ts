import type { Transaction } from '../../audit/record-audit.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError } from '../../error.ts';
import type { State } from '../../state/state.ts';
import { hashToken } from '../token/create.ts';

/** What a link is for, so that the page can say so; null for one that is used, expired or unknown. */
export async function peekLink(
  state: State,
  token: string,
  now: Date,
): Promise<{ email: string | null; roles: string[] } | null> {
  return state.signInLink.findFirst({
    where: { hash: hashToken(token), usedAt: null, expiresAt: { gt: now } },
    select: { email: true, roles: true },
  });
}

/**
 * Uses a one-time link up, in the caller's transaction: of two that come at once one gets `invalid`. Gives the address
 * that it signs in, which the link may leave to the person (the first admin's does), and the roles it brings.
 */
export async function acceptLink(tx: Transaction, token: string, email: string, now: Date): Promise<string> {
  const link = await tx.signInLink.findUnique({ where: { hash: hashToken(token) } });
  const { count } = await tx.signInLink.updateMany({
    where: { id: link?.id ?? '', usedAt: null, expiresAt: { gt: now } },
    data: { usedAt: now },
  });
  if (link === null || count === 0)
    throw new DailiesError('invalid', 'This link is used up or has expired. Ask an admin for a new one.');
  const address = link.email ?? email.toLowerCase();
  if (link.roles.length > 0)
    await tx.person.upsert({
      where: { email: address },
      create: { email: address, roles: link.roles },
      update: { roles: link.roles },
    });
  await recordAudit(tx, { email: address, roles: link.roles, kind: 'person' }, 'person.welcome', address);
  return address;
}
