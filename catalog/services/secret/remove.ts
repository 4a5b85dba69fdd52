import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError } from '../../error.ts';
import type { Scope } from '../scope.ts';
import { secretUsers } from './list.ts';

/** Throws `conflict` while something refers to it, `not_found` where there is none. */
export async function removeSecret(scope: Scope, name: string): Promise<void> {
  requireAccess(scope.who, 'admin', 'remove secrets');
  await scope.state.$transaction(async (tx) => {
    const users = (await secretUsers(tx)).get(name) ?? [];
    if (users.length > 0)
      throw new DailiesError(
        'conflict',
        `The secret ${name} is used by ${users.join(', ')}. Remove or change that first.`,
        {
          details: { secret: name, usedBy: users },
        },
      );
    const { count } = await tx.secret.deleteMany({ where: { name } });
    if (count === 0) throw new DailiesError('not_found', `There is no secret ${name}.`, { details: { secret: name } });
    await recordAudit(tx, scope.who, 'secret.remove', name);
  });
}
