import { DailiesError } from '../error.ts';

/** Who asks. `email` is a person's address, `token:<name>#<id>` for an API token, `system` for the product itself. */
export interface Principal {
  email: string;
  roles: readonly string[];
  kind: 'person' | 'token' | 'system';
  /** The admin who asks with this person's rights. */
  askedBy?: string;
}

/** Whose the outcome is: what an admin asks as a person is neither that person's nor shows what is. */
export function askerName(who: Principal): string {
  return who.askedBy === undefined ? who.email : `${who.askedBy} as ${who.email}`;
}

export type Action =
  | 'catalog.read'
  | 'catalog.write'
  | 'sql.run'
  | 'report.read'
  | 'report.write'
  | 'pipeline.read'
  | 'pipeline.write'
  | 'admin';

/** The roles that the product knows by itself, each with all that the one before it may do. */
export const builtInRoles = ['staff', 'analyst', 'owner', 'admin'] as const;

/** Everybody with a role, one that only a definition names too, may look at all that is there. */
const everybody: readonly Action[] = ['catalog.read', 'sql.run', 'report.read', 'pipeline.read'];

const granted: Readonly<Record<string, readonly Action[]>> = {
  staff: everybody,
  analyst: [...everybody, 'report.write'],
  owner: [...everybody, 'report.write', 'pipeline.write', 'catalog.write'],
  admin: [...everybody, 'report.write', 'pipeline.write', 'catalog.write', 'admin'],
};

/** Whoever opened the socket in the home folder, and the product's own jobs. */
export const system: Principal = { email: 'system', roles: ['admin'], kind: 'system' };

export function can(who: Principal, action: Action): boolean {
  return who.roles.some((role) => (Object.hasOwn(granted, role) ? granted[role] : everybody)?.includes(action));
}

/** The lowest built-in role that may do it, for the sentence that refuses. */
function neededRole(action: Action): string {
  return builtInRoles.find((role) => granted[role]?.includes(action)) ?? 'admin';
}

/** Throws `forbidden`, naming the role that is needed. `purpose` completes "You may not …". */
export function requireAccess(who: Principal, action: Action, purpose: string): void {
  if (can(who, action)) return;
  const roles = who.roles.length === 0 ? 'you have no role' : `your role is ${who.roles.join(', ')}`;
  throw new DailiesError(
    'forbidden',
    `You may not ${purpose}: that needs the role ${neededRole(action)}, and ${roles}. Ask an admin to grant it.`,
    { details: { action, needs: neededRole(action) } },
  );
}
