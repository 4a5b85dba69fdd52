import { createTRPCClient, httpLink, TRPCClientError } from '@trpc/client';
import type { inferRouterOutputs } from '@trpc/server';
import superjson from 'superjson';
import type { AppRouter } from '../server/trpc/router.ts';

export const api = createTRPCClient<AppRouter>({ links: [httpLink({ url: '/api/trpc', transformer: superjson })] });

/** What each procedure answers, by router and name. */
export type Answers = inferRouterOutputs<AppRouter>;

export interface Problem {
  /** A code of catalog/error.ts, `unreachable` where no answer came. */
  code: string;
  message: string;
  details: Record<string, unknown>;
}

/** True for an answer that will not change by asking again: not found, not allowed, wrong input. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof TRPCClientError)) return false;
  const status = (error.data as { httpStatus?: number } | null)?.httpStatus;
  return status !== undefined && status < 500 && status !== 429;
}

/** Whatever was thrown, as a code and a sentence for the person who meets it. */
export function problemOf(error: unknown): Problem {
  if (error instanceof TRPCClientError) {
    const data = error.data as { dailies?: Problem; code?: string } | null;
    if (data?.dailies) return data.dailies;
    if (!data) {
      return { code: 'unreachable', message: 'Dailies does not answer. The page tries again by itself.', details: {} };
    }
    if (data.code === 'BAD_REQUEST') {
      return {
        code: 'invalid',
        message: 'Dailies does not understand what this page asked. Load it again.',
        details: {},
      };
    }
    return { code: data.code ?? 'internal', message: error.message, details: {} };
  }
  return { code: 'internal', message: error instanceof Error ? error.message : String(error), details: {} };
}
