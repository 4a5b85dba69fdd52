import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { allocatorSettings } from '#app/cli/allocator.ts';
import { system } from '#catalog/access/principal.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { applyDefinition } from '#catalog/services/definition/apply.ts';
import { loadSecretKey } from '#catalog/services/secret/secret-key.ts';
import { startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { migrateState, openState, type State } from '#catalog/state/state.ts';
import { destinations } from '#connectors/modules.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { parseLsn } from '#ingest/sources/postgres/lsn.ts';

/** A worker on a home of its own, over a Postgres that is its source and holds its state; no pages, no sample studio. */
export interface BenchProduct {
  home: string;
  state: State;
  catalog: IcebergCatalog;
  /** Address of the source database. */
  sourceUrl: string;
  source: pg.Client;
  startWorker(): Promise<void>;
  stopWorker(): Promise<void>;
  /**
   * CPU seconds of the worker since it started, its highest resident memory, and what of it is no mapped file (the log and
   * the key index are mapped: their pages are the system's cache).
   */
  workerUse(): { cpuSeconds: number; peakMiB: number; peakAnonymousMiB: number };
  /** Resolves when everything committed at the source by now can be queried. */
  caughtUp(): Promise<void>;
  close(): Promise<void>;
}

export async function startBenchProduct(): Promise<BenchProduct> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-bench-'));
  fs.chmodSync(home, 0o755);
  const postgres = await startEmbeddedPostgres({
    dir: path.join(home, 'postgres'),
    settings: { wal_level: 'logical', max_wal_size: '4GB', shared_buffers: '512MB' },
  });
  for (const name of ['dailies', 'bench']) await postgres.ensureDatabase(name);
  const stateUrl = postgres.url('dailies');
  await migrateState(stateUrl);
  const state = openState(stateUrl, 4);
  const source = new pg.Client({ connectionString: postgres.url('bench') });
  await source.connect();
  const secretKey = await loadSecretKey({ home, secret: null });
  const definition = {
    version: 1,
    sources: { bench: { kind: 'postgres', url: `\${BENCH_URL}`, tables: ['public.*'] } },
    pipelines: { bench: { from: ['bench.public.*'], to: [{ kind: 'iceberg', table: 'bench.{table}' }] } },
  };
  const applied = () =>
    applyDefinition(
      {
        state,
        who: system,
        secretKey,
        modules: { sources, processors, sinks, destinations },
        describeSql: async () => ({ reads: [] }),
      },
      {
        files: [{ name: 'bench.json', text: JSON.stringify(definition) }],
        secrets: { BENCH_URL: postgres.url('bench') },
      },
    );
  let worker: ChildProcess | undefined;
  let peakAnonymous = 0;
  const sampling = setInterval(() => {
    if (worker?.pid) peakAnonymous = Math.max(peakAnonymous, anonymousMiB(worker.pid));
  }, 50);

  return {
    home,
    state,
    catalog: new IcebergCatalog(state, path.join(home, 'warehouse')),
    sourceUrl: postgres.url('bench'),
    source,
    startWorker: async () => {
      await applied();
      // As under `up`, whose later starts find the code compiled.
      const compiled = path.join(os.tmpdir(), 'dailies-bench-compiled');
      const env: NodeJS.ProcessEnv = {
        ...allocatorSettings,
        ...process.env,
        NODE_COMPILE_CACHE: compiled,
        DAILIES_HOME: home,
        DAILIES_STATE_URL: stateUrl,
      };
      worker = fork(path.resolve(import.meta.dirname, '../../app/cli/worker.ts'), [], {
        env,
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      peakAnonymous = 0;
      await once(worker, 'message');
    },
    stopWorker: async () => {
      const ended = once(worker as ChildProcess, 'exit');
      worker?.kill('SIGTERM');
      await ended;
    },
    workerUse: () => ({ ...processUse(worker?.pid ?? 0), peakAnonymousMiB: peakAnonymous }),
    caughtUp: async () => {
      const { rows } = await source.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
      const target = rows[0]?.lsn ?? '0/0';
      for (;;) {
        const sinkRows = await state.pipelineSink.findMany();
        const positions = sinkRows.map(
          (row) => (row.position as { bench?: { position: string } } | null)?.bench?.position,
        );
        if (positions.length > 0 && positions.every((at) => at !== undefined && parseLsn(at) >= parseLsn(target)))
          return;
        const failed = await state.pipeline.findFirst({ where: { state: 'failed' } });
        if (failed !== null) throw new Error(`the pipeline failed: ${JSON.stringify(failed.lastError)}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    close: async () => {
      clearInterval(sampling);
      if (worker?.exitCode === null && worker.signalCode === null) {
        const ended = once(worker, 'exit');
        worker.kill('SIGKILL');
        await ended;
      }
      await source.end();
      await state.$disconnect();
      await postgres.close();
      fs.rmSync(home, { recursive: true, force: true });
    },
  };
}

/** From /proc: user and system time of the process and its ended children; Linux only. */
export function processUse(pid: number | 'self'): { cpuSeconds: number; peakMiB: number } {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0);
  const peak = /VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return { cpuSeconds: ticks / 100, peakMiB: Math.round(Number(peak) / 1024) };
}

/** 12 mixed columns, as a service's table has them. */
export async function fillTable(client: pg.Client, table: string, rows: number): Promise<void> {
  await client.query(`CREATE TABLE ${table} (
    id bigint PRIMARY KEY, title text NOT NULL, status text NOT NULL, budget numeric(14,2), released date,
    rating double precision, votes integer, is_series boolean, code uuid, note text, updated_at timestamptz NOT NULL, seq bigint)`);
  await client.query(
    `INSERT INTO ${table} SELECT i, 'Working title ' || i, (ARRAY['draft','shooting','post','released'])[1 + i % 4], (i % 900000) * 1.07,
       date '1990-01-01' + (i % 12000)::int, (i % 100) / 10.0, (i * 7) % 500000, i % 3 = 0, md5(i::text)::uuid,
       repeat('words of a note ', (i % 5)::int), timestamptz '2020-01-01' + (i % 100000) * interval '1 minute', 0
     FROM generate_series(1, $1::bigint) AS i`,
    [rows],
  );
  await client.query('CHECKPOINT');
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function anonymousMiB(pid: number): number {
  const file = `/proc/${pid}/status`;
  if (!fs.existsSync(file)) return 0;
  return Math.round(Number(/RssAnon:\s+(\d+)/.exec(fs.readFileSync(file, 'utf8'))?.[1] ?? '0') / 1024);
}

/** Highest resident memory of each child of this process whose command line has `part`. */
export function childPeaks(part: string): number[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
        if (Number(/PPid:\s+(\d+)/.exec(status)?.[1]) !== process.pid) return [];
        if (!fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(part)) return [];
        return [Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? '0') / 1024)];
      } catch (error) {
        // It ended between the two looks.
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
        throw error;
      }
    });
}
