import { json } from '../http-message.ts';
import type { Route } from '../route.ts';

export const healthRoutes: readonly Route[] = [
  { method: 'GET', path: '/healthz', handle: async () => json({ status: 'alive' }) },
  {
    method: 'GET',
    path: '/readyz',
    async handle({ deps }) {
      try {
        await deps.state.$queryRaw`SELECT 1`;
        return json({ status: 'ready' });
      } catch (error) {
        deps.report(
          `not ready: the state database does not answer: ${error instanceof Error ? error.message : String(error)}`,
        );
        return json({ status: 'not ready', reason: 'The state database does not answer.' }, 503);
      }
    },
  },
];
