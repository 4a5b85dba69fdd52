import type { Principal } from '#catalog/access/principal.ts';
import { requireAccess, system } from '#catalog/access/principal.ts';
import { recordAudit } from '#catalog/audit/record-audit.ts';
import { DailiesError } from '#catalog/error.ts';
import { principalOf } from '#catalog/services/person/principal.ts';
import { authenticateAccessToken } from '#catalog/services/token/access-token.ts';
import { authenticateToken } from '#catalog/services/token/authenticate.ts';
import type { ServerDeps } from './server-deps.ts';

/** Who asks, and by what they showed it. */
export interface Caller {
  who: Principal | null;
  /** A person's own name. */
  name: string | null;
  by: 'socket' | 'token' | 'session' | 'nothing';
}

/**
 * By the socket in the home folder (whoever may open it is admin), an API token, or the session cookie, in this order. A
 * token that is not known is `unauthenticated`, never taken for nobody. `Dailies-As: EMAIL` lets an admin ask as a person.
 */
export async function identifyCaller(deps: ServerDeps, request: Request, isSocket: boolean): Promise<Caller> {
  const caller = await identify(deps, request, isSocket);
  const other = request.headers.get('dailies-as');
  if (other === null || caller.who === null) return caller;
  requireAccess(caller.who, 'admin', 'ask as somebody else');
  const person = await principalOf(deps.state, other);
  // Asking goes with many a look at how far it is; one entry for what was asked is enough.
  if (request.method !== 'GET') await recordAudit(deps.state, caller.who, 'access.as', person.email);
  return { who: { ...person, askedBy: caller.who.email }, name: null, by: caller.by };
}

async function identify(deps: ServerDeps, request: Request, isSocket: boolean): Promise<Caller> {
  if (isSocket) return { who: system, name: null, by: 'socket' };
  const header = request.headers.get('authorization');
  if (header !== null) {
    const token = /^Bearer +(\S+)$/i.exec(header)?.[1];
    const who =
      token === undefined
        ? null
        : ((await authenticateAccessToken(deps, token, deps.now())) ??
          (await authenticateToken(deps.state, token, deps.now())));
    if (who === null)
      throw new DailiesError(
        'unauthenticated',
        'This API token is not known. It may have been revoked; make one with dailies token create.',
      );
    return { who, name: null, by: 'token' };
  }
  const person = await deps.signIn.personOf(request.headers);
  if (person === null) return { who: null, name: null, by: 'nothing' };
  requireSameOrigin(request);
  return { ...person, by: 'session' };
}

export function requireCaller({ who }: Caller): Principal {
  if (who !== null) return who;
  throw new DailiesError(
    'unauthenticated',
    'You are not signed in. Sign in, or send an API token as Authorization: Bearer …',
  );
}

/** A browser sends its cookie along with whatever another site makes it send: such a request may read, but never change. */
export function requireSameOrigin(request: Request): void {
  if (request.method === 'GET' || request.method === 'HEAD') return;
  const site = request.headers.get('sec-fetch-site');
  const origin = request.headers.get('origin');
  const isForeign =
    (site !== null && site !== 'same-origin' && site !== 'none') ||
    (origin !== null && URL.parse(origin)?.host !== request.headers.get('host'));
  if (isForeign) throw new DailiesError('forbidden', 'This request comes from another site and was refused.');
}
