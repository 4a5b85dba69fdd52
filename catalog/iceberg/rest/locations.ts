import { posix } from 'node:path';
import { filePath } from '../location.ts';
import { joinName } from '../table-name.ts';
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
  const root = plain(deps.catalog.warehouseLocation);
  const path = plain(location);
  return root !== null && path?.startsWith(`${root}/`) === true;
}

/** Throws 400 where another table than `name` has its metadata at or below the location. */
export async function requireFree(deps: IcebergRestDeps, location: string, name: string): Promise<void> {
  if (!(await isShared(deps, location, name))) return;
  throw badRequest(`The location ${location} belongs to another table.`);
}

/** Whether another table or view than `name` has its metadata at or below the location. */
export async function isShared(deps: IcebergRestDeps, location: string, name: string): Promise<boolean> {
  const where = { metadataLocation: { startsWith: `${location.replace(/\/+$/, '')}/` } };
  const { state } = deps.catalog;
  const rows = [...(await state.icebergTable.findMany({ where })), ...(await state.icebergView.findMany({ where }))];
  return rows.some((row) => `${row.namespaceName}.${joinName([row.name])}` !== name);
}

/** A location in the one form in which it is compared; null for one that steps upwards or is no location at all. */
function plain(location: string): string | null {
  if (location.split('/').includes('..')) return null;
  if (/^s3[an]?:\/\//.test(location)) return location.replace(/^s3[an]?:/, 's3:').replace(/\/+$/, '');
  if (!/^(file:)?\//.test(location)) return null;
  return posix.normalize(filePath(location)).replace(/\/+$/, '');
}
