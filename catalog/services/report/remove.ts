import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { notifyChanged, type Scope } from '../scope.ts';
import { mayWriteReport, unknownReport } from './get.ts';
import { notYours } from './save.ts';

/** Removes the report with its runs; what it delivered stays where it is. */
export async function removeReport(scope: Scope, name: string): Promise<void> {
  requireAccess(scope.who, 'report.write', 'remove reports');
  await scope.state.$transaction(async (tx) => {
    const report = await tx.report.findUnique({ where: { name } });
    if (report === null) throw await unknownReport(scope, name);
    if (!mayWriteReport(scope, report.owner)) throw notYours(name, report.owner);
    await tx.report.delete({ where: { name } });
    await recordAudit(tx, scope.who, 'report.remove', name);
    await notifyChanged(tx);
  });
}
