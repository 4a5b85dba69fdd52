import { isBelow, plainLocation } from '../storage/location-root.ts';
import { joinName } from '../tables/table-name.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { badRequest } from './rest-error.ts';

/*
 * Engines name locations that this server reads, writes and deletes at: none may lead out of the warehouse, and no two
 * tables may share one.
 */

/** Throws 400 for a location that is not below the warehouse. */
export function requireInWarehouse(deps: IcebergRestDeps, location: string, what: string): void {
  if (isInWarehouse(deps, location)) return;
  throw badRequest(`${what} ${location} is not in the warehouse, ${deps.catalog.warehouseLocation}.`);
}

export function isInWarehouse(deps: IcebergRestDeps, location: string): boolean {
  return isBelow(deps.catalog.warehouseLocation, location);
}

/**
 * Where a table or view is to be: where a client asks for, if that is in the warehouse and nobody else's, else `own`.
 * Clients are told of the location that it got.
 */
export async function allowedLocation(
  deps: IcebergRestDeps,
  asked: string | null | undefined,
  own: string,
  name: string,
): Promise<string> {
  const location = asked?.replace(/\/+$/, '') ?? '';
  return isInWarehouse(deps, location) && !(await isShared(deps, location, name)) ? location : own;
}

/** Throws 400 where another table or view than `name` is at, above or below the location. */
export async function requireFree(deps: IcebergRestDeps, location: string, name: string): Promise<void> {
  if (!(await isShared(deps, location, name))) return;
  throw badRequest(`The location ${location} belongs to another table.`);
}

/** Whether another table or view than `name` has its metadata at, above or below the location. */
export async function isShared(deps: IcebergRestDeps, location: string, name: string): Promise<boolean> {
  const folder = `${plainLocation(location)}/`;
  const rows = await deps.catalog.state.$queryRaw<{ namespaceName: string; name: string }[]>`
    SELECT "namespaceName", "name" FROM (
      SELECT "namespaceName", "name", regexp_replace("metadataLocation", '^file:/+', '/') AS location FROM "IcebergTable"
      UNION ALL
      SELECT "namespaceName", "name", regexp_replace("metadataLocation", '^file:/+', '/') FROM "IcebergView"
    ) AS entry
    WHERE starts_with(location, ${folder}) OR starts_with(${folder}, regexp_replace(location, '/metadata/[^/]*$', '/'))`;
  return rows.some((row) => `${row.namespaceName}.${joinName([row.name])}` !== name);
}
