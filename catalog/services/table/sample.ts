import { requireAccess } from '../../access/principal.ts';
import { DailiesError } from '../../error.ts';
import type { QueryService } from '../../query/query-service.ts';
import { sqlTableName } from '../../query/sql-name.ts';
import type { Scope } from '../scope.ts';

export interface Sample {
  columns: { name: string; type: string }[];
  /** As the query API gives them: 64-bit integers and decimals as text. */
  rows: Awaited<ReturnType<QueryService['rows']>>;
}

/** A few rows of a table, read as who asks: what they may not see is not in it. Throws what the query throws. */
export async function sampleTable(
  scope: Scope & { queries: QueryService },
  name: string,
  limit: number,
  signal: AbortSignal,
): Promise<Sample> {
  requireAccess(scope.who, 'catalog.read', 'see the catalog');
  const { queries, who } = scope;
  const sql = `SELECT * FROM ${sqlTableName(name)} LIMIT ${Math.max(1, Math.min(Math.trunc(limit), 500))}`;
  const { id } = await queries.submit({ sql, origin: 'catalog' }, who);
  try {
    const result = await queries.wait(id, who, signal);
    if (result.state !== 'succeeded')
      throw new DailiesError(result.error?.code ?? 'cancelled', result.error?.message ?? 'The sample was cancelled.');
    return { columns: result.columns ?? [], rows: await queries.rows(id, who, 0, limit) };
  } catch (error) {
    if (signal.aborted) await queries.cancel(id, who);
    throw error;
  }
}
