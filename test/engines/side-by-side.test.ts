import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import { serveCatalog } from '#test/catalog/iceberg/served-catalog.ts';
import { createWarehouse, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { findEngine } from '#test/fixtures/engine.ts';
import { canonicalRow, sortedTexts } from './canonical.ts';
import { type EngineReader, startReader } from './engine-reader.ts';

const isInstalled = findEngine('spark') !== null && findEngine('pyiceberg') !== null;

/** Only against a run that never ends. */
const patienceMs = 900_000;

const schema: Schema = {
  key: ['id'],
  fields: [
    { name: 'id', type: { kind: 'long' }, required: true },
    { name: 'title', type: { kind: 'string' }, required: false },
    { name: 'takes', type: { kind: 'int' }, required: false },
  ],
};

/** Spark, PyIceberg and our writer take turns on one table that no pipeline owns; all of them always find all rows. */
describe.skipIf(!isInstalled)('side by side on one table (needs spark, pyiceberg: test/engines/install)', () => {
  let warehouse: TestWarehouse;
  let served: Awaited<ReturnType<typeof serveCatalog>>;
  let spark: EngineReader;
  let pyiceberg: EngineReader;
  beforeAll(async () => {
    warehouse = await createWarehouse();
    served = await serveCatalog(warehouse.catalog);
    [spark, pyiceberg] = await Promise.all([startReader('spark', served), startReader('pyiceberg', served)]);
    await spark.do('CREATE NAMESPACE dailies.desk');
  }, patienceMs);
  afterAll(async () => {
    await spark?.[Symbol.asyncDispose]();
    await pyiceberg?.[Symbol.asyncDispose]();
    await served?.[Symbol.asyncDispose]();
    await warehouse?.[Symbol.asyncDispose]();
  });

  async function writeOurs(name: string, upserts: readonly Row[], deletes: readonly bigint[]): Promise<void> {
    const writer = await TableWriter.open(name, { ...warehouse, now: () => new Date() });
    try {
      await writer.evolve(schema);
      for (const row of upserts) await writer.upsert(row, false);
      for (const id of deletes) await writer.remove([id, null, null]);
      await commitTables(warehouse.catalog, [writer], {}, async () => {});
    } finally {
      await writer.close();
    }
  }

  async function expectEverywhere(name: string, rows: readonly Row[]): Promise<void> {
    const expected = sortedTexts(rows.map((row) => canonicalRow(schema, row)));
    const ours = (await warehouse.read(name)).map((row) => canonicalRow(schema, row));
    expect(sortedTexts(ours), 'our planner').toEqual(expected);
    expect(sortedTexts(await spark.read(name, schema)), 'Spark').toEqual(expected);
    expect(sortedTexts(await pyiceberg.read(name, schema)), 'PyIceberg').toEqual(expected);
  }

  test.each([2, 3])(
    'format %i',
    async (format) => {
      const name = `desk.shared_v${format}`;
      await spark.do(
        `CREATE TABLE dailies.${name} (id BIGINT NOT NULL, title STRING, takes INT) USING iceberg TBLPROPERTIES ('format-version' = '${format}', 'write.merge.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read')`,
      );
      await spark.do(`ALTER TABLE dailies.${name} SET IDENTIFIER FIELDS id`);
      await spark.do(`INSERT INTO dailies.${name} SELECT id, concat('Film ', id), 1 FROM range(20)`);
      const rows = new Map<bigint, Row>();
      for (let id = 0n; id < 20n; id++) rows.set(id, [id, `Film ${id}`, 1]);
      await expectEverywhere(name, [...rows.values()]);

      const ours: Row[] = [2n, 3n, 30n].map((id) => [id, `Ours ${id}`, 2]);
      await writeOurs(name, ours, [4n, 5n]);
      for (const row of ours) rows.set(row[0] as bigint, row);
      rows.delete(4n);
      rows.delete(5n);
      await expectEverywhere(name, [...rows.values()]);

      await spark.do(
        `MERGE INTO dailies.${name} t USING (SELECT id, concat('Spark ', id) AS title FROM range(2, 41, 4)) s ON t.id = s.id WHEN MATCHED AND t.id = 10 THEN DELETE WHEN MATCHED THEN UPDATE SET title = s.title, takes = takes + 1 WHEN NOT MATCHED THEN INSERT (id, title, takes) VALUES (s.id, s.title, 0)`,
      );
      for (let id = 2n; id < 41n; id += 4n) {
        const takes = rows.get(id)?.[2];
        rows.set(id, [id, `Spark ${id}`, typeof takes === 'number' ? takes + 1 : 0]);
      }
      rows.delete(10n);
      await expectEverywhere(name, [...rows.values()]);

      if (format === 2) {
        await pyiceberg.do({
          append: name,
          rows: [
            { id: 50, title: 'Py 50', takes: 5 },
            { id: 51, title: null, takes: null },
          ],
        });
        rows.set(50n, [50n, 'Py 50', 5]);
        rows.set(51n, [51n, null, null]);
        await expectEverywhere(name, [...rows.values()]);
      }

      await writeOurs(
        name,
        [
          [50n, 'Ours again', 6],
          [0n, null, null],
        ],
        [30n, 1n],
      );
      rows.set(50n, [50n, 'Ours again', 6]);
      rows.set(0n, [0n, null, null]);
      rows.delete(30n);
      rows.delete(1n);
      await expectEverywhere(name, [...rows.values()]);

      await spark.do(`DELETE FROM dailies.${name} WHERE id % 3 = 0`);
      for (const id of [...rows.keys()]) if (id % 3n === 0n) rows.delete(id);
      await expectEverywhere(name, [...rows.values()]);

      await spark.do(
        `CALL dailies.system.rewrite_data_files(table => '${name}', options => map('rewrite-all', 'true'))`,
      );
      await writeOurs(name, [[7n, 'After a rewrite', 9]], [8n]);
      rows.set(7n, [7n, 'After a rewrite', 9]);
      rows.delete(8n);
      await expectEverywhere(name, [...rows.values()]);
    },
    patienceMs,
  );
});
