import { DailiesError } from '../error.ts';
import type { IcebergCatalog } from './catalog.ts';
import { printJson } from './json.ts';
import { findNamespace } from './namespaces.ts';
import { parseTableMetadata, readMetadataText } from './table-metadata.ts';

interface IcebergRestDeps {
  catalog: IcebergCatalog;
  /** Whether who asks may read all of this table (`namespace.table`); false is answered with 403. */
  mayRead(table: string): boolean | Promise<boolean>;
}

/** Levels of a namespace in a path are joined by this character. */
const separator = '\x1f';

/** As the protocol names them; our prefix is empty. */
const endpoints = [
  'GET /v1/{prefix}/namespaces',
  'GET /v1/{prefix}/namespaces/{namespace}',
  'HEAD /v1/{prefix}/namespaces/{namespace}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics',
];

/**
 * Answers one request of the Iceberg REST catalog (its OpenAPI, read-only part) mounted anywhere: the path is taken from
 * `/v1/` on. Who asks has been authenticated. Never throws; errors are in the protocol's error model.
 */
export async function icebergRest(request: Request, deps: IcebergRestDeps): Promise<Response> {
  try {
    return await route(request, new URL(request.url), deps);
  } catch (thrown) {
    if (thrown instanceof RestError) return thrown.response();
    if (thrown instanceof DailiesError) return new RestError(500, 'ServerError', thrown.message).response();
    return new RestError(500, 'ServerError', 'The catalog could not answer this request.').response();
  }
}

async function route(request: Request, url: URL, deps: IcebergRestDeps): Promise<Response> {
  const at = url.pathname.indexOf('/v1/');
  const [, , resource, namespacePart, tables, tablePart, ...rest] = (at < 0 ? '' : url.pathname.slice(at)).split('/');
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  checkWarehouse(url);
  if (isRead && resource === 'config' && namespacePart === undefined) return json(config());
  if (resource !== 'namespaces') throw notAllowed(request, isRead, url);
  if (isRead && !namespacePart) return await listNamespaces(url, deps);
  if (!namespacePart) throw notAllowed(request, isRead, url);
  const namespace = nameOf(namespacePart).split(separator).join('.');
  if (isRead && tables === undefined) return await loadNamespace(request, namespace, deps);
  if (tables !== 'tables') throw notAllowed(request, isRead, url);
  if (isRead && !tablePart) return await listTables(url, namespace, deps);
  if (!tablePart) throw notAllowed(request, isRead, url);
  const table = nameOf(tablePart);
  if (isRead && rest.length === 0) return await loadTable(request, url, namespace, table, deps);
  // Engines report how a scan went; nothing is kept of it.
  if (request.method === 'POST' && rest.length === 1 && rest[0] === 'metrics')
    return new Response(null, { status: 204 });
  throw notAllowed(request, isRead, url);
}

function nameOf(part: string): string {
  try {
    const name = decodeURIComponent(part);
    if (!name.includes('\0')) return name;
  } catch (thrown) {
    if (!(thrown instanceof URIError)) throw thrown;
  }
  throw new RestError(400, 'BadRequestException', 'A name in the path is not well-formed.');
}

function checkWarehouse(url: URL): void {
  const warehouse = url.searchParams.get('warehouse');
  if (warehouse && warehouse !== 'dailies') {
    throw new RestError(400, 'BadRequestException', `There is no warehouse "${warehouse}"; the one here is "dailies".`);
  }
}

function config(): unknown {
  return { defaults: {}, overrides: {}, endpoints };
}

async function listNamespaces(url: URL, deps: IcebergRestDeps): Promise<Response> {
  const parent = url.searchParams.get('parent')?.split(separator).join('.') ?? '';
  const names = await deps.catalog.namespaces();
  const depth = parent === '' ? 1 : parent.split('.').length + 1;
  if (parent !== '' && !names.some((name) => name === parent || name.startsWith(`${parent}.`))) {
    throw noNamespace(parent);
  }
  const children = new Set(
    names
      .filter((name) => parent === '' || name.startsWith(`${parent}.`))
      .map((name) => name.split('.').slice(0, depth).join('.'))
      .filter((name) => name !== parent),
  );
  const page = paginate([...children].sort(), url);
  return json({ namespaces: page.items.map((name) => name.split('.')), 'next-page-token': page.nextToken });
}

async function loadNamespace(request: Request, namespace: string, deps: IcebergRestDeps): Promise<Response> {
  const properties = await requireNamespace(namespace, deps);
  if (request.method === 'HEAD') return new Response(null, { status: 204 });
  return json({ namespace: namespace.split('.'), properties });
}

async function listTables(url: URL, namespace: string, deps: IcebergRestDeps): Promise<Response> {
  await requireNamespace(namespace, deps);
  const page = paginate(await deps.catalog.list(namespace), url);
  const identifiers = page.items.map((name) => ({
    namespace: namespace.split('.'),
    name: name.slice(namespace.length + 1),
  }));
  return json({ identifiers, 'next-page-token': page.nextToken });
}

async function loadTable(
  request: Request,
  url: URL,
  namespace: string,
  table: string,
  deps: IcebergRestDeps,
): Promise<Response> {
  const name = `${namespace}.${table}`;
  const location = await deps.catalog.locate(name);
  if (location === null) throw new RestError(404, 'NoSuchTableException', `Table does not exist: ${name}`);
  if (!(await deps.mayRead(name))) {
    throw new RestError(
      403,
      'ForbiddenException',
      `You may not read all of ${name}. Query it in Dailies, which shows what you may see.`,
    );
  }
  if (request.method === 'HEAD') return new Response(null, { status: 204 });
  const text = await readMetadataText(location);
  const metadata = parseTableMetadata(text, location);
  // The file's own text, so that nothing of it is changed on its way.
  const body = url.searchParams.get('snapshots') === 'refs' ? referencedOnly(metadata) : text;
  return new Response(`{"metadata-location":${JSON.stringify(location)},"metadata":${body},"config":{}}`, {
    headers: { 'content-type': 'application/json' },
  });
}

function referencedOnly(metadata: ReturnType<typeof parseTableMetadata>): string {
  const referenced = new Set(Object.values(metadata.refs).map((ref) => ref['snapshot-id']));
  return printJson({
    ...metadata,
    snapshots: metadata.snapshots.filter((snapshot) => referenced.has(snapshot['snapshot-id'])),
  });
}

async function requireNamespace(namespace: string, deps: IcebergRestDeps): Promise<Readonly<Record<string, string>>> {
  const found = await findNamespace(deps.catalog.state, namespace.split('.'));
  if (found) return found.properties;
  const names = await deps.catalog.namespaces();
  if (names.some((name) => name.startsWith(`${namespace}.`))) return {};
  throw noNamespace(namespace);
}

// A token is the last name of the page before it: pages stay right while tables come and go.
function paginate(names: readonly string[], url: URL): { items: string[]; nextToken: string | null } {
  const token = url.searchParams.get('pageToken') ?? '';
  const size = Number(url.searchParams.get('pageSize') ?? 0);
  if (!Number.isInteger(size) || size < 0)
    throw new RestError(400, 'BadRequestException', 'pageSize must be a whole number.');
  const after = token === '' ? null : Buffer.from(token, 'base64url').toString();
  const rest = after === null ? [...names] : names.filter((name) => name > after);
  if (size === 0 || rest.length <= size) return { items: rest, nextToken: null };
  const items = rest.slice(0, size);
  return { items, nextToken: Buffer.from(items[size - 1] ?? '').toString('base64url') };
}

function json(body: unknown): Response {
  return new Response(printJson(body), { headers: { 'content-type': 'application/json' } });
}

function noNamespace(namespace: string): RestError {
  return new RestError(404, 'NoSuchNamespaceException', `Namespace does not exist: ${namespace}`);
}

function notAllowed(request: Request, isRead: boolean, url: URL): RestError {
  if (isRead) return new RestError(404, 'NotFoundException', `The catalog has no ${url.pathname}.`);
  return new RestError(
    405,
    'UnsupportedOperationException',
    `${request.method} is not supported: this catalog is read-only; its tables are written by pipelines.`,
  );
}

/** An error in the protocol's model. */
class RestError extends Error {
  readonly status: number;
  readonly type: string;

  constructor(status: number, type: string, message: string) {
    super(message);
    this.status = status;
    this.type = type;
  }

  response(): Response {
    const body = { error: { message: this.message, type: this.type, code: this.status } };
    return new Response(JSON.stringify(body), {
      status: this.status,
      headers: { 'content-type': 'application/json' },
    });
  }
}
