import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, vi } from 'vitest';
import type { Failpoint } from '#catalog/failpoint.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { holdLocal } from '#catalog/iceberg/storage.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { createServer, createState, type TestDatabase, type TestState } from '#test/fixtures/postgres.ts';

/** A source database on a server of its own, a state database and a home folder, with worker processes that come and go over them. */
export class WorkerSetup implements AsyncDisposable {
  readonly test: TestState;
  readonly source: TestDatabase;
  readonly #home: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly catalog: IcebergCatalog;
  readonly #duckdb: DuckDBInstance;
  readonly lines: string[] = [];
  #child: ChildProcess | null = null;
  #exited: Promise<string | null> = Promise.resolve(null);
  #started: Promise<void> = Promise.resolve();

  private constructor(
    test: TestState,
    source: TestDatabase,
    home: string,
    duckdb: DuckDBInstance,
    environment: Readonly<Record<string, string>>,
  ) {
    this.test = test;
    this.source = source;
    this.#home = home;
    this.#environment = environment;
    this.catalog = new IcebergCatalog(test.state, environment.DAILIES_WAREHOUSE ?? join(home, 'warehouse'));
    this.#duckdb = duckdb;
  }

  /** `environment` goes to the workers; a warehouse in S3 must be open in this process, too. */
  static async open(environment: Readonly<Record<string, string>> = {}): Promise<WorkerSetup> {
    const [test, source] = await Promise.all([createState(), createServer()]);
    const home = await mkdtemp(join(tmpdir(), 'dailies-faults-'));
    return new WorkerSetup(test, source, home, await DuckDBInstance.create(':memory:'), environment);
  }

  /** `nodeOptions` come before the program. */
  start(failpoint?: `${Failpoint}:${number}`, nodeOptions: readonly string[] = []): void {
    const program = [...nodeOptions, join(import.meta.dirname, 'worker-process.ts')];
    const child = spawn(process.execPath, [...program, this.test.url, this.#home], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#environment, ...(failpoint ? { DAILIES_FAILPOINT: failpoint } : {}) },
    });
    const started = Promise.withResolvers<void>();
    this.#started = started.promise;
    child.stdout.on('data', (text) => {
      this.lines.push(String(text));
      if (String(text).includes('started')) started.resolve();
    });
    child.stderr.on('data', (text) => this.lines.push(String(text)));
    this.#exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? String(code))));
    this.#child = child;
  }

  /** Resolves once the worker runs what the state says. */
  hasStarted(): Promise<void> {
    return this.#started;
  }

  /** The signal that ended the worker, or its exit code as text. */
  exited(): Promise<string | null> {
    return this.#exited;
  }

  /** Sends a signal that does not end it, and waits until what it has printed since the start says that it was heard. */
  async signal(signal: NodeJS.Signals, isHeard: (lines: readonly string[]) => boolean): Promise<void> {
    this.#child?.kill(signal);
    await vi.waitFor(() => expect(isHeard(this.lines.join('').split('\n'))).toBe(true), {
      timeout: 60_000,
      interval: 20,
    });
  }

  get hasEnded(): boolean {
    return this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<string | null> {
    this.#child?.kill(signal);
    return this.exited();
  }

  async define(tables: string[], pipelines: Record<string, object>): Promise<void> {
    const spec = { kind: 'postgres', url: this.source.url, tables };
    const { state } = this.test;
    await state.source.create({ data: { name: 'production', kind: 'postgres', spec } });
    for (const [name, pipeline] of Object.entries(pipelines)) {
      await state.pipeline.create({ data: { name, spec: pipeline as object } });
    }
    await state.$executeRaw`SELECT pg_notify('dailies_changed', '')`;
  }

  /** A source of any kind, whose tables land each under its own name in a namespace called as the source. */
  async defineSource(name: string, spec: { kind: string } & Record<string, unknown>): Promise<void> {
    const { state } = this.test;
    await state.source.create({ data: { name, kind: spec.kind, spec: spec as object } });
    const pipeline = { from: [`${name}.*.*`], steps: [], to: [{ kind: 'iceberg', table: `${name}.{table}` }] };
    await state.pipeline.create({ data: { name, spec: pipeline } });
    await state.$executeRaw`SELECT pg_notify('dailies_changed', '')`;
  }

  /** From here on `refusals` tells of every target that was set aside, for however short a time. */
  async noteRefusals(): Promise<void> {
    for (const sql of [
      'CREATE TABLE refusal (target text, error jsonb)',
      `CREATE FUNCTION note_refusal() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO refusal VALUES (NEW.target, NEW."lastError"); RETURN NEW; END $$`,
      `CREATE TRIGGER refused AFTER INSERT OR UPDATE ON "PipelineSink" FOR EACH ROW
        WHEN (NEW.state = 'failed') EXECUTE FUNCTION note_refusal()`,
    ]) {
      await this.test.state.$executeRawUnsafe(sql);
    }
  }

  async refusals(): Promise<unknown[]> {
    return this.test.state.$queryRawUnsafe('SELECT * FROM refusal');
  }

  /** Waits until the warehouse table holds, row by row, what the source's SELECT gives; both as one JSON text a row. */
  async becomesEqual(target: string, sourceSql: string, warehouseSql: string): Promise<void> {
    await vi.waitFor(
      async () => {
        const [here, there] = await Promise.all([
          this.#sourceRows(sourceSql),
          this.#warehouseRows(target, warehouseSql),
        ]);
        const lines = this.lines.slice(-5).join('');
        expect(there.length, lines).toBe(here.length);
        expect(there, lines).toEqual(here);
      },
      { timeout: 240_000, interval: 150 },
    );
  }

  async #sourceRows(sql: string): Promise<string[]> {
    const { rows } = await this.source.query(`SELECT row FROM (${sql}) AS rows(row) ORDER BY row COLLATE "C"`);
    return rows.map(({ row }) => row);
  }

  async #warehouseRows(target: string, sql: string): Promise<string[]> {
    const table = await this.catalog.load(target);
    if (!table) return [];
    const scan = await planScan(table.metadataLocation);
    using _held = await holdLocal(scan.locations);
    const connection = await this.#duckdb.connect();
    try {
      const reader = await connection.runAndReadAll(`SELECT (${sql}) AS row FROM (${scan.sql}) ORDER BY row`);
      return reader.getRows().map(([row]) => String(row));
    } finally {
      connection.closeSync();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
    await this.test.drop();
    await this.source.drop();
    await rm(this.#home, { recursive: true, force: true });
  }
}
