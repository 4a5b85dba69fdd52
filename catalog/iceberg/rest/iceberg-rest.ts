import { z } from 'zod';
import { parseJson } from '../metadata/json.ts';
import { commitTable, commitTransaction } from './commit-table.ts';
import { createTable } from './create-table.ts';
import { checkWarehouse, config } from './endpoints.ts';
import { answerOnce } from './idempotency.ts';
import { loadCredentials, loadTable, noTable, tableExists } from './load-table.ts';
import {
  createNamespace,
  deleteNamespace,
  listNamespaces,
  loadNamespace,
  namespaceExists,
  updateProperties,
} from './namespace-routes.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { RestError, restErrorOf } from './rest-error.ts';
import { fullName, pathLevels, pathName } from './rest-request.ts';
import { noContent } from './rest-response.ts';
import { dropTable, listEntries, registerTable, rename } from './table-routes.ts';
import { commitView, createView, deleteView, loadView, registerView, viewExists } from './view-routes.ts';

/**
 * Answers one request of the Iceberg REST catalog (its OpenAPI) mounted anywhere: the path is taken from `/v1/` on. Who
 * asks has been authenticated. Never throws; errors are in the protocol's error model.
 */
export async function icebergRest(request: Request, deps: IcebergRestDeps): Promise<Response> {
  try {
    if (!request.headers.has('idempotency-key') || request.method === 'GET' || request.method === 'HEAD') {
      return await route(request, deps);
    }
    return await routeOnce(request, deps);
  } catch (thrown) {
    const error = restErrorOf(thrown);
    if (error !== null && error.status < 500) return error.response();
    deps.report(`iceberg: ${request.method} ${new URL(request.url).pathname}: ${describe(thrown)}`);
    return (
      error ?? new RestError(500, 'InternalServerError', 'The catalog could not answer this request.')
    ).response();
  }
}

type Handler = () => Promise<Response>;
/** What there is at a path, by method. */
type Resource = Partial<Record<string, Handler>>;

async function routeOnce(request: Request, deps: IcebergRestDeps): Promise<Response> {
  const { url, method, headers } = request;
  const text = await request.text();
  // DELETE has none.
  const whole = () => new Request(url, { method, headers, ...(text === '' ? {} : { body: text }) });
  const body = named.safeParse(text === '' ? {} : parseJson(text)).data ?? {};
  // Staging changes nothing, and its answer is found nowhere again.
  if (body['stage-create'] === true) return await route(whole(), deps);
  const path = reloadPath(partsOf(new URL(url)), body.name);
  const reload = path === null ? null : () => route(new Request(new URL(path, url), { headers }), deps);
  return await answerOnce(deps, request, text, (once) => route(whole(), once), reload);
}

const named = z.object({ name: z.string().optional(), 'stage-create': z.boolean().nullish() });

/** Where what a request has made or changed is loaded from; null where its answer is small. */
function reloadPath(parts: readonly string[], made: string | undefined): string | null {
  const [root, namespace, kind = '', changed, ...rest] = parts;
  const name = changed ?? (made === undefined ? undefined : encodeURIComponent(made));
  const loads: Readonly<Record<string, string>> = { register: 'tables', 'register-view': 'views' };
  const resource = loads[kind] ?? kind;
  if (root !== 'namespaces' || (resource !== 'tables' && resource !== 'views')) return null;
  return name === undefined || rest.length > 0 ? null : `/v1/namespaces/${namespace}/${resource}/${name}`;
}

function partsOf(url: URL): string[] {
  const at = url.pathname.indexOf('/v1/');
  return (at < 0 ? '' : url.pathname.slice(at + 4)).replace(/\/$/, '').split('/');
}

async function route(request: Request, deps: IcebergRestDeps): Promise<Response> {
  const url = new URL(request.url);
  const parts = partsOf(url);
  checkWarehouse(url);
  const resource = resourceAt(parts, request, url, deps);
  if (resource === null) throw new RestError(404, 'NotFoundException', `The catalog has no ${url.pathname}.`);
  const handler = resource[request.method];
  if (!handler) {
    throw new RestError(
      405,
      'UnsupportedOperationException',
      `${request.method} does not work here; use ${Object.keys(resource).join(' or ')}.`,
    );
  }
  return await handler();
}

function resourceAt(parts: readonly string[], request: Request, url: URL, deps: IcebergRestDeps): Resource | null {
  const path = parts.join('/');
  switch (path) {
    case 'config':
      return { GET: async () => config() };
    case 'namespaces':
      return { GET: () => listNamespaces(deps, url), POST: () => createNamespace(deps, request) };
    case 'tables/rename':
      return { POST: () => rename(deps, request, 'table') };
    case 'views/rename':
      return { POST: () => rename(deps, request, 'view') };
    case 'transactions/commit':
      return { POST: () => commitTransaction(deps, request) };
  }
  const [root, namespacePart, kind, namePart, ...rest] = parts;
  if (root !== 'namespaces' || !namespacePart) return null;
  const namespace = pathLevels(namespacePart);
  if (kind === undefined) {
    return {
      GET: () => loadNamespace(deps, namespace),
      HEAD: () => namespaceExists(deps, namespace),
      DELETE: () => deleteNamespace(deps, namespace),
    };
  }
  if (namePart === undefined) return inNamespace(kind, namespace, request, url, deps);
  const target = { namespace, name: pathName(namePart) };
  if (kind === 'tables') return ofTable(rest.join('/'), target, request, url, deps);
  if (kind === 'views' && rest.length === 0) {
    return {
      GET: () => loadView(deps, target),
      HEAD: () => viewExists(deps, target),
      POST: () => commitView(deps, request, target),
      DELETE: () => deleteView(deps, target),
    };
  }
  return null;
}

function inNamespace(
  kind: string,
  namespace: readonly string[],
  request: Request,
  url: URL,
  deps: IcebergRestDeps,
): Resource | null {
  switch (kind) {
    case 'properties':
      return { POST: () => updateProperties(deps, request, namespace) };
    case 'register':
      return { POST: () => registerTable(deps, request, namespace) };
    case 'register-view':
      return { POST: () => registerView(deps, request, namespace) };
    case 'tables':
      return {
        GET: () => listEntries(deps, url, 'table', namespace),
        POST: () => createTable(deps, request, namespace),
      };
    case 'views':
      return { GET: () => listEntries(deps, url, 'view', namespace), POST: () => createView(deps, request, namespace) };
    default:
      return null;
  }
}

function ofTable(
  rest: string,
  target: { namespace: readonly string[]; name: string },
  request: Request,
  url: URL,
  deps: IcebergRestDeps,
): Resource | null {
  switch (rest) {
    case '':
      return {
        GET: () => loadTable(deps, request, url, target),
        HEAD: () => tableExists(deps, target),
        POST: () => commitTable(deps, request, target),
        DELETE: () => dropTable(deps, url, target),
      };
    case 'credentials':
      return { GET: () => loadCredentials(deps, target) };
    case 'metrics':
      return {
        // Engines report how a scan went; nothing is kept of it.
        POST: async () => {
          if ((await deps.catalog.locate(fullName(target))) === null) throw noTable(target);
          return noContent();
        },
      };
    default:
      return null;
  }
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
