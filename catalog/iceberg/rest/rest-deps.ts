import type { Principal } from '../../access/principal.ts';
import type { IcebergCatalog } from '../tables/catalog.ts';
import type { AlongsideCommit } from '../tables/table-catalog.ts';

/** Where a credential is good, and the properties that make a client use it. */
export interface StorageCredential {
  prefix: string;
  config: Record<string, string>;
}

/** What the catalog's endpoint works with, for one request. */
export interface IcebergRestDeps {
  catalog: IcebergCatalog;
  /** Who asks; has been authenticated. */
  who: Principal;
  /** Whether who asks may read all of this table (`namespace.table`); false is answered with 403. */
  mayRead(table: string): boolean | Promise<boolean>;
  /** Credentials for the files below a table's location that end by themselves; empty where the storage needs none. */
  vendCredentials(location: string, mayWrite: boolean): Promise<StorageCredential[]>;
  /** Table properties for clients' file access, as the storage needs them: an endpoint, a region. */
  storageConfig: Readonly<Record<string, string>>;
  /** What a commit of tables writes besides, in its transaction. */
  alongsideCommit?: AlongsideCommit;
  /** One line for the operator's log. */
  report(line: string): void;
}
