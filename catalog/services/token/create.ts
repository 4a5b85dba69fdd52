import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { builtInRoles, requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError } from '../../error.ts';
import { nearestName } from '../nearest-name.ts';
import { parseInput } from '../parse-input.ts';
import type { Scope } from '../scope.ts';

const input = z.strictObject({
  name: z.string().trim().min(1, 'is empty').max(120),
  role: z.string().default('analyst'),
});

/** Makes an API token. `token` is shown this once: only its SHA-256 is kept. */
export async function createToken(
  scope: Scope,
  raw: z.input<typeof input>,
): Promise<{ id: string; name: string; role: string; token: string }> {
  requireAccess(scope.who, 'admin', 'make API tokens');
  const { name, role } = parseInput(input, raw);
  const token = `dly_${randomBytes(32).toString('base64url')}`;
  const { id } = await scope.state.$transaction(async (tx) => {
    const people = await tx.person.findMany({ select: { roles: true } });
    const roles = new Set([...builtInRoles, ...people.flatMap((person) => person.roles)]);
    if (!roles.has(role)) {
      const near = nearestName(role, roles);
      throw new DailiesError(
        'invalid',
        `There is no role ${role}. ${near === null ? `There is ${[...roles].join(', ')}.` : `Did you mean ${near}?`}`,
        {
          details: { role },
        },
      );
    }
    if ((await tx.apiToken.count({ where: { name } })) > 0)
      throw new DailiesError('conflict', `There is a token ${name} already. Revoke it, or choose another name.`, {
        details: { token: name },
      });
    const row = await tx.apiToken.create({ data: { name, role, hash: hashToken(token), createdBy: scope.who.email } });
    await recordAudit(tx, scope.who, 'token.create', name, { role });
    return row;
  });
  return { id, name, role, token };
}

export function hashToken(token: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(createHash('sha256').update(token).digest());
}
