import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { notifyChanged, type Scope } from '../scope.ts';
import { mayWriteReport, unknownReport } from './get.ts';
import { notYours } from './save.ts';

/** A paused report runs only when somebody asks. Durable when resolved; may be repeated. */
export async function setReportPaused(scope: Scope, name: string, isPaused: boolean): Promise<void> {
  requireAccess(scope.who, 'report.write', 'pause and resume reports');
  await scope.state.$transaction(async (tx) => {
    const report = await tx.report.findUnique({ where: { name } });
    if (report === null) throw await unknownReport(scope, name);
    if (!mayWriteReport(scope, report.owner)) throw notYours(name, report.owner);
    await tx.report.update({ where: { name }, data: { isPaused } });
    await recordAudit(tx, scope.who, isPaused ? 'report.pause' : 'report.resume', name);
    await notifyChanged(tx);
  });
}
