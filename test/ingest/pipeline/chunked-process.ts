import { join } from 'node:path';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { openState } from '#catalog/state/state.ts';
import { Intake } from '#ingest/intake.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { startWorker } from '#ingest/pipeline/worker.ts';
import { icebergSink } from '#ingest/sinks/iceberg.ts';
import { postgres } from '#ingest/sources/postgres/postgres.ts';
import { PostgresSource } from '#ingest/sources/postgres/postgres-source.ts';

/*
 * A worker over Postgres and a warehouse, as a process of its own that a failpoint or its parent may end anywhere:
 * node chunked-process.ts STATE_URL ROOT CHUNK_BYTES.
 */
const [stateUrl = '', root = '', chunkBytes = ''] = process.argv.slice(2);
const state = openState(stateUrl, 5);
const smallChunks: typeof postgres = {
  ...postgres,
  open: (settings, deps) => new PostgresSource(settings, deps, { chunkBytes: Number(chunkBytes) }),
};
await startWorker({
  state,
  databaseUrl: stateUrl,
  log: new EmbeddedLog({ path: join(root, 'log') }),
  intake: new Intake(),
  modules: { sources: [smallChunks], processors: [], sinks: [icebergSink] },
  sinkDeps: {
    catalog: new IcebergCatalog(state, join(root, 'warehouse')),
    state,
    indexDir: join(root, 'index'),
    now: () => new Date(),
  },
  resolveSecrets: async (spec) => spec,
  now: () => new Date(),
  report: (line) => console.error(line),
});
