import type { Principal } from '#catalog/access/principal.ts';
import type { TableCatalog } from '#catalog/iceberg/tables/table-catalog.ts';
import type { ModuleList } from '#catalog/module.ts';
import type { QueryService } from '#catalog/query/query-service.ts';
import type { CatalogIndex } from '#catalog/search/catalog-index.ts';
import type { SecretKey } from '#catalog/services/secret/secret-key.ts';
import type { State } from '#catalog/state/state.ts';

/** What the pages' procedures are called with: who asks, and the parts that answer. */
export interface PageContext {
  who: Principal | null;
  /** The person's own name, as they gave it. */
  name: string | null;
  deps: PageDeps;
}

export interface PageDeps {
  state: State;
  catalog: TableCatalog;
  index: CatalogIndex;
  queries: QueryService;
  modules: ModuleList;
  /** Tables that a statement reads and its `:parameters`; throws `sql_invalid`. */
  describeSql(sql: string): Promise<{ reads: string[]; parameters: string[] }>;
  secretKey: SecretKey;
  /** Public address, without a slash at its end. */
  url: string;
  /** Absolute path of the folder that holds all embedded state. */
  home: string;
  /** True where the sample studio runs: sign-in is by role, and there is a sheet to look at. */
  isDemo: boolean;
}
