import { copyFile, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { currentSnapshot } from '#catalog/iceberg/metadata/table-metadata.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { State } from '#catalog/state/state.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

const table = 'production.public.movie';
const name = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);
const unknown = UNKNOWN as never;

function films(count: number): Row[] {
  return Array.from({ length: count }, (_, id): Row => [BigInt(id), `Film ${id}`, `plot ${id}`]);
}

async function landed(warehouse: TestWarehouse, rows: readonly Row[]): Promise<void> {
  const sink = openSink(warehouse);
  await snapshot(sink, movie, rows);
  await sink.commit(position(1), signal);
  await sink.close();
}

async function dataFiles(warehouse: TestWarehouse): Promise<string[]> {
  const entry = await warehouse.catalog.load(name);
  return (await readdir(`${filePath(entry?.metadata.location ?? '')}/data`)).sort();
}

describe('commits', () => {
  test('of two writers one wins; the other is told, leaves no files and changes nothing', async () => {
    await using warehouse = await createWarehouse();
    await landed(warehouse, films(3));
    const [first, second] = [openSink(warehouse), openSink(warehouse)];
    await first.write(changesOf(movie, [{ op: 'u', after: [1n, 'First', 'x'] }]), signal);
    await second.write(changesOf(movie, [{ op: 'u', after: [2n, 'Second', 'x'] }]), signal);
    await first.commit(position(2), signal);
    const files = await dataFiles(warehouse);
    await expect(second.commit(position(2), signal)).rejects.toMatchObject({ code: 'commit_conflict' });
    expect(await dataFiles(warehouse)).toEqual(files);
    await first.close();
    await second.close();
    const expected = [films(3)[0], [1n, 'First', 'x'], films(3)[2]] as Row[];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
    const reopened = openSink(warehouse);
    await reopened.write(changesOf(movie, [{ op: 'd', before: [1n, unknown, unknown] }]), signal);
    await reopened.commit(position(3), signal);
    await reopened.close();
    expect(sorted(await warehouse.read(name))).toEqual(sorted([films(3)[0], films(3)[2]] as Row[]));
  });

  test('whose answer is lost are looked up: applied ones go on, others are unknown and keep their files', async () => {
    await using warehouse = await createWarehouse();
    await landed(warehouse, films(3));
    for (const isApplied of [true, false]) {
      const state = losingAnswer(warehouse.state, isApplied);
      const catalog = new IcebergCatalog(state, warehouse.catalog.warehouse);
      const sink = openSink({ ...warehouse, catalog, state });
      const change = changesOf(movie, [{ op: 'u', after: [1n, `Applied ${isApplied}`, 'x'] }]);
      await sink.write(change, signal);
      const before = await dataFiles(warehouse);
      if (isApplied) await sink.commit(position(2), signal);
      else await expect(sink.commit(position(3), signal)).rejects.toMatchObject({ code: 'commit_unknown' });
      expect((await dataFiles(warehouse)).length).toBeGreaterThan(before.length);
      await sink.close();
    }
    const sink = openSink(warehouse);
    expect(await sink.writtenUpTo(table, signal)).toEqual(position(2));
    await sink.close();
    expect(sorted(await warehouse.read(name))).toEqual(
      sorted([films(3)[0], [1n, 'Applied true', 'x'], films(3)[2]] as Row[]),
    );
  });

  test('larger than memory are staged in several files and still dedupe by key', async () => {
    await using warehouse = await createWarehouse();
    await landed(warehouse, films(1000));
    const sink = openSink(warehouse);
    for (const round of ['one', 'two']) {
      for (let start = 0; start < 130_000; start += 10_000) {
        const changes = Array.from({ length: 10_000 }, (_, index) => {
          const after: Row = [BigInt(start + index), round, unknown];
          return { op: 'u' as const, after: start + index < 1000 ? after : after.with(2, round) };
        });
        await sink.write(changesOf(movie, changes), signal);
      }
    }
    await sink.write(changesOf(movie, [{ op: 'd', before: [129_999n, unknown, unknown] }]), signal);
    const [commit] = await sink.commit(position(2), signal);
    expect(commit?.rows).toBe(129_999n);
    await sink.close();
    const rows = await warehouse.read(name);
    expect(rows.length).toBe(129_999);
    expect(rows.every((row) => row[1] === 'two')).toBe(true);
    expect(new Set(rows.map((row) => row[0])).size).toBe(129_999);
    expect(rows.find((row) => row[0] === 7n)?.[2]).toBe('plot 7');
  });
});

describe('the key index', () => {
  test.each(['lost', 'corrupt', 'stale'] as const)('%s is brought back from the table', async (damage) => {
    await using warehouse = await createWarehouse();
    await landed(warehouse, films(500));
    const entry = await warehouse.catalog.load(name);
    const index = join(warehouse.indexDir, entry?.metadata['table-uuid'] ?? '');
    const change = async (offset: number, ...ids: bigint[]) => {
      const sink = openSink(warehouse);
      const changes = ids.flatMap((id) => [
        { op: 'u' as const, after: [id, `Changed ${offset}`, unknown] as Row },
        { op: 'd' as const, before: [id + 100n, unknown, unknown] as Row },
        { op: 'c' as const, after: [id + 10_000n, `New ${offset}`, 'new'] as Row },
      ]);
      await sink.write(changesOf(movie, changes), signal);
      await sink.commit(position(offset), signal);
      await sink.close();
    };
    await change(2, 1n, 2n);
    if (damage === 'stale') await copyFile(join(index, 'data.mdb'), join(warehouse.root, 'old.mdb'));
    await change(3, 2n, 3n, 10_001n);
    if (damage === 'lost') await rm(index, { recursive: true });
    if (damage === 'corrupt') await writeFile(join(index, 'data.mdb'), Buffer.alloc(1 << 16, 0xa5));
    if (damage === 'stale') {
      await rm(index, { recursive: true });
      await mkdir(index);
      await copyFile(join(warehouse.root, 'old.mdb'), join(index, 'data.mdb'));
    }
    await change(4, 2n, 4n, 10_001n, 10_002n);
    const rows = new Map((await warehouse.read(name)).map((row) => [row[0], row]));
    expect(BigInt(rows.size)).toBe((await planScan((await warehouse.catalog.locate(name)) ?? '')).rows);
    expect(rows.get(2n)).toEqual([2n, 'Changed 4', 'plot 2']);
    expect(rows.get(3n)).toEqual([3n, 'Changed 3', 'plot 3']);
    expect(rows.get(10_001n)).toEqual([10_001n, 'Changed 4', 'new']);
    expect(rows.has(10_101n)).toBe(false);
    expect([101n, 102n, 103n, 104n].some((id) => rows.has(id))).toBe(false);
  });
});

describe('schema changes', () => {
  test('that the rows cannot follow are refused naming the column, and a new snapshot takes them', async () => {
    await using warehouse = await createWarehouse();
    await landed(warehouse, films(3));
    const changed = schemaOf({ id: 'long', title: 'int', plot: 'string' }, ['id']);
    const sink = openSink(warehouse);
    await expect(sink.write(changesOf(changed, [{ op: 'u', after: [1n, 5, 'x'] }]), signal)).rejects.toMatchObject({
      code: 'schema_incompatible',
      details: { column: 'title' },
    });
    await sink.close();
    expect((await warehouse.read(name)).length).toBe(3);
    const again = openSink(warehouse);
    await snapshot(again, changed, [[1n, 5, 'x']]);
    await again.commit(position(4), signal);
    await again.close();
    expect(await warehouse.read(name)).toEqual([[1n, 5, 'x']]);
    const columns = await warehouse.state.dataColumn.findMany({
      where: { tableName: name },
      orderBy: { ordinal: 'asc' },
    });
    expect(columns.map(({ path, type, fieldId, isKey }) => [path, type, fieldId, isKey])).toEqual([
      ['id', 'long', 1, true],
      ['title', 'int', 4, false],
      ['plot', 'string', 3, false],
    ]);
  });

  test('leave readers of older snapshots their columns', async () => {
    await using warehouse = await createWarehouse();
    await landed(warehouse, films(2));
    const old = currentSnapshot((await warehouse.catalog.load(name))?.metadata ?? never())?.['snapshot-id'] ?? 0n;
    const changed = schemaOf({ year: 'int', id: 'long', plot: 'string' }, ['id']);
    const sink = openSink(warehouse);
    await sink.write(changesOf(changed, [{ op: 'u', after: [1999, 1n, unknown] }]), signal);
    await sink.commit(position(2), signal);
    await sink.close();
    expect(sorted(await warehouse.read(name))).toEqual(
      sorted([
        [null, 0n, 'plot 0'],
        [1999, 1n, 'plot 1'],
      ]),
    );
    expect(sorted(await warehouse.read(name, { snapshotId: old }))).toEqual(sorted(films(2)));
    await expect(warehouse.read(name, { timeMs: 0 })).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('torn files', () => {
  test('are told as such, naming the file', async () => {
    await using warehouse = await createWarehouse();
    await landed(warehouse, films(2));
    const entry = await warehouse.catalog.load(name);
    const location = entry?.metadataLocation ?? '';
    // Under another name, since what was written here is known without being read again.
    const torn = async (edit: (text: string) => string) => {
      const path = filePath(location).replace('.metadata.json', `-${Math.random()}.metadata.json`);
      await writeFile(path, edit(await readFile(filePath(location), 'utf8')));
      return await planScan(`file://${path}`).then(
        () => null,
        (thrown) => thrown,
      );
    };
    expect(await torn((text) => text.slice(0, -20))).toMatchObject({ code: 'table_corrupt' });
    expect(await torn((text) => text.replace('"format-version":2', '"format-version":3'))).toMatchObject({
      code: 'table_corrupt',
      message: expect.stringContaining('format version 3'),
    });
    expect(await torn((text) => text.replace('"current-schema-id":0,', ''))).toMatchObject({ code: 'table_corrupt' });
    const list = currentSnapshot(entry?.metadata ?? never())?.['manifest-list'] ?? '';
    const copy = `${filePath(list)}.copy`;
    await copyFile(filePath(list), copy);
    await truncate(copy, 200);
    expect(await torn((text) => text.replace(list, `file://${copy}`))).toMatchObject({
      code: 'table_corrupt',
      message: expect.stringContaining(copy),
    });
    expect(await torn((text) => text.replace(list, 'file:///nowhere.avro'))).toMatchObject({ code: 'table_corrupt' });
  });
});

function losingAnswer(state: State, isApplied: boolean): State {
  let isLost = false;
  return new Proxy(state, {
    get(target, property) {
      if (property !== '$transaction') return Reflect.get(target, property);
      return async (work: never, options: never) => {
        if (isLost) return await target.$transaction(work, options);
        isLost = true;
        if (isApplied) await target.$transaction(work, options);
        throw new Error('Connection terminated unexpectedly');
      };
    },
  });
}

function never(): never {
  throw new Error('not there');
}
