import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SignIn } from '#catalog/access/sign-in.ts';
import type { WrongPasswords } from '#catalog/access/wrong-passwords.ts';
import type { Environment } from '#catalog/environment.ts';
import type { CredentialVendor } from '#catalog/iceberg/storage/credential-vendor.ts';
import type { TableCatalog } from '#catalog/iceberg/tables/table-catalog.ts';
import type { ModuleList } from '#catalog/module.ts';
import type { QueryService } from '#catalog/query/query-service.ts';
import type { CatalogIndex } from '#catalog/search/catalog-index.ts';
import type { SecretKey } from '#catalog/services/secret/secret-key.ts';
import type { State } from '#catalog/state/state.ts';
import type { SourceModule } from '#ingest/source.ts';

/** What the web process is put together with. */
export interface ServerOptions {
  environment: Environment;
  state: State;
  catalog: TableCatalog;
  queries: QueryService;
  secretKey: SecretKey;
  modules: Omit<ModuleList, 'sources'> & { sources: readonly SourceModule[] };
  /** True where the sample studio runs: whoever reaches the page may sign in by role. */
  isDemo: boolean;
  /** Answers what no route of ours does; null for a server without pages. */
  pages: ((request: IncomingMessage, response: ServerResponse) => void | Promise<void>) | null;
  now: () => Date;
  /** One line for the operator's log; holds no cell values or secrets. */
  report(line: string): void;
}

/** The same, with the parts that the server makes for itself. */
export interface ServerDeps extends ServerOptions {
  signIn: SignIn;
  wrongPasswords: WrongPasswords;
  index: CatalogIndex;
  /** Clients of `/iceberg` get their access to the files from here. */
  vendor: CredentialVendor;
  /** Aborted when the server stops. */
  closing: AbortSignal;
}
