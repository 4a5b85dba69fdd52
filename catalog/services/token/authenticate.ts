import type { Principal } from '../../access/principal.ts';
import type { State } from '../../state/state.ts';
import { hashToken } from './create.ts';

const usedAfterMs = 60_000;

/** Who an API token stands for; null for one that is not, or no longer, known. Found by its hash alone. */
export async function authenticateToken(state: State, token: string, now: Date): Promise<Principal | null> {
  const row = await state.apiToken.findUnique({ where: { hash: hashToken(token) } });
  if (row === null) return null;
  if (row.lastUsedAt === null || now.getTime() - row.lastUsedAt.getTime() > usedAfterMs)
    await state.apiToken.updateMany({ where: { id: row.id }, data: { lastUsedAt: now } });
  return tokenPrincipal(row);
}

export function tokenPrincipal(row: { id: string; name: string; role: string }): Principal {
  return { email: `token:${row.name}#${row.id.slice(0, 8)}`, roles: [row.role], kind: 'token' };
}
