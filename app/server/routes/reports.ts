import { getRun } from '#catalog/services/report/get.ts';
import { requireRun } from '#catalog/services/report/require-run.ts';
import { requestRun } from '#connectors/reports/request-run.ts';
import { json } from '../http-message.ts';
import { type Route, scopeOf } from '../route.ts';

export const reportRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/api/v1/reports/:name/runs',
    async handle(call) {
      const scope = scopeOf(call);
      const name = call.params.name ?? '';
      await requireRun(scope, name);
      const { runId } = await requestRun(scope.state, name, 'manual', scope.who);
      return json({ id: runId }, 201, { location: `/api/v1/reports/${encodeURIComponent(name)}/runs/${runId}` });
    },
  },
  {
    method: 'GET',
    path: '/api/v1/reports/:name/runs/:id',
    async handle(call) {
      return json(await getRun(scopeOf(call), call.params.name ?? '', call.params.id ?? ''));
    },
  },
];
