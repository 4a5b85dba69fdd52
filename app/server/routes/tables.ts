import { getMaintenanceRun, requestMaintenance, tableMaintenance } from '#catalog/services/table/maintenance.ts';
import { json } from '../http-message.ts';
import { type Route, scopeOf } from '../route.ts';

/** Maintenance of a table, by its name as in `production.movie`. */
export const tableRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/tables/:name/maintenance',
    async handle(call) {
      return json(await tableMaintenance({ ...scopeOf(call), catalog: call.deps.catalog }, call.params.name ?? ''));
    },
  },
  {
    method: 'POST',
    path: '/api/v1/tables/:name/maintenance',
    async handle(call) {
      const name = call.params.name ?? '';
      const { id } = await requestMaintenance({ ...scopeOf(call), catalog: call.deps.catalog }, name);
      return json({ id }, 201, { location: `/api/v1/tables/${encodeURIComponent(name)}/maintenance/${id}` });
    },
  },
  {
    method: 'GET',
    path: '/api/v1/tables/:name/maintenance/:id',
    async handle(call) {
      return json(await getMaintenanceRun(scopeOf(call), call.params.name ?? '', call.params.id ?? ''));
    },
  },
];
