import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { partitionColumns } from '#catalog/iceberg/metadata/partition-spec.ts';
import { transformName } from '#catalog/iceberg/metadata/transforms.ts';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { printedRows, readWithPyIceberg } from '../pyiceberg.ts';
import { serveCatalog } from '../served-catalog.ts';
import { createWarehouse, sorted } from '../warehouse.ts';

const name = 'desk.film';

function micros(day: number): bigint {
  return BigInt(Date.UTC(2024, 1, day, 23, 59, 59)) * 1000n + 999_999n;
}

const landed: Row[] = [
  [1n, 'Metropolis', 1230n, micros(1), 7n, ['DE', -15_697, null], null],
  [2n, 'M', null, null, null, null, null],
  [4n, 'Faust', null, micros(2), 1n << 40n, ['DE', null, 'Berlin'], 'x'],
  [5n, null, 100n, null, 7n, null, null],
];

const added: Row[] = [
  [6n, 'Zorro', 999n, micros(3), -1n, ['US', 0, null], null],
  [7n, null, null, null, null, null, 'y'],
];

describeWith('pyiceberg', 'a table that PyIceberg made, evolved and partitioned anew', (python) => {
  test.each([1, 2] as const)('is read, and written on, by us: format %i', async (formatVersion) => {
    await using warehouse = await createWarehouse();
    {
      await using served = await serveCatalog(warehouse.catalog);
      const script = join(import.meta.dirname, 'pyiceberg_evolves.py');
      await promisify(execFile)(python, [script, served.uri, String(formatVersion)]);
    }
    expect(sorted(await warehouse.read(name))).toEqual(sorted(landed));
    const deps = { catalog: warehouse.catalog, indexDir: warehouse.indexDir, now: () => new Date() };
    const writer = await TableWriter.open(name, deps);
    expect(writer.metadata?.['format-version']).toBe(formatVersion);
    const columns = writer.metadata ? partitionColumns(writer.metadata) : [];
    const transforms = columns.map(({ name: field, transform }) => `${field} ${transformName(transform)}`);
    // Format 1 keeps a field that is gone as one without values.
    const gone = formatVersion === 1 ? ['title void'] : [];
    expect(transforms).toEqual([
      ...gone,
      'size identity',
      'at_year year',
      'id_bucket bucket[4]',
      'name_start truncate[2]',
    ]);
    const { schema } = writer;
    for (const row of added) await writer.upsert(row, true);
    await commitTables(warehouse.catalog, [writer], {}, async () => {});
    expect(writer.metadata?.['format-version']).toBe(2);
    await writer.close();
    const all = [...landed, ...added];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(all));
    const table = await readWithPyIceberg(warehouse.catalog, name);
    const byText = (rows: readonly unknown[][]) => rows.map((row) => JSON.stringify(row)).sort();
    expect(byText(table.rows)).toEqual(byText(printedRows(schema, all)));
    // Partitions let a reader leave out files: wrong ones would lose rows.
    for (const [filter, wanted] of [
      ['id = 6', (row: Row) => row[0] === 6n],
      ["name >= 'M' and name < 'Zz'", (row: Row) => ['Metropolis', 'M', 'Zorro'].includes(String(row[1]))],
    ] as const) {
      const filtered = await readWithPyIceberg(warehouse.catalog, name, filter);
      expect(byText(filtered.rows)).toEqual(byText(printedRows(schema, all.filter(wanted))));
    }
  });
});
