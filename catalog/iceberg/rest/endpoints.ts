import { idempotencyLifetime } from './idempotency.ts';
import { badRequest } from './rest-error.ts';
import { jsonResponse } from './rest-response.ts';

/** As the protocol names them; our prefix is empty. Clients use no other. */
const endpoints = [
  'GET /v1/{prefix}/namespaces',
  'POST /v1/{prefix}/namespaces',
  'GET /v1/{prefix}/namespaces/{namespace}',
  'HEAD /v1/{prefix}/namespaces/{namespace}',
  'DELETE /v1/{prefix}/namespaces/{namespace}',
  'POST /v1/{prefix}/namespaces/{namespace}/properties',
  'GET /v1/{prefix}/namespaces/{namespace}/tables',
  'POST /v1/{prefix}/namespaces/{namespace}/tables',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'POST /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials',
  'POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics',
  'POST /v1/{prefix}/namespaces/{namespace}/register',
  'POST /v1/{prefix}/tables/rename',
  'POST /v1/{prefix}/transactions/commit',
  'GET /v1/{prefix}/namespaces/{namespace}/views',
  'POST /v1/{prefix}/namespaces/{namespace}/views',
  'GET /v1/{prefix}/namespaces/{namespace}/views/{view}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/views/{view}',
  'POST /v1/{prefix}/namespaces/{namespace}/views/{view}',
  'DELETE /v1/{prefix}/namespaces/{namespace}/views/{view}',
  'POST /v1/{prefix}/namespaces/{namespace}/register-view',
  'POST /v1/{prefix}/views/rename',
];

/** `GET /v1/config` */
export function config(): Response {
  return jsonResponse({ defaults: {}, overrides: {}, endpoints, 'idempotency-key-lifetime': idempotencyLifetime });
}

/** The one warehouse may be named or not. */
export function checkWarehouse(url: URL): void {
  const warehouse = url.searchParams.get('warehouse');
  if (warehouse && warehouse !== 'dailies') {
    throw badRequest(`There is no warehouse "${warehouse}"; the one here is "dailies".`);
  }
}
