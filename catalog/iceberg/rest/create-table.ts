import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { applyUpdates } from '../metadata/apply-updates.ts';
import { assignFieldIds } from '../metadata/assign-field-ids.ts';
import { icebergSchema } from '../metadata/iceberg-schema.ts';
import type { TableUpdate } from '../metadata/table-updates.ts';
import { unboundSchema, unboundSortOrder, unboundSpec } from '../metadata/table-updates.ts';
import { locateView } from '../tables/views.ts';
import { requireUnowned, requireWrite } from './access.ts';
import { commitOne } from './commit-table.ts';
import { tableResponse } from './load-table.ts';
import { allowedLocation } from './locations.ts';
import { requireNamespace } from './namespace-routes.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { badRequest, RestError } from './rest-error.ts';
import { bodyOf, fullName, type Identifier, identifier, shownName } from './rest-request.ts';

const creation = z.object({
  name: identifier.shape.name,
  location: z.string().nullish(),
  schema: unboundSchema,
  'partition-spec': unboundSpec.nullish(),
  'write-order': unboundSortOrder.nullish(),
  'stage-create': z.boolean().nullish(),
  properties: z.record(z.string(), z.string()).nullish(),
});
type Creation = z.infer<typeof creation>;

/** `POST …/tables`: makes a table, or tells with which metadata a transaction that makes one begins. */
export async function createTable(
  deps: IcebergRestDeps,
  request: Request,
  namespace: readonly string[],
): Promise<Response> {
  requireWrite(deps, 'make tables');
  const body = await bodyOf(request, creation);
  const target = { namespace, name: body.name };
  await requireNamespace(deps, namespace);
  await requireUnowned(deps, target, 'make it');
  await requireNameFree(deps, target);
  const updates = await creationUpdates(deps, fullName(target), body);
  if (body['stage-create'] === true) {
    // The log of the table begins when it is committed.
    const metadata = applyUpdates(null, updates, Date.now());
    return await tableResponse(deps, request, fullName(target), { metadataLocation: null, metadata });
  }
  const entry = await commitOne(deps, target, null, [{ type: 'assert-create' }], updates);
  return await tableResponse(deps, request, fullName(target), entry);
}

/** Throws 409 where there is a table or a view of the name. */
export async function requireNameFree(deps: IcebergRestDeps, target: Identifier): Promise<void> {
  if ((await deps.catalog.locate(fullName(target))) !== null) {
    throw new RestError(409, 'AlreadyExistsException', `Table already exists: ${shownName(target)}`);
  }
  if ((await locateView(deps.catalog.state, fullName(target))) !== null) {
    throw new RestError(409, 'AlreadyExistsException', `View with same name already exists: ${shownName(target)}`);
  }
}

/** Keys that say how the table is made and are none of its properties. */
const reserved = new Set(['format-version', 'uuid', 'snapshot-count', 'current-snapshot-id', 'current-schema']);

async function creationUpdates(deps: IcebergRestDeps, name: string, body: Creation): Promise<TableUpdate[]> {
  const uuid = randomUUID();
  const properties = Object.entries(body.properties ?? {});
  const version = Number(body.properties?.['format-version'] ?? 2);
  if (![1, 2, 3].includes(version)) throw badRequest(`Unsupported format version: v${version} (supported: v1 to v3)`);
  const { schema, newIds } = assignFieldIds(icebergSchema.parse(body.schema));
  const renumber = <Field extends { 'source-id'?: number | undefined; 'source-ids'?: number[] | undefined }>(
    field: Field,
  ): Field => ({
    ...field,
    ...(field['source-id'] === undefined ? {} : { 'source-id': newId(newIds, field['source-id']) }),
    ...(field['source-ids'] === undefined ? {} : { 'source-ids': field['source-ids'].map((id) => newId(newIds, id)) }),
  });
  const spec = body['partition-spec'];
  const order = body['write-order'];
  return [
    { action: 'assign-uuid', uuid },
    { action: 'upgrade-format-version', 'format-version': version },
    { action: 'add-schema', schema },
    { action: 'set-current-schema', 'schema-id': -1 },
    // Ids of partition fields are the catalog's to give to a new table.
    {
      action: 'add-spec',
      spec: { fields: (spec?.fields ?? []).map(({ 'field-id': _given, ...field }) => renumber(field)) },
    },
    { action: 'set-default-spec', 'spec-id': -1 },
    { action: 'add-sort-order', 'sort-order': { fields: (order?.fields ?? []).map(renumber) } },
    { action: 'set-default-sort-order', 'sort-order-id': -1 },
    {
      action: 'set-location',
      location: await allowedLocation(deps, body.location, await deps.catalog.newTableLocation(name, uuid), name),
    },
    {
      action: 'set-properties',
      updates: Object.fromEntries(properties.filter(([key]) => !reserved.has(key))),
    },
  ];
}

function newId(newIds: ReadonlyMap<number, number>, id: number): number {
  const found = newIds.get(id);
  if (found === undefined) throw badRequest(`The field ${id} is not in the schema.`);
  return found;
}
