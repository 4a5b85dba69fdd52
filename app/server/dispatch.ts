import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { DailiesError } from '#catalog/error.ts';
import { type Caller, identifyCaller, requireSameOrigin } from './caller.ts';
import { createGraphEndpoint, graphError } from './graphql/endpoint.ts';
import { sendResponse, toRequest } from './http-message.ts';
import { answerIceberg, icebergError } from './iceberg.ts';
import { answerTokenRequest, tokenPath } from './iceberg-oauth.ts';
import { problemResponse, wrongMethod } from './problem.ts';
import { matchRoute, type Route } from './route.ts';
import { definitionRoutes } from './routes/definition.ts';
import { eventRoutes } from './routes/events.ts';
import { healthRoutes } from './routes/health.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { pipelineRoutes } from './routes/pipelines.ts';
import { queryRoutes } from './routes/queries.ts';
import { reportRoutes } from './routes/reports.ts';
import { secretRoutes } from './routes/secrets.ts';
import { signInRoutes } from './routes/sign-in.ts';
import { sourceRoutes } from './routes/sources.ts';
import { statusRoutes } from './routes/status.ts';
import { tableRoutes } from './routes/tables.ts';
import { tokenRoutes } from './routes/tokens.ts';
import type { ServerDeps } from './server-deps.ts';
import { answerTrpc } from './trpc-endpoint.ts';

/** Everything below `/api/v1` and what has no protocol of its own. */
const routes: readonly Route[] = [
  ...healthRoutes,
  ...metricsRoutes,
  ...signInRoutes,
  ...queryRoutes,
  ...definitionRoutes,
  ...statusRoutes,
  ...tableRoutes,
  ...pipelineRoutes,
  ...reportRoutes,
  ...sourceRoutes,
  ...eventRoutes,
  ...secretRoutes,
  ...tokenRoutes,
];

/** Routes that answer before anybody is looked up: they must answer while the state database does not. */
const openPaths = new Set(['/healthz', '/readyz', '/metrics']);

/** Part of the surface that later versions answer; a page would be the wrong answer to a program. */
const laterPaths = /^\/schemas(\/|$)/;

/** For browsers, on every answer: no guessing of types, no frame of another site around us, no address told to others. */
const guards = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'same-origin'],
] as const;

type Dispatch = (message: IncomingMessage, response: ServerResponse, isSocket: boolean) => Promise<void>;

/** One request: who asks → which part answers → its answer, errors in that part's own form; pages get the rest. */
export function createDispatcher(deps: ServerDeps): Dispatch {
  const graph = createGraphEndpoint(deps);
  const origin = deps.environment.url;
  return async (message, response, isSocket) => {
    const pathname = (message.url ?? '/').split('?', 1)[0] ?? '/';
    for (const [name, value] of guards) response.setHeader(name, value);
    if (!isSocket && !isKnownHost(deps, message.headers.host)) {
      const error = new DailiesError(
        'forbidden',
        `Dailies does not go by this name. Open ${origin}, or set DAILIES_URL to the address that people use.`,
      );
      return sendResponse(
        problemResponse(error, () => undefined),
        message,
        response,
      );
    }
    const isOurs =
      pathname.startsWith('/api/') ||
      pathname.startsWith('/iceberg/') ||
      matchRoute(routes, 'GET', pathname) !== null ||
      laterPaths.test(pathname);
    if (!isOurs && deps.pages !== null) return deps.pages(message, response);

    if (message.method === 'TRACE') return sendResponse(wrongMethod('TRACE', []), message, response);
    const request = toRequest(message, response, origin);
    const tellFault = (error: unknown) => {
      if (!request.signal.aborted) deps.report(`${request.method} ${pathname}: ${describe(error)}`);
    };
    const address = message.socket.remoteAddress ?? '';
    const answer = await answerRequest(deps, graph, request, { pathname, isSocket, address }).catch(
      (error: unknown) => {
        if (pathname.startsWith('/iceberg/')) return icebergError(error, deps);
        if (pathname === '/api/graphql') return graphError(error, deps);
        return problemResponse(error, tellFault);
      },
    );
    await sendResponse(answer, message, response);
  };
}

async function answerRequest(
  deps: ServerDeps,
  graph: (request: Request, caller: Caller) => Promise<Response>,
  request: Request,
  { pathname, isSocket, address }: { pathname: string; isSocket: boolean; address: string },
): Promise<Response> {
  const match = matchRoute(routes, request.method, pathname);
  const nobody: Caller = { who: null, name: null, by: 'nothing' };
  // Shows who asks in its own way.
  if (pathname === tokenPath) return answerTokenRequest(deps, request);
  const isOpen = openPaths.has(pathname) || pathname.startsWith('/api/auth/') || pathname.startsWith('/sign-in/');
  const caller = isOpen ? nobody : await identifyCaller(deps, request, isSocket);

  if (match !== null && 'route' in match)
    return match.route.handle({
      request,
      url: new URL(request.url),
      params: { ...match.params, address },
      caller,
      deps,
    });
  if (pathname.startsWith('/api/trpc/')) return answerTrpc(deps, request, caller);
  if (pathname === '/api/graphql') return graph(request, caller);
  if (pathname.startsWith('/iceberg/')) return answerIceberg(deps, request, caller);
  if (pathname.startsWith('/api/auth/')) return answerAuth(deps, request);
  if (match !== null) return wrongMethod(request.method, match.allowed);
  if (laterPaths.test(pathname)) throw new DailiesError('not_found', `${pathname} does not work yet.`);
  throw new DailiesError('not_found', `There is nothing at ${pathname}.`);
}

/** Only what our pages use of better-auth; what is not there is not found. */
const authPaths = new Set(['/api/auth/sign-out', '/api/auth/get-session', '/api/auth/ok']);

async function answerAuth(deps: ServerDeps, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (!authPaths.has(pathname)) throw new DailiesError('not_found', `There is nothing at ${pathname}.`);
  // A cookie that no longer holds must still be able to sign out: nobody is looked up, but the origin is.
  requireSameOrigin(request);
  return deps.signIn.handle(request);
}

/**
 * On a loopback address only names that lead there: a foreign name that was made to point at this machine would let its
 * page act as whoever sits at it.
 */
function isKnownHost({ environment }: ServerDeps, header: string | undefined): boolean {
  const isLoopback =
    environment.host === 'localhost' || environment.host === '::1' || environment.host.startsWith('127.');
  if (!isLoopback || header === undefined) return true;
  const host = URL.parse(`http://${header}`)?.hostname ?? '';
  const name = host.replace(/^\[|\]$/g, '');
  return (
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    isIP(name) !== 0 ||
    name === URL.parse(environment.url)?.hostname
  );
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
