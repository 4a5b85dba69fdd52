import { join } from 'node:path';
import { readEnvironment } from '#catalog/environment.ts';
import { openWarehouse } from '#catalog/iceberg/storage/open-warehouse.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { openState } from '#catalog/state/state.ts';
import { Intake } from '#ingest/intake.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { startWorker } from '#ingest/pipeline/worker.ts';
import { postgres } from '#ingest/sources/postgres/postgres.ts';
import { PostgresSource } from '#ingest/sources/postgres/postgres-source.ts';

// The product's worker as a process of its own: address of the state database, home folder. Prints what it reports.
const [, , stateUrl = '', home = ''] = process.argv;
/** So that a small table is several chunks. */
const chunkBytes = Number(process.env.TEST_CHUNK_BYTES ?? 0);
const modules = sources.map((module) =>
  chunkBytes > 0 && module.id === postgres.id
    ? ({
        ...postgres,
        open: (settings, deps) => new PostgresSource(settings, deps, { chunkBytes }),
      } satisfies typeof postgres)
    : module,
);
const now = () => new Date();
const state = openState(stateUrl);
const environment = readEnvironment({ ...process.env, DAILIES_HOME: home });
const warehouse = await openWarehouse(environment);
const catalog = new IcebergCatalog(state, environment.warehouse);
const log = new EmbeddedLog({ path: join(home, 'log') });
const worker = await startWorker({
  state,
  databaseUrl: stateUrl,
  log,
  intake: new Intake(),
  modules: { sources: modules, processors, sinks },
  sinkDeps: { catalog, state, indexDir: join(home, 'index'), now },
  resolveSecrets: async (spec) => spec,
  commitEveryMs: environment.commitEveryMs,
  now,
  report: (line) => process.stdout.write(`${line}\n`),
});
process.once('SIGTERM', async () => {
  await worker.close();
  await log.close();
  await state.$disconnect();
  warehouse.close();
});
process.stdout.write('started\n');
