import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { readTable, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { createState } from '#test/fixtures/postgres.ts';
import { batches, log, modelAfter, movies } from './crash-history.ts';
import { openSink, signal } from './sink-driver.ts';

/** Passes count from the process's start: the second and later ones are commits of changes, not of the snapshot. */
const points: Record<2 | 3, string[]> = {
  2: [
    'before-data-files:1',
    'before-data-files:4',
    'after-data-files:1',
    'after-data-files:4',
    'after-data-files:5',
    'after-table-commit:1',
    'after-table-commit:3',
    'after-index-update:1',
    'after-index-update:4',
    'after-index-update:7',
  ],
  3: ['after-data-files:1', 'after-data-files:4', 'after-table-commit:3', 'after-index-update:4'],
};

test.each([2, 3] as const)(
  'a process that dies at any point of a commit of format %i loses nothing and doubles nothing',
  async (formatVersion) => {
    await using fixture = await createState();
    const root = await mkdtemp(join(tmpdir(), 'crash-'));
    const warehouse = join(root, 'warehouse');
    const indexDir = join(root, 'index');
    const catalog = new IcebergCatalog(fixture.state, warehouse);
    const args = [fixture.url, warehouse, indexDir, String(formatVersion)];
    for (const failpoint of points[formatVersion]) {
      expect(await runHistory(args, failpoint), failpoint).toBe('SIGKILL');
      const sink = openSink(
        { catalog, state: fixture.state, indexDir },
        { sourceTables: [movies, log], formatVersion },
      );
      const held = (await sink.writtenUpTo(movies, signal))?.production?.offset ?? null;
      // Both tables have moved together, and what the catalog's pages show is of the same commit.
      expect((await sink.writtenUpTo(log, signal))?.production?.offset ?? null).toBe(held);
      await sink.close();
      if (held === null) expect(await catalog.list()).toEqual([]);
      else await expectModel(fixture.state, catalog, held);
    }
    expect(await runHistory(args, '')).toBe(0);
    await expectModel(fixture.state, catalog, batches);
    await rm(root, { recursive: true, force: true });
  },
  600_000,
);

async function expectModel(
  state: Awaited<ReturnType<typeof createState>>['state'],
  catalog: IcebergCatalog,
  batch: number,
): Promise<void> {
  const model = modelAfter(batch);
  expect(sorted(await readTable(catalog, 'production.movie'))).toEqual(sorted([...model.movies.values()]));
  expect(sorted(await readTable(catalog, 'production.log'))).toEqual(sorted(model.log));
  const recorded = await state.dataTable.findUniqueOrThrow({ where: { name: 'production.movie' } });
  expect(recorded.rows).toBe(BigInt(model.movies.size));
  const scan = await planScan((await catalog.locate('production.movie')) ?? '');
  expect(recorded.snapshotId).toBe(scan.snapshotId);
}

function runHistory(args: string[], failpoint: string): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'crash-history.ts'), ...args], {
      env: { ...process.env, DAILIES_FAILPOINT: failpoint },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.on('error', reject);
    child.on('exit', (code, killed) => resolve(code ?? killed));
  });
}
