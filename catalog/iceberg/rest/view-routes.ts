import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import { printJson } from '../metadata/json.ts';
import { unboundSchema } from '../metadata/table-updates.ts';
import {
  applyViewUpdates,
  emptyView,
  readViewMetadata,
  type ViewMetadata,
  type ViewUpdate,
  viewUpdate,
  viewVersion,
} from '../metadata/view-metadata.ts';
import { makeTableFolders, removeFiles, syncTableFolders, writeBytes } from '../storage.ts';
import { addView, dropView, locateView, moveView } from '../tables/views.ts';
import { audited, requireWrite } from './access.ts';
import { allowedLocation, requireFree, requireInWarehouse } from './locations.ts';
import { requireNamespace } from './namespace-routes.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { RestError } from './rest-error.ts';
import { bodyOf, fullName, type Identifier, identifier, shownName } from './rest-request.ts';
import { jsonResponse, noContent } from './rest-response.ts';

const creation = z.object({
  name: identifier.shape.name,
  location: z.string().nullish(),
  schema: unboundSchema,
  'view-version': viewVersion,
  properties: z.record(z.string(), z.string()).default({}),
});

/** `POST …/views` */
export async function createView(
  deps: IcebergRestDeps,
  request: Request,
  namespace: readonly string[],
): Promise<Response> {
  requireWrite(deps, 'make views');
  const body = await bodyOf(request, creation);
  const target = { namespace, name: body.name };
  const name = fullName(target);
  await requireNamespace(deps, namespace);
  await requireViewNameFree(deps, target);
  const uuid = randomUUID();
  const metadata = applyViewUpdates(
    emptyView(uuid, await allowedLocation(deps, body.location, await deps.catalog.newTableLocation(name, uuid), name)),
    [
      { action: 'add-schema', schema: body.schema },
      { action: 'set-properties', updates: body.properties },
      { action: 'add-view-version', 'view-version': { ...body['view-version'], 'schema-id': -1 } },
      { action: 'set-current-view-version', 'view-version-id': -1 },
    ],
    Date.now(),
  );
  const metadataLocation = await writeViewMetadata(deps, name, metadata, 0);
  await addView(deps.catalog.state, { name, uuid, metadataLocation }, audited(deps, 'view.create', name)).catch(
    async (thrown: unknown) => {
      await removeFiles([metadataLocation]);
      if (thrown instanceof DailiesError && thrown.code === 'conflict') await requireViewNameFree(deps, target);
      throw thrown;
    },
  );
  return viewResponse(metadataLocation, metadata);
}

async function requireViewNameFree(deps: IcebergRestDeps, target: Identifier): Promise<void> {
  if ((await locateView(deps.catalog.state, fullName(target))) !== null) {
    throw new RestError(409, 'AlreadyExistsException', `View already exists: ${shownName(target)}`);
  }
  if ((await deps.catalog.locate(fullName(target))) !== null) {
    throw new RestError(409, 'AlreadyExistsException', `Table with same name already exists: ${shownName(target)}`);
  }
}

/** `GET …/views/{view}` */
export async function loadView(deps: IcebergRestDeps, target: Identifier): Promise<Response> {
  const location = await requireView(deps, target);
  return viewResponse(location, await readViewMetadata(location));
}

/** `HEAD …/views/{view}` */
export async function viewExists(deps: IcebergRestDeps, target: Identifier): Promise<Response> {
  await requireView(deps, target);
  return noContent();
}

const changes = z.object({
  requirements: z.array(z.object({ type: z.literal('assert-view-uuid'), uuid: z.string() })).nullish(),
  updates: z.array(viewUpdate),
});

/** `POST …/views/{view}`: replaces the view's version, or changes its properties. */
export async function commitView(deps: IcebergRestDeps, request: Request, target: Identifier): Promise<Response> {
  requireWrite(deps, 'change views');
  const { requirements, updates } = await bodyOf(request, changes);
  const location = await requireView(deps, target);
  const base = await readViewMetadata(location);
  for (const requirement of requirements ?? []) {
    if (requirement.uuid.toLowerCase() === base['view-uuid'].toLowerCase()) continue;
    throw new RestError(
      409,
      'CommitFailedException',
      `Requirement failed: view UUID does not match: expected ${requirement.uuid} != ${base['view-uuid']}`,
    );
  }
  const allowed: ViewUpdate[] = [];
  for (const update of updates) {
    if (update.action !== 'set-location') allowed.push(update);
    // A view stays where it is rather than go where it may not.
    else
      allowed.push({
        ...update,
        location: await allowedLocation(deps, update.location, base.location, fullName(target)),
      });
  }
  const metadata = applyViewUpdates(base, allowed, Date.now());
  const next = await writeViewMetadata(deps, fullName(target), metadata, versionOf(location) + 1);
  await moveView(deps.catalog.state, fullName(target), location, next).catch(async (thrown: unknown) => {
    await removeFiles([next]);
    throw thrown;
  });
  return viewResponse(next, metadata);
}

/** `DELETE …/views/{view}` */
export async function deleteView(deps: IcebergRestDeps, target: Identifier): Promise<Response> {
  requireWrite(deps, 'drop views');
  if (!(await dropView(deps.catalog.state, fullName(target), audited(deps, 'view.drop', fullName(target)))))
    throw noView(target);
  return noContent();
}

const registration = z.object({ name: identifier.shape.name, 'metadata-location': z.string().min(1) });

/** `POST …/register-view`: a view whose metadata file is in the warehouse already. */
export async function registerView(
  deps: IcebergRestDeps,
  request: Request,
  namespace: readonly string[],
): Promise<Response> {
  requireWrite(deps, 'register views');
  const body = await bodyOf(request, registration);
  const target = { namespace, name: body.name };
  const metadataLocation = body['metadata-location'];
  await requireNamespace(deps, namespace);
  await requireViewNameFree(deps, target);
  requireInWarehouse(deps, metadataLocation, 'The metadata file');
  const metadata = await readViewMetadata(metadataLocation);
  requireInWarehouse(deps, metadata.location, 'The view location');
  await requireFree(deps, metadata.location, fullName(target));
  await addView(
    deps.catalog.state,
    { name: fullName(target), uuid: metadata['view-uuid'], metadataLocation },
    audited(deps, 'view.register', fullName(target)),
  );
  return viewResponse(metadataLocation, metadata);
}

async function requireView(deps: IcebergRestDeps, target: Identifier): Promise<string> {
  const location = await locateView(deps.catalog.state, fullName(target));
  if (location === null) throw noView(target);
  return location;
}

async function writeViewMetadata(
  deps: IcebergRestDeps,
  name: string,
  metadata: ViewMetadata,
  version: number,
): Promise<string> {
  const file = `${String(version).padStart(5, '0')}-${randomUUID()}.metadata.json`;
  const folder = await allowedLocation(deps, metadata.properties['write.metadata.path'], metadata.location, name);
  const location = `${folder}/metadata/${file}`;
  await makeTableFolders(folder);
  await writeBytes(location, printJson(metadata));
  await syncTableFolders(folder);
  return location;
}

function versionOf(location: string): number {
  return Number(/\/(\d+)-[^/]*$/.exec(location)?.[1] ?? 0);
}

function viewResponse(metadataLocation: string, metadata: ViewMetadata): Response {
  return jsonResponse({ 'metadata-location': metadataLocation, metadata, config: {} });
}

function noView(target: Identifier): RestError {
  return new RestError(404, 'NoSuchViewException', `View does not exist: ${shownName(target)}`);
}
