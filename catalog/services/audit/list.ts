import { requireAccess } from '../../access/principal.ts';
import type { Scope } from '../scope.ts';

export interface AuditEntry {
  id: string;
  at: Date;
  actor: string;
  action: string;
  target: string;
  details: unknown;
}

/** Newest first; `before` is the id of the last entry of the page before, `target` narrows to one thing. */
export async function listAudit(
  scope: Scope,
  page: { before?: string | undefined; target?: string | undefined; limit?: number | undefined } = {},
): Promise<AuditEntry[]> {
  requireAccess(scope.who, 'admin', 'see who changed what');
  const rows = await scope.state.auditEvent.findMany({
    where: {
      ...(page.before === undefined ? {} : { id: { lt: BigInt(page.before) } }),
      ...(page.target === undefined ? {} : { target: page.target }),
    },
    orderBy: { id: 'desc' },
    take: Math.min(page.limit ?? 100, 500),
  });
  return rows.map((row) => ({ ...row, id: String(row.id) }));
}
