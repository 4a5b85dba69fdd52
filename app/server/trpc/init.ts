import { initTRPC, TRPCError } from '@trpc/server';
import superjson from 'superjson';
import { DailiesError, type ErrorCode } from '#catalog/error.ts';
import { unforeseen } from '../problem.ts';
import type { PageContext } from './page-context.ts';

const t = initTRPC.context<PageContext>().create({
  transformer: superjson,
  errorFormatter({ shape, error }) {
    const cause = error.cause instanceof DailiesError ? error.cause : null;
    return { ...shape, data: { ...shape.data, stack: undefined, dailies: cause?.toJSON() ?? null } };
  },
});

export const router = t.router;

/** Open to everybody, signed in or not. */
export const openProcedure = t.procedure.use(async ({ next }) => {
  const result = await next();
  if (result.ok || result.error.cause instanceof TRPCError) return result;
  const cause = result.error.cause;
  // A refusal by tRPC itself (unknown path, bad input) has no cause of ours and stays as it is.
  if (cause === undefined || result.error.code === 'BAD_REQUEST') return result;
  const error = cause instanceof DailiesError ? cause : unforeseen(cause);
  throw new TRPCError({ code: trpcCode(error.code), message: error.message, cause: error });
});

/** For who is signed in; what they may do is decided by the service that is called. */
export const procedure = openProcedure.use(({ ctx, next }) => {
  if (ctx.who === null) {
    throw new TRPCError({
      code: 'UNAUTHORIZED',
      cause: new DailiesError('unauthenticated', 'You are not signed in. Sign in and try again.'),
    });
  }
  return next({ ctx: { ...ctx, who: ctx.who, scope: { ...ctx.deps, who: ctx.who } } });
});

function trpcCode(code: ErrorCode): TRPCError['code'] {
  switch (code) {
    case 'unauthenticated':
      return 'UNAUTHORIZED';
    case 'forbidden':
      return 'FORBIDDEN';
    case 'not_found':
    case 'table_unknown':
      return 'NOT_FOUND';
    case 'conflict':
      return 'CONFLICT';
    case 'invalid':
    case 'unsupported':
    case 'definition_invalid':
    case 'expression_invalid':
    case 'sql_invalid':
    case 'sql_refused':
      return 'BAD_REQUEST';
    case 'too_large':
    case 'query_limit':
      return 'PAYLOAD_TOO_LARGE';
    case 'timeout':
      return 'TIMEOUT';
    default:
      return 'INTERNAL_SERVER_ERROR';
  }
}
