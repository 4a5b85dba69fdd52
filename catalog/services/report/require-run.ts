import { requireAccess } from '../../access/principal.ts';
import type { Scope } from '../scope.ts';
import { unknownReport } from './get.ts';

/** Whoever may write reports may run any now: it delivers what its schedule would, with its owner's rights. */
export async function requireRun(scope: Scope, name: string): Promise<void> {
  requireAccess(scope.who, 'report.write', 'run reports');
  if ((await scope.state.report.count({ where: { name } })) === 0) throw await unknownReport(scope, name);
}
