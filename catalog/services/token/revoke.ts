import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError } from '../../error.ts';
import type { Scope } from '../scope.ts';

/** By id or name. The next request with it is refused. */
export async function revokeToken(scope: Scope, idOrName: string): Promise<void> {
  requireAccess(scope.who, 'admin', 'revoke API tokens');
  await scope.state.$transaction(async (tx) => {
    const token = await tx.apiToken.findFirst({ where: { OR: [{ id: idOrName }, { name: idOrName }] } });
    if (token === null)
      throw new DailiesError('not_found', `There is no token ${idOrName}.`, { details: { token: idOrName } });
    await tx.apiToken.delete({ where: { id: token.id } });
    await recordAudit(tx, scope.who, 'token.revoke', token.name);
  });
}
