import { can, requireAccess } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import { icebergRest } from '#catalog/iceberg/rest/iceberg-rest.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { Caller } from './caller.ts';
import { presentable, statusOf } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';

/** `/iceberg/v1/…`: the Iceberg REST catalog, for API tokens and signed-in people. */
export async function answerIceberg(deps: ServerDeps, request: Request, caller: Caller): Promise<Response> {
  const { who } = caller;
  if (who === null)
    return icebergError(new DailiesError('unauthenticated', 'Send an API token: set token=… in the client.'), deps);
  requireAccess(who, 'catalog.read', 'see the catalog');
  const { catalog, environment, vendor } = deps;
  if (!(catalog instanceof IcebergCatalog)) return elsewhere(environment.catalog?.uri ?? '');
  return icebergRest(request, {
    catalog,
    who,
    mayRead: () => can(who, 'catalog.read'),
    vendCredentials: (location, mayWrite) => vendor.vend(location, mayWrite),
    storageConfig: vendor.config,
    report: deps.report,
  });
}

/** With DAILIES_CATALOG the tables are another server's: who may do what with them is for it to say. */
function elsewhere(uri: string): Response {
  const message = `The tables of this warehouse are in another Iceberg catalog: connect to ${uri}.`;
  return Response.json({ error: { message, type: 'NotFoundException', code: 404 } }, { status: 404 });
}

/** The error model of the REST specification. */
export function icebergError(thrown: unknown, deps: Pick<ServerDeps, 'report'>): Response {
  const { code, message } = presentable(thrown, (error) => deps.report(`iceberg: ${String(error)}`));
  const status = statusOf(code);
  const type = status === 401 ? 'NotAuthorizedException' : status === 403 ? 'ForbiddenException' : 'ServerError';
  return Response.json({ error: { message, type, code: status } }, { status });
}
