import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, vi } from 'vitest';
import { fromIcebergSchema } from '#catalog/iceberg/metadata/schema-conversion.ts';
import { schemaOf } from '#catalog/iceberg/metadata/table-metadata.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { holdLocal } from '#catalog/iceberg/storage.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { TableEntry } from '#catalog/iceberg/tables/table-catalog.ts';
import { joinName } from '#catalog/iceberg/tables/table-name.ts';
import { Intake } from '#ingest/intake.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { startWorker, type Worker } from '#ingest/pipeline/worker.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';
import type { CaseDatabase } from './stream-cases.ts';

/** A worker in this process that lands a database's tables in Iceberg tables, each under its own name. */
export class Landing implements AsyncDisposable {
  readonly source: string;
  readonly test: TestState;
  readonly catalog: IcebergCatalog;
  readonly lines: string[] = [];
  readonly #database: CaseDatabase;
  readonly #home: string;
  readonly #duckdb: DuckDBInstance;
  #log: EmbeddedLog | null = null;
  #worker: Worker | null = null;

  private constructor(source: string, database: CaseDatabase, test: TestState, home: string, duckdb: DuckDBInstance) {
    this.source = source;
    this.test = test;
    this.catalog = new IcebergCatalog(test.state, join(home, 'warehouse'));
    this.#database = database;
    this.#home = home;
    this.#duckdb = duckdb;
  }

  /** Its source follows these tables by a slot of that name. */
  static async open(database: CaseDatabase, source: string, tables: string[], steps: object[] = []): Promise<Landing> {
    const home = await mkdtemp(join(tmpdir(), 'dailies-landing-'));
    const test = await createState();
    const landing = new Landing(source, database, test, home, await DuckDBInstance.create(':memory:'));
    const spec = { kind: 'postgres', url: database.url, tables };
    await test.state.source.create({ data: { name: source, kind: 'postgres', spec } });
    const pipeline = { from: [`${source}.*.*`], steps, to: [{ kind: 'iceberg', table: `${source}.{table}` }] };
    await test.state.pipeline.create({ data: { name: 'all', spec: pipeline } });
    await landing.start();
    return landing;
  }

  async start(): Promise<void> {
    this.#log = new EmbeddedLog({ path: join(this.#home, 'log') });
    const now = () => new Date();
    this.#worker = await startWorker({
      state: this.test.state,
      databaseUrl: this.test.url,
      log: this.#log,
      intake: new Intake(),
      modules: { sources, processors, sinks },
      sinkDeps: { catalog: this.catalog, state: this.test.state, indexDir: join(this.#home, 'index'), now },
      resolveSecrets: async (spec) => spec,
      commitEveryMs: 50,
      now,
      report: (line) => this.lines.push(line),
    });
  }

  async stop(): Promise<void> {
    await this.#worker?.close();
    await this.#log?.close();
    this.#worker = null;
    this.#log = null;
  }

  /** The table as it was last committed. */
  async entry(table: string): Promise<TableEntry> {
    const entry = await this.catalog.load(joinName([this.source, table]));
    if (!entry) throw new Error(`${table} has not landed: ${this.lines.slice(-5).join('\n')}`);
    return entry;
  }

  /** Field ids of the columns, by name, as of the last commit. */
  async fieldIds(table: string): Promise<Record<string, number>> {
    const { metadata } = await this.entry(table);
    return Object.fromEntries(schemaOf(metadata).fields.map(({ name, id }) => [name, id]));
  }

  /** Columns of the table's key as of the last commit. */
  async keyOf(table: string): Promise<readonly string[]> {
    const { metadata } = await this.entry(table);
    return fromIcebergSchema(schemaOf(metadata), metadata.properties).key;
  }

  /** How often a snapshot of the table has begun. */
  async snapshots(table: string): Promise<number> {
    let begun = 0;
    for await (const record of this.#log?.recent(this.source) ?? []) {
      for (const item of record.batch().items) {
        if (item.kind === 'snapshot-begin' && item.table.endsWith(`.${table}`)) begun += 1;
      }
    }
    return begun;
  }

  async until(isTrue: () => Promise<boolean>): Promise<void> {
    await vi.waitFor(async () => expect(await isTrue(), this.lines.slice(-5).join('\n')).toBe(true), {
      timeout: 120_000,
      interval: 50,
    });
  }

  /** Waits until the table has exactly these columns, in any order. */
  async hasColumns(table: string, names: readonly string[]): Promise<void> {
    await vi.waitFor(
      async () => {
        const held = Object.keys(await this.fieldIds(table));
        expect(held.sort(), this.lines.slice(-5).join('\n')).toEqual([...names].sort());
      },
      { timeout: 120_000, interval: 50 },
    );
  }

  /** Waits until the landed table holds, row by row, what the source's table holds, every value as its text. */
  async equals(table: string): Promise<void> {
    await vi.waitFor(
      async () => {
        const { fields } = await this.#database.query(`SELECT * FROM ${quoted(table)} LIMIT 0`);
        const names = fields.map(({ name }) => name);
        const list = names.map((name) => `${quoted(name)}::text`).join(', ');
        const sql = `SELECT json_build_array(${list})::text AS row FROM ${quoted(table)}`;
        const { rows: here } = await this.#database.query(sql);
        const there = await this.rows(table, names);
        expect(there, this.lines.slice(-5).join('\n')).toEqual(
          here.map(({ row }) => JSON.stringify(JSON.parse(row))).sort(),
        );
        expect(Object.keys(await this.fieldIds(table)).sort()).toEqual([...names].sort());
      },
      { timeout: 120_000, interval: 50 },
    );
  }

  /** Rows of the last commit, or of a snapshot, each as a JSON array of its values' texts, sorted. */
  async rows(table: string, columns: readonly string[], snapshotId?: bigint): Promise<string[]> {
    const { metadataLocation } = await this.entry(table);
    const scan = await planScan(metadataLocation, snapshotId === undefined ? undefined : { snapshotId });
    using _held = await holdLocal(scan.locations);
    const connection = await this.#duckdb.connect();
    try {
      const list = columns.map((name) => `CAST(${quoted(name)} AS VARCHAR)`).join(', ');
      const reader = await connection.runAndReadAll(`SELECT to_json([${list}]) AS row FROM (${scan.sql})`);
      return reader
        .getRows()
        .map(([row]) => JSON.stringify(JSON.parse(String(row))))
        .sort();
    } finally {
      connection.closeSync();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.test.drop();
    this.#duckdb.closeSync();
    await rm(this.#home, { recursive: true, force: true });
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
