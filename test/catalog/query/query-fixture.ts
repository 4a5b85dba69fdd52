import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type { Principal } from '#catalog/access/principal.ts';
import { literal } from '#catalog/iceberg/files/duckdb-values.ts';
import type { QueryLimits } from '#catalog/query/query-limits.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import type { QueryState } from '#catalog/query/query-state.ts';
import { createState, type TestState } from '../../fixtures/postgres.ts';

export const ana: Principal = { email: 'ana@studio.example', roles: ['analyst'], kind: 'person' };
export const ben: Principal = { email: 'ben@studio.example', roles: ['analyst'], kind: 'person' };

export interface QueryFixture extends AsyncDisposable {
  dir: string;
  state: TestState['state'];
  service: QueryService;
  /** Runs it to its end. */
  run(sql: string, parameters?: Record<string, unknown>, who?: Principal): Promise<QueryState>;
  /** Runs it, fails unless it succeeds, and gives its first 1,000 rows. */
  rows(sql: string, parameters?: Record<string, unknown>): Promise<unknown[][]>;
}

/** A query service over a warehouse of Parquet files: each table by its name and the SELECT that fills it. */
export async function openQueries(
  tables: Record<string, string>,
  limits: Partial<QueryLimits> = {},
): Promise<QueryFixture> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-query-'));
  const warehouse = await writeTables(path.join(dir, 'warehouse'), tables);
  const { state, drop } = await createState();
  const service = new QueryService({ state, resultsDir: path.join(dir, 'results'), limits, ...warehouse });
  const run: QueryFixture['run'] = async (sql, parameters = {}, who = ana) => {
    const { id } = await service.submit({ sql, parameters, origin: 'api' }, who);
    return await service.wait(id, who);
  };
  return {
    dir,
    state,
    service,
    run,
    rows: async (sql, parameters) => {
      const done = await run(sql, parameters);
      if (done.state !== 'succeeded') throw new Error(`${done.state}: ${done.error?.code} ${done.error?.message}`);
      return await service.rows(done.id, ana, 0, 1000);
    },
    [Symbol.asyncDispose]: async () => {
      await service.close();
      await drop();
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Parquet files and what a query service needs to find them. */
export async function writeTables(dir: string, tables: Record<string, string>) {
  fs.mkdirSync(dir, { recursive: true });
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run("SET TimeZone = 'UTC'");
  const files = new Map<string, string>();
  for (const [name, sql] of Object.entries(tables)) {
    const file = path.join(dir, `table-${files.size}.parquet`);
    await connection.run(`COPY (${sql}) TO ${literal(file)} (FORMAT parquet)`);
    files.set(name, file);
  }
  connection.closeSync();
  instance.closeSync();
  return {
    catalog: { locate: async (name: string) => files.get(name) ?? null, list: async () => [...files.keys()] },
    plan: async (file: string) => ({
      sql: `SELECT * FROM read_parquet(${literal(file)})`,
      files: [file],
      snapshotId: 7n,
    }),
  };
}
