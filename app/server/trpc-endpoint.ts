import { fetchRequestHandler } from '@trpc/server/adapters/fetch';
import type { Caller } from './caller.ts';
import { createContext } from './context.ts';
import type { ServerDeps } from './server-deps.ts';
import { appRouter } from './trpc/router.ts';

/** `/api/trpc`: what our own pages use. */
export function answerTrpc(deps: ServerDeps, request: Request, caller: Caller): Promise<Response> {
  return fetchRequestHandler({
    endpoint: '/api/trpc',
    req: request,
    router: appRouter,
    createContext: () => createContext(deps, caller),
    onError({ error, path }) {
      const { cause } = error;
      if (error.code === 'INTERNAL_SERVER_ERROR')
        deps.report(`page procedure ${path ?? '?'}: ${describe(cause ?? error)}`);
    },
  });
}

function describe(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
