import { requireAccess } from '../../access/principal.ts';
import type { Scope } from '../scope.ts';
import { secretReferences } from './references.ts';

export interface SecretSummary {
  name: string;
  updatedAt: Date;
  /** What refers to it: `source production`, `pipeline movies`, `report fees`. */
  usedBy: string[];
}

/** Names only: a value is never printed again. */
export async function listSecrets(scope: Scope): Promise<SecretSummary[]> {
  requireAccess(scope.who, 'admin', 'see which secrets are set');
  const [secrets, users] = await Promise.all([
    scope.state.secret.findMany({ select: { name: true, updatedAt: true }, orderBy: { name: 'asc' } }),
    secretUsers(scope.state),
  ]);
  return secrets.map((secret) => ({ ...secret, usedBy: users.get(secret.name) ?? [] }));
}

/** Secret name → what refers to it. */
export async function secretUsers(
  state: Pick<Scope['state'], 'source' | 'pipeline' | 'report'>,
): Promise<Map<string, string[]>> {
  const [sources, pipelines, reports] = await Promise.all([
    state.source.findMany({ select: { name: true, spec: true } }),
    state.pipeline.findMany({ select: { name: true, spec: true } }),
    state.report.findMany({ select: { name: true, deliveries: true } }),
  ]);
  const users = new Map<string, string[]>();
  const add = (user: string, spec: unknown) => {
    for (const name of secretReferences(spec)) users.set(name, [...(users.get(name) ?? []), user]);
  };
  for (const source of sources) add(`source ${source.name}`, source.spec);
  for (const pipeline of pipelines) add(`pipeline ${pipeline.name}`, pipeline.spec);
  for (const report of reports) add(`report ${report.name}`, report.deliveries);
  return users;
}
