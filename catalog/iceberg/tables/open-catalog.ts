import type { State } from '../../state/state.ts';
import { ExternalCatalog } from '../rest-client/external-catalog.ts';
import { RestSession } from '../rest-client/session.ts';
import type { RestCatalogSettings } from '../rest-client/settings.ts';
import { IcebergCatalog } from './catalog.ts';
import type { TableCatalog } from './table-catalog.ts';

/** The catalog that the environment names: another server's, or ours. Nothing is asked of either yet. */
export function openCatalog(
  environment: { catalog: RestCatalogSettings | null; warehouse: string },
  state: State,
): TableCatalog {
  if (environment.catalog === null) return new IcebergCatalog(state, environment.warehouse);
  return new ExternalCatalog(new RestSession(environment.catalog), state);
}
