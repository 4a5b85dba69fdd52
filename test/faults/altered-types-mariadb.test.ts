import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { schemaOf } from '#catalog/iceberg/metadata/table-metadata.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { holdLocal } from '#catalog/iceberg/storage.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { startMariadb, type TestMariadb, type TestMariadbDatabase } from '#test/fixtures/mariadb.ts';
import { WorkerSetup } from './worker-setup.ts';

/* Types that rows already landed cannot follow: the table is read again, and no row of the new shape is refused before. */

const rows = 300;
const cases = [
  { table: 'texts', type: 'int', value: 'seq', alter: 'MODIFY n varchar(40)', row: `9001, 'new'` },
  { table: 'narrower', type: 'decimal(10, 2)', value: 'seq + 0.5', alter: 'MODIFY n decimal(8, 1)', row: '9001, 1.5' },
  { table: 'ints', type: 'varchar(40)', value: 'seq', alter: 'MODIFY n int', row: '9001, 7' },
  {
    table: 'again',
    type: 'int',
    value: 'seq',
    alter: `DROP n, ADD n date DEFAULT '2026-01-01'`,
    row: `9001, '2026-02-02'`,
  },
  {
    table: 'longer',
    type: 'bigint',
    value: 'seq',
    alter: 'MODIFY n bigint unsigned',
    row: '9001, 18446744073709551615',
  },
] as const;

describeWith('mariadb', 'MariaDB through the whole product', () => {
  let server: TestMariadb;
  let duckdb: DuckDBInstance;
  beforeAll(async () => {
    server = await startMariadb('11.4');
    duckdb = await DuckDBInstance.create(':memory:');
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const landed = async (setup: WorkerSetup, table: string): Promise<string[]> => {
    const entry = await setup.catalog.load(`production.${table}`);
    if (!entry) return [];
    const scan = await planScan(entry.metadataLocation);
    using _held = await holdLocal(scan.locations);
    const connection = await duckdb.connect();
    try {
      const sql = `SELECT concat_ws('|', id, n) AS row FROM (${scan.sql}) ORDER BY id`;
      return (await connection.runAndReadAll(sql)).getRows().map(([row]) => String(row));
    } finally {
      connection.closeSync();
    }
  };
  const areEqual = async (setup: WorkerSetup, database: TestMariadbDatabase) => {
    for (const { table } of cases) {
      await vi.waitFor(
        async () => {
          const there = await database.query(`SELECT concat_ws('|', id, n) AS line FROM ${table} ORDER BY id`);
          expect(await landed(setup, table), setup.lines.slice(-5).join('')).toEqual(there.map(({ line }) => line));
        },
        { timeout: 240_000, interval: 150 },
      );
    }
  };
  const idOf = async (setup: WorkerSetup, table: string) => {
    const entry = await setup.catalog.load(`production.${table}`);
    return entry && schemaOf(entry.metadata).fields.find(({ name }) => name === 'n')?.id;
  };

  test.each([false, true])(
    'the table goes on without being refused (killed in between: %s)',
    async (isKilled) => {
      await using database = await server.createDatabase();
      await using setup = await WorkerSetup.open();
      await setup.noteRefusals();
      for (const { table, type, value } of cases) {
        await database.query(`CREATE TABLE ${table} (id int PRIMARY KEY, n ${type})`);
        await database.query(`INSERT INTO ${table} SELECT seq, ${value} FROM ${server.numbers(rows)} AS numbers`);
      }
      setup.start();
      await setup.defineSource('production', { kind: 'mariadb', url: server.url(), tables: [`${database.name}.*`] });
      await areEqual(setup, database);
      const before = await Promise.all(cases.map(({ table }) => idOf(setup, table)));
      for (const { table, alter, row } of cases) {
        await database.query(`ALTER TABLE ${table} ${alter}`);
        await database.query(`INSERT INTO ${table} VALUES (${row})`);
      }
      if (isKilled) {
        await setup.end('SIGKILL');
        setup.start('after-log-append:3');
        expect(await setup.exited()).toBe('SIGKILL');
        await database.query(`ALTER TABLE texts MODIFY n varbinary(40)`);
        await database.query(`INSERT INTO texts VALUES (9002, 'x')`);
        await database.query(`ALTER TABLE texts MODIFY n varchar(50)`);
        await database.query(`INSERT INTO texts VALUES (9003, 'y')`);
        setup.start();
      }
      await areEqual(setup, database);
      expect(await setup.refusals(), setup.lines.join('')).toEqual([]);
      for (const [index, { table }] of cases.entries()) expect(await idOf(setup, table), table).not.toBe(before[index]);
    },
    1_200_000,
  );
});
