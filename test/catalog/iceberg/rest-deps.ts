import { system } from '#catalog/access/principal.ts';
import type { IcebergRestDeps } from '#catalog/iceberg/rest/rest-deps.ts';
import type { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';

/** What the catalog's endpoint needs, for somebody who may do everything on storage that needs no credentials. */
export function restDeps(catalog: IcebergCatalog, more: Partial<IcebergRestDeps> = {}): IcebergRestDeps {
  return {
    catalog,
    who: system,
    mayRead: () => true,
    vendCredentials: async () => [],
    storageConfig: {},
    report: (line) => {
      throw new Error(line);
    },
    ...more,
  };
}
