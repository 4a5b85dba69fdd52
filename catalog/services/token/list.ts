import { requireAccess } from '../../access/principal.ts';
import type { Scope } from '../scope.ts';

export interface TokenSummary {
  id: string;
  name: string;
  role: string;
  createdBy: string;
  createdAt: Date;
  lastUsedAt: Date | null;
}

export async function listTokens(scope: Scope): Promise<TokenSummary[]> {
  requireAccess(scope.who, 'admin', 'see API tokens');
  return scope.state.apiToken.findMany({ omit: { hash: true }, orderBy: { name: 'asc' } });
}
