import path from 'node:path';
import { readEnvironment } from '#catalog/environment.ts';
import { MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import { MaintenanceRunner } from '#catalog/iceberg/maintenance/maintenance-runner.ts';
import { openWarehouse } from '#catalog/iceberg/storage/open-warehouse.ts';
import { openCatalog } from '#catalog/iceberg/tables/open-catalog.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { resolveSecrets } from '#catalog/services/secret/resolve.ts';
import { loadSecretKey } from '#catalog/services/secret/secret-key.ts';
import { openState } from '#catalog/state/state.ts';
import { destinations } from '#connectors/modules.ts';
import { startReports } from '#connectors/reports/start-reports.ts';
import { Intake } from '#ingest/intake.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { startWorker } from '#ingest/pipeline/worker.ts';
import { serveIntake } from '../server/intake-socket.ts';
import { runPart } from './run-part.ts';

/** The process that moves data: sources into the log, pipelines from the log into the warehouse, reports to their destinations. */
await runPart('worker', async ({ stateUrl, report }) => {
  const environment = readEnvironment(process.env);
  const { home, googleUrl, airtableUrl } = environment;
  const state = openState(stateUrl);
  const secretKey = await loadSecretKey(environment);
  const warehouse = await openWarehouse(environment);
  const catalog = openCatalog(environment, state);
  const log = new EmbeddedLog({ path: path.join(home, 'log') });
  const now = () => new Date();
  const resolve = <T>(spec: T) => resolveSecrets({ state, secretKey }, spec);
  const tables = new MaintainedTables();
  const intake = new Intake();
  const worker = await startWorker({
    state,
    databaseUrl: stateUrl,
    log,
    intake,
    modules: { sources, processors, sinks },
    sinkDeps: { catalog, state, indexDir: path.join(home, 'index'), now, maintained: tables },
    resolveSecrets: resolve,
    commitEveryMs: environment.commitEveryMs,
    now,
    report,
  });
  const door = await serveIntake(home, intake, worker, (error) => report(`events: ${String(error)}`));
  const maintenance = new MaintenanceRunner({ catalog, state, tables, now, report });
  maintenance.start();
  const queries = new QueryService({ state, catalog, resultsDir: path.join(home, 'results'), limits: { warm: 1 } });
  const reports = await startReports({
    state,
    databaseUrl: stateUrl,
    queries,
    destinations,
    home,
    googleUrl,
    airtableUrl,
    resolveSecrets: resolve,
    log: (level, message, details) =>
      report(`${level} ${message}${details === undefined ? '' : ` ${JSON.stringify(details)}`}`),
  });
  return {
    close: async () => {
      await maintenance.close();
      await door.close();
      await Promise.all([reports.close(), worker.close()]);
      await queries.close();
      await log.close();
      await state.$disconnect();
      warehouse.close();
    },
  };
});
