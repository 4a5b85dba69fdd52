import { Prisma } from '#prisma/generated/client.ts';
import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError } from '../../error.ts';
import { notifyChanged, type Scope } from '../scope.ts';

/** Asks the worker to try a failed source again. Durable when resolved; may be repeated. */
export async function resumeSource(scope: Scope, name: string): Promise<void> {
  requireAccess(scope.who, 'pipeline.write', 'resume sources');
  await scope.state.$transaction(async (tx) => {
    if ((await tx.source.count({ where: { name } })) === 0)
      throw new DailiesError('not_found', `There is no source ${name}.`, { details: { source: name } });
    await tx.source.updateMany({
      where: { name, state: 'failed' },
      data: { state: 'running', lastError: Prisma.DbNull },
    });
    await recordAudit(tx, scope.who, 'source.resume', name);
    await notifyChanged(tx);
  });
}
