import { askerName, requireAccess } from '../../access/principal.ts';
import type { ErrorRecord } from '../../error.ts';
import type { Scope } from '../scope.ts';

export interface PastQuery {
  id: string;
  sql: string;
  state: string;
  rowCount: number | null;
  elapsedMs: number | null;
  error: ErrorRecord | null;
  createdAt: Date;
}

/** The asker's own queries, newest first; a query belongs to who asked, for admins too. */
export async function listQueryHistory(scope: Scope, limit = 100): Promise<PastQuery[]> {
  requireAccess(scope.who, 'sql.run', 'run SQL');
  const rows = await scope.state.query.findMany({
    where: { owner: askerName(scope.who), origin: { in: ['browser', 'api'] } },
    orderBy: { createdAt: 'desc' },
    take: Math.min(limit, 500),
  });
  return rows.map((row) => ({
    id: row.id,
    sql: row.sql,
    state: row.state,
    rowCount: row.rowCount === null ? null : Number(row.rowCount),
    elapsedMs: row.elapsedMs,
    error: row.error as ErrorRecord | null,
    createdAt: row.createdAt,
  }));
}
