import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { holdLocal } from '#catalog/iceberg/storage.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { printedRows, readWithPyIceberg } from '#test/catalog/iceberg/pyiceberg.ts';
import { describeWith, findEngine } from '#test/fixtures/engine.ts';
import { startMariadb, type TestMariadb, type TestMariadbDatabase } from '#test/fixtures/mariadb.ts';
import { Mirror } from '#test/ingest/sources/mysql/mirror.ts';
import { RandomWork, sortedTexts } from '#test/ingest/sources/mysql/random-work.ts';
import { typesOf } from '#test/ingest/sources/mysql/type-matrix.ts';
import { WorkerSetup } from './worker-setup.ts';

/* MariaDB through the whole product into Iceberg tables: the worker is a process of its own that dies now and then. */

describeWith('mariadb', 'MariaDB through the whole product', () => {
  let server: TestMariadb;
  let warehouse: string;
  let duckdb: DuckDBInstance;

  beforeAll(async () => {
    server = await startMariadb('11.4');
    duckdb = await DuckDBInstance.create(':memory:');
    warehouse = await mkdtemp(join(tmpdir(), 'dailies-mariadb-warehouse-'));
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await rm(warehouse, { recursive: true, force: true });
  });

  const open = async (database: TestMariadbDatabase) => {
    const setup = await WorkerSetup.open({ DAILIES_WAREHOUSE: pathToFileURL(warehouse).href });
    const { state } = setup.test;
    const spec = { kind: 'mariadb', url: server.url(), tables: [`${database.name}.*`] };
    await state.source.create({ data: { name: 's', kind: 'mariadb', spec } });
    const pipeline = {
      from: [`s.${database.name}.*`],
      steps: [],
      to: [{ kind: 'iceberg', table: `${database.name}.{table}` }],
    };
    await state.pipeline.create({ data: { name: 'all', spec: pipeline } });
    return { setup, catalog: new IcebergCatalog(state, warehouse) };
  };

  /** Rows of a table of the warehouse, as texts. */
  const rowsOf = async (catalog: IcebergCatalog, name: string, columns: readonly string[]): Promise<string[]> => {
    const table = await catalog.load(name);
    if (!table) return [];
    const scan = await planScan(table.metadataLocation);
    using _held = await holdLocal(scan.locations);
    const connection = await duckdb.connect();
    try {
      const reader = await connection.runAndReadAll(scan.sql);
      return sortedTexts(columns, reader.getRowObjects());
    } finally {
      connection.closeSync();
    }
  };

  test('killed at random under changes and migrations, every row is equal', async () => {
    await using database = await server.createDatabase();
    const seed = Number(process.env.SEED ?? randomInt(2 ** 31));
    console.info(`MariaDB, killed at random: SEED=${seed}`);
    const work = new RandomWork(server, database.name, seed);
    await work.create(4_000);
    const { setup, catalog } = await open(database);
    try {
      for (let round = 0; round < 4; round++) {
        setup.start();
        await setup.hasStarted();
        for (let at = 0; at < 15; at++) {
          await work.transaction();
          await delay(20);
        }
        if (round > 0) await work.alter();
        expect(await setup.end('SIGKILL')).toBe('SIGKILL');
      }
      setup.start();
      for (let at = 0; at < 10; at++) await work.transaction();
      await vi.waitFor(
        async () => {
          for (const table of ['movie', 'pair', 'entry']) {
            const { columns, rows } = await work.rowsOf(table);
            const landed = await rowsOf(catalog, `${database.name}.${table}`, columns);
            expect(landed.length, setup.lines.slice(-5).join('')).toBe(rows.length);
            expect(
              landed,
              `${table} ${columns.join()} ${work.done.filter((sql) => /ALTER|TRUNC/.test(sql)).join('; ')}`,
            ).toEqual(rows);
          }
        },
        { timeout: 240_000, interval: 300 },
      );
      expect(await setup.end('SIGTERM')).toBe('0');
      expect(await setup.test.state.deadLetter.count()).toBe(0);
    } finally {
      await work.close();
      await setup[Symbol.asyncDispose]();
    }
  }, 1_200_000);

  test.skipIf(findEngine('pyiceberg') === null)(
    'PyIceberg reads every type as the source tells it',
    async () => {
      await using database = await server.createDatabase();
      const seed = Number(process.env.SEED ?? randomInt(2 ** 31));
      console.info(`MariaDB's types by PyIceberg: SEED=${seed}`);
      const typeMatrix = typesOf('MariaDB 11.4');
      const columns = typeMatrix.map(({ sql }, index) => `c${index} ${sql}`);
      await database.query(`CREATE TABLE types (id INT PRIMARY KEY, ${columns.join(', ')})`);
      await database.query("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'");
      const rows = fc.sample(fc.tuple(...typeMatrix.map(({ values }) => fc.option(values, { nil: null, freq: 8 }))), {
        numRuns: 40,
        seed,
      });
      const insert = async (from: number, to: number) => {
        for (const [index, cells] of rows.slice(from, to).entries()) {
          const values = [from + index, ...cells.map((cell) => cell?.literal ?? 'NULL')];
          await database.query(`INSERT INTO types VALUES (${values.join(', ')})`);
        }
      };
      await insert(0, 20);
      const { setup, catalog } = await open(database);
      const mirror = new Mirror(server.url(), [`${database.name}.types`]);
      try {
        setup.start();
        const name = `${database.name}.types`;
        await vi.waitFor(async () => expect(await rowsOf(catalog, name, ['id'])).toHaveLength(20), {
          timeout: 240_000,
          interval: 300,
        });
        await insert(20, 40);
        await vi.waitFor(async () => expect(await rowsOf(catalog, name, ['id'])).toHaveLength(40), {
          timeout: 240_000,
          interval: 300,
        });
        await mirror.start();
        await mirror.caughtUp();
        await mirror.stop();
        const { schema } = mirror.table(name);
        if (schema === null) throw new Error('The source told no schema.');
        const table = await readWithPyIceberg(catalog, name);
        const names = await columnNames(catalog, name);
        const told = mirror.rows(name).map((row) => names.map((column) => row[column] ?? null));
        const ordered = {
          ...schema,
          fields: names
            .map((column) => schema.fields.find((field) => field.name === column))
            .filter((field) => field !== undefined),
        };
        expect(ordered.fields).toHaveLength(names.length);
        const texts = (list: readonly unknown[]) => list.map((row) => JSON.stringify(row)).sort();
        expect(texts(table.rows)).toEqual(texts(printedRows(ordered, told as never)));
      } finally {
        await mirror.stop();
        await setup[Symbol.asyncDispose]();
      }
    },
    1_200_000,
  );

  const columnNames = async (catalog: IcebergCatalog, name: string): Promise<string[]> => {
    const table = await catalog.load(name);
    if (!table) throw new Error(`There is no table ${name}.`);
    const scan = await planScan(table.metadataLocation);
    using _held = await holdLocal(scan.locations);
    const connection = await duckdb.connect();
    try {
      return (await connection.runAndReadAll(`${scan.sql} LIMIT 0`)).columnNames();
    } finally {
      connection.closeSync();
    }
  };
});
