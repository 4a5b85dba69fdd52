import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import { readTableMetadata, type TableMetadata } from '../metadata/table-metadata.ts';
import { listFiles, removeFiles } from '../storage.ts';
import { listIn } from '../tables/namespaces.ts';
import { recordEngineTable } from '../tables/record-engine-table.ts';
import type { TableEntry } from '../tables/table-catalog.ts';
import { splitName } from '../tables/table-name.ts';
import { renameEntry } from '../tables/views.ts';
import { audited, requireRead, requireUnowned, requireWrite } from './access.ts';
import { requireNameFree } from './create-table.ts';
import { noTable, tableResponse } from './load-table.ts';
import { isInWarehouse, isShared, requireFree, requireInWarehouse } from './locations.ts';
import { requireNamespace } from './namespace-routes.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { badRequest, RestError } from './rest-error.ts';
import { bodyOf, fullName, type Identifier, identifier, pageAsked, pageOf, shownName } from './rest-request.ts';
import { jsonResponse, noContent } from './rest-response.ts';

/** `GET …/tables` and `GET …/views` */
export async function listEntries(
  deps: IcebergRestDeps,
  url: URL,
  kind: 'table' | 'view',
  namespace: readonly string[],
): Promise<Response> {
  await requireNamespace(deps, namespace);
  const page = await pageOf(pageAsked(url), (part) => listIn(deps.catalog.state, kind, namespace, part));
  return jsonResponse({
    identifiers: page.names.map((name) => ({ namespace, name })),
    'next-page-token': page.nextToken,
  });
}

/** `DELETE …/tables/{table}`: its files go with it where the client asks for that. */
export async function dropTable(deps: IcebergRestDeps, url: URL, target: Identifier): Promise<Response> {
  requireWrite(deps, 'drop tables');
  const name = fullName(target);
  const location = await deps.catalog.locate(name);
  if (location === null) throw noTable(target);
  await requireRead(deps, name);
  await requireUnowned(deps, target, 'drop it');
  const isPurge = url.searchParams.get('purgeRequested')?.toLowerCase() === 'true';
  // A table whose metadata cannot be read can still be dropped.
  const metadata = isPurge ? await readTableMetadata(location).catch(corruptAsNull) : null;
  const { state } = deps.catalog;
  await state.$transaction(async (tx) => {
    await tx.icebergTable.deleteMany({ where: splitName(name) });
    await tx.dataTable.deleteMany({ where: { name } });
    await audited(deps, isPurge ? 'table.purge' : 'table.drop', name)(tx);
  });
  if (metadata) await purge(deps, name, metadata);
  return noContent();
}

/** Removes the table's folder, if it is one that holds nothing but this table. */
async function purge(deps: IcebergRestDeps, name: string, metadata: TableMetadata): Promise<void> {
  const { location } = metadata;
  const isOwnFolder = location.endsWith(`-${metadata['table-uuid'].slice(0, 8)}`);
  if (!isOwnFolder || !isInWarehouse(deps, location) || (await isShared(deps, location, name))) {
    deps.report(`iceberg: ${name} was dropped; its files at ${location} were kept, since it is no folder of its own`);
    return;
  }
  let batch: string[] = [];
  for await (const file of listFiles(`${location}/`)) {
    batch.push(file.location);
    if (batch.length < 500) continue;
    await removeFiles(batch);
    batch = [];
  }
  await removeFiles(batch);
}

function corruptAsNull(thrown: unknown): null {
  if (thrown instanceof DailiesError && (thrown.code === 'table_corrupt' || thrown.code === 'unsupported')) return null;
  throw thrown;
}

/** `POST /tables/rename` and `POST /views/rename` */
export async function rename(deps: IcebergRestDeps, request: Request, kind: 'table' | 'view'): Promise<Response> {
  requireWrite(deps, `rename ${kind}s`);
  const { source, destination } = await bodyOf(request, z.object({ source: identifier, destination: identifier }));
  if (kind === 'table') {
    if ((await deps.catalog.locate(fullName(source))) === null) throw noTable(source);
    await requireRead(deps, fullName(source));
    await requireUnowned(deps, source, 'rename it');
    await requireUnowned(deps, destination, 'take its name');
  }
  await requireNamespace(deps, destination.namespace);
  const isDone = await renameEntry(
    deps.catalog.state,
    kind,
    { from: fullName(source), to: fullName(destination) },
    audited(deps, `${kind}.rename`, fullName(source), { to: fullName(destination) }),
  ).catch((thrown: unknown) => {
    if (!(thrown instanceof DailiesError) || thrown.code !== 'conflict') throw thrown;
    const what = thrown.details.what === 'view' ? 'View' : 'Table';
    throw new RestError(
      409,
      'AlreadyExistsException',
      `Cannot rename ${shownName(source)} to ${shownName(destination)}. ${what} already exists`,
    );
  });
  if (isDone) return noContent();
  if (kind === 'table') throw noTable(source);
  throw new RestError(404, 'NoSuchViewException', `View does not exist: ${shownName(source)}`);
}

const registration = z.object({
  name: identifier.shape.name,
  'metadata-location': z.string().min(1),
  overwrite: z.boolean().nullish(),
});

/** `POST …/register`: a table whose metadata file is in the warehouse already. */
export async function registerTable(
  deps: IcebergRestDeps,
  request: Request,
  namespace: readonly string[],
): Promise<Response> {
  requireWrite(deps, 'register tables');
  const body = await bodyOf(request, registration);
  const target = { namespace, name: body.name };
  const name = fullName(target);
  const metadataLocation = body['metadata-location'];
  await requireNamespace(deps, namespace);
  await requireUnowned(deps, target, 'replace it');
  const current = body.overwrite === true ? await deps.catalog.locate(name) : null;
  if (current === null) await requireNameFree(deps, target);
  else await requireRead(deps, name);
  requireInWarehouse(deps, metadataLocation, 'The metadata file');
  const metadata = await readTableMetadata(metadataLocation).catch((thrown: unknown) => {
    if (!(thrown instanceof DailiesError) || thrown.code !== 'table_corrupt') throw thrown;
    throw badRequest(`The metadata file cannot be registered: ${thrown.message}`);
  });
  requireInWarehouse(deps, metadata.location, 'The table location');
  await requireFree(deps, metadata.location, name);
  const entry = { metadataLocation, metadata };
  await point(deps, name, entry, current);
  return await tableResponse(deps, request, name, entry);
}

/** Points a name to a metadata file that was not made by a commit here. */
async function point(deps: IcebergRestDeps, name: string, entry: TableEntry, current: string | null): Promise<void> {
  const key = splitName(name);
  const data = { uuid: entry.metadata['table-uuid'], metadataLocation: entry.metadataLocation };
  await deps.catalog.state.$transaction(async (tx) => {
    const moved =
      current === null
        ? await tx.icebergTable.createMany({ data: [{ ...key, ...data }], skipDuplicates: true })
        : await tx.icebergTable.updateMany({ where: { ...key, metadataLocation: current }, data });
    if (moved.count !== 1) throw new RestError(409, 'AlreadyExistsException', `Table already exists: ${name}`);
    await recordEngineTable(tx, name, entry, null, deps.who);
    await audited(deps, 'table.register', name)(tx);
  });
}
