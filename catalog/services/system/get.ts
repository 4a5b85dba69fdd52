import { requireAccess } from '../../access/principal.ts';
import type { Scope } from '../scope.ts';

export interface SystemOverview {
  /** Version of the product. */
  version: string;
  node: string;
  /** Of the state database. */
  postgres: string;
  stateBytes: number;
  tables: number;
  rows: number;
  /** Events that no pipeline could carry on and nobody has dealt with. */
  deadLetters: number;
  queriesLastDay: number;
  people: number;
  tokens: number;
}

export async function getSystem(scope: Scope & { version: string }, now: Date): Promise<SystemOverview> {
  requireAccess(scope.who, 'admin', 'see the system');
  const { state } = scope;
  const since = new Date(now.getTime() - 86_400_000);
  const [[database], tables, deadLetters, queriesLastDay, people, tokens] = await Promise.all([
    state.$queryRaw<{ version: string; bytes: bigint }[]>`
      SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS bytes`,
    state.dataTable.aggregate({ _count: true, _sum: { rows: true } }),
    state.deadLetter.count({ where: { resolvedAt: null } }),
    state.query.count({ where: { createdAt: { gte: since } } }),
    state.person.count(),
    state.apiToken.count(),
  ]);
  return {
    version: scope.version,
    node: process.versions.node,
    postgres: database?.version ?? '',
    stateBytes: Number(database?.bytes ?? 0),
    tables: tables._count,
    rows: Number(tables._sum.rows ?? 0),
    deadLetters,
    queriesLastDay,
    people,
    tokens,
  };
}
