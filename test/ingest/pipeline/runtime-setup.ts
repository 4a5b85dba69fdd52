import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { Schema } from '#catalog/schemas/schema.ts';
import { Intake } from '#ingest/intake.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import type { Retention } from '#ingest/log/topic.ts';
import { startWorker, type Worker } from '#ingest/pipeline/worker.ts';
import type { ProcessorModule } from '#ingest/processor.ts';
import { icebergSink } from '#ingest/sinks/iceberg.ts';
import { postgres } from '#ingest/sources/postgres/postgres.ts';
import type { Prisma } from '#prisma/generated/client.ts';
import { createDatabase, createState, type TestDatabase, type TestState } from '#test/fixtures/postgres.ts';
import { createTargets, postgresSink } from './postgres-sink.ts';
import { History, scriptedSource } from './scripted-source.ts';

export const movie: Schema = {
  fields: [
    { name: 'id', type: { kind: 'int' }, required: true },
    { name: 'title', type: { kind: 'string' }, required: false },
  ],
  key: ['id'],
};

/** A state database, a log, a scripted source and a Postgres target, with a worker that can be started again on them. */
export class RuntimeSetup implements AsyncDisposable {
  readonly history = new History();
  readonly faults = { failCommit: null, loseAnswer: false } as {
    failCommit: import('#catalog/error.ts').DailiesError | null;
    loseAnswer: boolean;
  };
  readonly lines: string[] = [];
  readonly test: TestState;
  readonly targets: TestDatabase;
  readonly catalog: IcebergCatalog;
  readonly indexDir: string;
  readonly warehouse: string;
  readonly #path: string;
  readonly #processors: ProcessorModule<z.ZodObject>[];
  #log: EmbeddedLog | null = null;
  #worker: Worker | null = null;

  private constructor(
    test: TestState,
    targets: TestDatabase,
    path: string,
    processors: ProcessorModule<z.ZodObject>[],
  ) {
    this.test = test;
    this.targets = targets;
    this.#path = path;
    this.warehouse = `${path}-warehouse`;
    this.indexDir = join(this.warehouse, 'index');
    this.catalog = new IcebergCatalog(test.state, join(this.warehouse, 'tables'));
    this.#processors = processors;
  }

  static async open(processors: ProcessorModule<z.ZodObject>[] = []): Promise<RuntimeSetup> {
    const [test, targets] = await Promise.all([createState(), createDatabase()]);
    await createTargets(targets.url);
    return new RuntimeSetup(test, targets, await mkdtemp(join(tmpdir(), 'dailies-runtime-')), processors);
  }

  get log(): EmbeddedLog {
    if (!this.#log) throw new Error('the worker was not started');
    return this.#log;
  }

  async start(retention: Partial<Retention> = {}): Promise<void> {
    this.#log = new EmbeddedLog({ path: this.#path, retention });
    this.#worker = await startWorker({
      state: this.test.state,
      databaseUrl: this.test.url,
      log: this.#log,
      intake: new Intake(),
      modules: {
        sources: [scriptedSource(this.history), postgres],
        processors: this.#processors,
        sinks: [postgresSink, icebergSink],
      },
      sinkDeps: {
        targetUrl: this.targets.url,
        faults: this.faults,
        catalog: this.catalog,
        state: this.test.state,
        indexDir: this.indexDir,
        now: () => new Date(),
      },
      resolveSecrets: async (spec) => spec,
      now: () => new Date(),
      warnEveryMs: 50,
      report: (line) => this.lines.push(line),
    });
  }

  retained(pipeline: string, key: string | null) {
    if (!this.#worker) throw new Error('the worker was not started');
    return this.#worker.retained(pipeline, key);
  }

  async stop(): Promise<void> {
    await this.#worker?.close();
    this.#worker = null;
    await this.#log?.close();
    this.#log = null;
  }

  /** What a disk that broke leaves of the log. */
  async loseLog(): Promise<void> {
    await rm(this.#path, { recursive: true, force: true });
  }

  async restart(retention: Partial<Retention> = {}): Promise<void> {
    await this.stop();
    await this.start(retention);
  }

  async addSource(spec: Prisma.InputJsonObject = {}): Promise<void> {
    await this.test.state.source.create({ data: { name: 's', kind: 'scripted', spec: { kind: 'scripted', ...spec } } });
    await this.notify();
  }

  async addPostgres(name: string, spec: { url: string; tables: string[] }): Promise<void> {
    await this.test.state.source.create({ data: { name, kind: 'postgres', spec: { kind: 'postgres', ...spec } } });
    await this.notify();
  }

  async setPipeline(
    name: string,
    spec: { from: string[]; steps?: Prisma.InputJsonObject[]; table: string; kind?: 'postgres-table' | 'iceberg' },
  ): Promise<void> {
    const { from, steps = [], table, kind = 'postgres-table' } = spec;
    const data = { spec: { from, steps, to: [{ kind, table }] } };
    await this.test.state.pipeline.upsert({ where: { name }, create: { name, ...data }, update: data });
    await this.notify();
  }

  async setDesired(name: string, desired: 'running' | 'paused'): Promise<void> {
    await this.test.state.pipeline.update({ where: { name }, data: { desired, updatedAt: new Date() } });
    await this.notify();
  }

  async notify(): Promise<void> {
    await this.test.state.$executeRaw`SELECT pg_notify('dailies_changed', '')`;
  }

  pipeline(name: string) {
    return this.test.state.pipeline.findUniqueOrThrow({ where: { name }, include: { sinks: true } });
  }

  async rows(target: string): Promise<unknown[]> {
    const { rows } = await this.targets.query('SELECT row FROM target WHERE target = $1 ORDER BY key, seq', [target]);
    return rows.map(({ row }) => row);
  }

  async isLanded(target: string): Promise<boolean> {
    const { rowCount } = await this.targets.query('SELECT FROM landed WHERE target = $1', [target]);
    return rowCount === 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.test.drop();
    await this.targets.drop();
    await rm(this.#path, { recursive: true, force: true });
    await rm(this.warehouse, { recursive: true, force: true });
  }
}
