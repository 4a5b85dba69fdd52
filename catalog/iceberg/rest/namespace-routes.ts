import { z } from 'zod';
import {
  changeProperties,
  dropNamespace,
  findNamespace,
  listChildren,
  makeNamespaces,
  type Namespace,
} from '../tables/namespaces.ts';
import { joinName } from '../tables/table-name.ts';
import { audited, requireWrite } from './access.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { RestError } from './rest-error.ts';
import { bodyOf, namespaceLevels, pageAsked, pageOf, parentLevels } from './rest-request.ts';
import { jsonResponse, noContent } from './rest-response.ts';

const properties = z.record(z.string(), z.string());

/** `GET /namespaces`: those right below a parent, or the top ones. */
export async function listNamespaces(deps: IcebergRestDeps, url: URL): Promise<Response> {
  const parent = parentLevels(url);
  if (parent.length > 0) await requireNamespace(deps, parent);
  const page = await pageOf(pageAsked(url), (part) => listChildren(deps.catalog.state, parent, part));
  return jsonResponse({
    namespaces: page.names.map((level) => [...parent, level]),
    'next-page-token': page.nextToken,
  });
}

/** `POST /namespaces` */
export async function createNamespace(deps: IcebergRestDeps, request: Request): Promise<Response> {
  requireWrite(deps, 'make namespaces');
  const body = await bodyOf(request, z.object({ namespace: namespaceLevels, properties: properties.default({}) }));
  const { isNew } = await deps.catalog.state.$transaction(async (tx) => {
    const made = await makeNamespaces(tx, body.namespace, body.properties);
    if (made.isNew) await audited(deps, 'namespace.create', joinName(body.namespace))(tx);
    return made;
  });
  if (!isNew) {
    throw new RestError(409, 'AlreadyExistsException', `Namespace already exists: ${body.namespace.join('.')}`);
  }
  return await loadNamespace(deps, body.namespace);
}

/** `GET /namespaces/{namespace}` */
export async function loadNamespace(deps: IcebergRestDeps, levels: readonly string[]): Promise<Response> {
  const found = await requireNamespace(deps, levels);
  return jsonResponse({ namespace: levels, properties: found.properties });
}

/** `HEAD /namespaces/{namespace}` */
export async function namespaceExists(deps: IcebergRestDeps, levels: readonly string[]): Promise<Response> {
  await requireNamespace(deps, levels);
  return noContent();
}

/** `DELETE /namespaces/{namespace}`: only an empty one. */
export async function deleteNamespace(deps: IcebergRestDeps, levels: readonly string[]): Promise<Response> {
  requireWrite(deps, 'drop namespaces');
  const isGone = await dropNamespace(
    deps.catalog.state,
    levels,
    audited(deps, 'namespace.drop', joinName(levels)),
  ).catch((thrown: unknown) => {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'conflict') {
      throw new RestError(409, 'NamespaceNotEmptyException', thrown.message);
    }
    throw thrown;
  });
  if (!isGone) throw noNamespace(levels);
  return noContent();
}

/** `POST /namespaces/{namespace}/properties` */
export async function updateProperties(
  deps: IcebergRestDeps,
  request: Request,
  levels: readonly string[],
): Promise<Response> {
  requireWrite(deps, 'change namespaces');
  const { removals, updates } = await bodyOf(
    request,
    z.object({ removals: z.array(z.string()).nullish(), updates: properties.nullish() }),
  );
  const both = removals?.find((key) => Object.hasOwn(updates ?? {}, key));
  if (both !== undefined) {
    throw new RestError(
      422,
      'UnprocessableEntityException',
      `Invalid namespace properties update: cannot simultaneously set and remove keys: [${both}]`,
    );
  }
  const changes = await changeProperties(
    deps.catalog.state,
    levels,
    { removals: removals ?? [], updates: updates ?? {} },
    audited(deps, 'namespace.change', joinName(levels)),
  );
  if (changes === null) throw noNamespace(levels);
  return jsonResponse(changes);
}

export async function requireNamespace(deps: IcebergRestDeps, levels: readonly string[]): Promise<Namespace> {
  const found = await findNamespace(deps.catalog.state, levels);
  if (found === null) throw noNamespace(levels);
  return found;
}

function noNamespace(levels: readonly string[]): RestError {
  return new RestError(404, 'NoSuchNamespaceException', `Namespace does not exist: ${levels.join('.')}`);
}
