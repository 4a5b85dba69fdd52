import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { startServer } from '#app/server/server.ts';
import { system } from '#catalog/access/principal.ts';
import { readEnvironment } from '#catalog/environment.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { loadSecretKey } from '#catalog/services/secret/secret-key.ts';
import { createToken } from '#catalog/services/token/create.ts';
import type { State } from '#catalog/state/state.ts';
import { destinations } from '#connectors/modules.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { createState } from '#test/fixtures/postgres.ts';

export interface RestServer extends AsyncDisposable {
  state: State;
  catalog: IcebergCatalog;
  queries: QueryService;
  /** For engines: `uri=…`. */
  uri: string;
  /** A token of each role. */
  tokens: Readonly<Record<'staff' | 'analyst' | 'owner' | 'admin', string>>;
  /** A folder in the warehouse for what clients make themselves. */
  temporary: string;
  /** What the server told its operator. */
  reported: string[];
}

/** The product's own server on an empty warehouse, without pages. */
export async function startRestServer(): Promise<RestServer> {
  const test = await createState();
  const home = await mkdtemp(path.join(os.tmpdir(), 'dailies-rest-'));
  const environment = { ...readEnvironment({ DAILIES_HOME: home }), port: 0 };
  const { state } = test;
  const catalog = new IcebergCatalog(state, environment.warehouse);
  const queries = new QueryService({ state, catalog, resultsDir: path.join(home, 'results') });
  const temporary = path.join(catalog.warehouse, 'temporary');
  await mkdir(temporary, { recursive: true });
  const reported: string[] = [];
  const server = await startServer({
    environment,
    state,
    catalog,
    queries,
    secretKey: await loadSecretKey(environment),
    modules: { sources, processors, sinks, destinations },
    isDemo: false,
    pages: null,
    now: () => new Date(),
    report: (line) => reported.push(line),
  });
  const token = async (role: string) => (await createToken({ state, who: system }, { name: role, role })).token;
  return {
    state,
    catalog,
    queries,
    uri: `http://127.0.0.1:${server.port}/iceberg`,
    tokens: {
      staff: await token('staff'),
      analyst: await token('analyst'),
      owner: await token('owner'),
      admin: await token('admin'),
    },
    temporary,
    reported,
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await queries.close();
      await test.drop();
      await rm(home, { recursive: true, force: true });
    },
  };
}
