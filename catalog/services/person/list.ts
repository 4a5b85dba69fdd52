import { requireAccess } from '../../access/principal.ts';
import type { Scope } from '../scope.ts';

export interface PersonSummary {
  email: string;
  roles: string[];
  /** Whether they ever signed in here. */
  hasAccount: boolean;
  lastSeenAt: Date | null;
}

export async function listPeople(scope: Scope): Promise<PersonSummary[]> {
  requireAccess(scope.who, 'admin', 'see who has which role');
  const [people, users] = await Promise.all([
    scope.state.person.findMany({ orderBy: { email: 'asc' } }),
    scope.state.user.findMany({
      select: { email: true, sessions: { select: { updatedAt: true }, orderBy: { updatedAt: 'desc' }, take: 1 } },
    }),
  ]);
  const userOf = new Map(users.map((user) => [user.email, user]));
  return people.map((person) => ({
    email: person.email,
    roles: person.roles,
    hasAccount: userOf.has(person.email),
    lastSeenAt: userOf.get(person.email)?.sessions[0]?.updatedAt ?? null,
  }));
}
