import { Prisma } from '#prisma/generated/client.ts';
import { requireAccess } from '../../access/principal.ts';
import { recordAudit, type Transaction } from '../../audit/record-audit.ts';
import { notifyChanged, type Scope } from '../scope.ts';
import { unknownPipeline } from './get.ts';

/** Asks the worker to pause it before its next batch. Durable when resolved; may be repeated. */
export function pausePipeline(scope: Scope, name: string): Promise<void> {
  return setDesired(scope, name, 'paused');
}

/** Asks the worker to go on where it stands; also what makes it try again after it failed. */
export function resumePipeline(scope: Scope, name: string): Promise<void> {
  return setDesired(scope, name, 'running');
}

async function setDesired(scope: Scope, name: string, desired: 'running' | 'paused'): Promise<void> {
  requireAccess(scope.who, 'pipeline.write', desired === 'paused' ? 'pause pipelines' : 'resume pipelines');
  await scope.state.$transaction(async (tx) => {
    const { count } = await tx.pipeline.updateMany({ where: { name }, data: { desired } });
    if (count === 0) throw await unknownPipeline(scope, name);
    // The worker starts a failed pipeline again when it finds that it is not failed any more.
    if (desired === 'running')
      await tx.pipeline.updateMany({
        where: { name, state: 'failed' },
        data: { state: 'running', lastError: Prisma.DbNull },
      });
    // So does it with tables that their targets have refused.
    if (desired === 'running')
      await tx.pipelineSink.updateMany({
        where: { pipelineName: name, state: 'failed' },
        data: { state: 'running', lastError: Prisma.DbNull },
      });
    if (desired === 'running') await resumeSources(tx, name);
    await recordAudit(tx, scope.who, desired === 'paused' ? 'pipeline.pause' : 'pipeline.resume', name);
    await notifyChanged(tx);
  });
}

/** The worker tries a failed source again when it finds that its row was touched. */
async function resumeSources(tx: Transaction, pipeline: string): Promise<void> {
  const row = await tx.pipeline.findUnique({ where: { name: pipeline }, select: { spec: true } });
  const { from = [] } = (row?.spec ?? {}) as { from?: string[] };
  const sources = from.map((pattern) => pattern.slice(0, pattern.indexOf('.')));
  await tx.source.updateMany({
    where: { name: { in: sources }, state: 'failed' },
    data: { updatedAt: new Date() },
  });
}
