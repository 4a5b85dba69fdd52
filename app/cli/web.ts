import path from 'node:path';
import next from 'next';
import { readEnvironment } from '#catalog/environment.ts';
import { ExternalCatalog } from '#catalog/iceberg/rest-client/external-catalog.ts';
import { openWarehouse } from '#catalog/iceberg/storage/open-warehouse.ts';
import { openCatalog } from '#catalog/iceberg/tables/open-catalog.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { loadSecretKey } from '#catalog/services/secret/secret-key.ts';
import { openState } from '#catalog/state/state.ts';
import { destinations } from '#connectors/modules.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { startServer } from '../server/server.ts';
import { root } from './build-pages.ts';
import { runPart } from './run-part.ts';

/** The process that people and programs talk to: pages, APIs, the Iceberg catalog, queries. */
await runPart('web', async ({ stateUrl, report }) => {
  const environment = readEnvironment(process.env);
  const state = openState(stateUrl);
  const warehouse = await openWarehouse(environment);
  const catalog = openCatalog(environment, state);
  // What it offers is told in the status; while it does not answer, whoever needs it is told so.
  if (catalog instanceof ExternalCatalog) catalog.connect().catch((thrown: Error) => report(thrown.message));
  const queries = new QueryService({ state, catalog, resultsDir: path.join(environment.home, 'results') });
  const isDemo = process.env.DAILIES_DEMO === '1';
  const pages = next({ dev: false, dir: root, hostname: environment.host, port: environment.port, quiet: true });
  await pages.prepare();
  const server = await startServer({
    environment,
    state,
    catalog,
    queries,
    secretKey: await loadSecretKey(environment),
    modules: { sources, processors, sinks, destinations },
    isDemo,
    pages: pages.getRequestHandler(),
    now: () => new Date(),
    report,
  });
  return {
    close: async () => {
      await server.close();
      await queries.close();
      await pages.close();
      await state.$disconnect();
      warehouse.close();
    },
  };
});
