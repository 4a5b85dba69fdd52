import { afterAll, beforeAll, expect, test } from 'vitest';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import { tableHistory } from '#catalog/services/table/history.ts';
import { createWarehouse, schemaOf, type TestWarehouse } from '../iceberg/warehouse.ts';
import { ana } from '../query/query-fixture.ts';

let warehouse: TestWarehouse;
beforeAll(async () => {
  warehouse = await createWarehouse();
});
afterAll(() => warehouse[Symbol.asyncDispose]());

test.each([2, 3] as const)(
  'each commit tells the rows that came and went in it, in format %i',
  async (formatVersion) => {
    const { state, catalog, indexDir } = warehouse;
    const name = `production.movie_v${formatVersion}`;
    const deps = { catalog, indexDir, now: () => new Date() };
    const writer = await TableWriter.open(name, deps, { formatVersion, partition: null });
    const commit = () => commitTables(catalog, [writer], {}, async () => undefined);
    await writer.evolve(schemaOf({ id: 'long', title: 'string' }, ['id']));
    for (const id of [1n, 2n, 3n, 4n, 5n]) await writer.upsert([id, `film ${id}`], true);
    await commit();
    for (const id of [1n, 2n]) await writer.upsert([id, 'renamed'], false);
    await commit();
    // The deletes of the commit before are in the new delete file, too.
    await writer.remove([3n, null]);
    await commit();
    await writer.truncate();
    await commit();
    await writer.close();

    const { commits } = await tableHistory({ state, who: ana, catalog }, name);
    expect(commits.map(({ rows, added, removed }) => ({ rows, added, removed }))).toEqual([
      { rows: 0, added: 0, removed: 4 },
      { rows: 4, added: 0, removed: 1 },
      { rows: 5, added: 2, removed: 2 },
      { rows: 5, added: 5, removed: 0 },
    ]);
  },
);
