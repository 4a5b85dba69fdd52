import { expect, test } from 'vitest';
import { readManifest } from '#catalog/iceberg/manifest.ts';
import { readManifestList } from '#catalog/iceberg/manifest-list.ts';
import { currentSnapshot, type TableMetadata } from '#catalog/iceberg/table-metadata.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { readWithPyIceberg } from './pyiceberg.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from './warehouse.ts';

const name = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string' }, ['id']);

function films(count: number, title = 'Film'): Row[] {
  return Array.from({ length: count }, (_, id): Row => [BigInt(id), `${title} ${id}`]);
}

async function metadataOf(warehouse: TestWarehouse): Promise<TableMetadata> {
  const entry = await warehouse.catalog.load(name);
  if (!entry) throw new Error(`no table ${name}`);
  return entry.metadata;
}

/** All live entries of the table's current snapshot, data and deletes. */
async function liveEntries(warehouse: TestWarehouse) {
  const snapshot = currentSnapshot(await metadataOf(warehouse));
  const manifests = await readManifestList(snapshot?.['manifest-list'] ?? '');
  const entries = await Promise.all(manifests.map((manifest) => readManifest(manifest)));
  return entries.flat().filter((entry) => entry.status !== 'deleted');
}

test('a table of format 3 marks deleted rows by one deletion vector for each data file, replaced when touched', async () => {
  await using warehouse = await createWarehouse();
  const sink = openSink(warehouse, { formatVersion: 3 });
  await snapshot(sink, movie, films(100));
  await sink.commit(position(1), signal);
  for (const id of [3n, 4n, 90n]) {
    await sink.write(changesOf(movie, [{ op: 'd', before: [id, null] }]), signal);
    await sink.commit(position(Number(id)), signal);
  }
  const [commit] = await (async () => {
    await sink.write(changesOf(movie, [{ op: 'u', after: [7n, 'Changed'] }]), signal);
    return await sink.commit(position(100), signal);
  })();
  expect(commit?.rows).toBe(97n);
  await sink.close();
  const metadata = await metadataOf(warehouse);
  expect(metadata['format-version']).toBe(3);
  const deletes = (await liveEntries(warehouse)).filter((entry) => entry.file.content !== 'data');
  expect(deletes.map(({ file }) => [file.format, file.recordCount])).toEqual([['puffin', 4]]);
  expect(currentSnapshot(metadata)?.summary).toMatchObject({ 'added-dvs': '1', 'removed-dvs': '1' });
  const expected = films(100).filter(([id]) => ![3n, 4n, 7n, 90n].includes(id as bigint));
  expect(sorted(await warehouse.read(name))).toEqual(sorted([...expected, [7n, 'Changed']]));
});

test('rows of format 3 have ids of their own, in order, none twice', async () => {
  await using warehouse = await createWarehouse();
  const sink = openSink(warehouse, { formatVersion: 3 });
  await snapshot(sink, movie, films(10));
  await sink.commit(position(1), signal);
  for (let batch = 0; batch < 5; batch++) {
    await sink.write(changesOf(movie, [{ op: 'u', after: [BigInt(batch), 'Changed'] }]), signal);
    await sink.commit(position(batch + 2), signal);
  }
  await sink.close();
  const metadata = await metadataOf(warehouse);
  const given = metadata.snapshots.map((each) => [each['first-row-id'], each['added-rows']]);
  let next = 0n;
  for (const [first, added] of given) {
    expect(first).toBe(next);
    next += added ?? 0n;
  }
  expect(metadata['next-row-id']).toBe(next);
  const data = (await liveEntries(warehouse)).filter((entry) => entry.file.content === 'data');
  const ranges = data.map(({ file }) => [Number(file.firstRowId), Number(file.firstRowId) + file.recordCount]);
  ranges.sort(([a = 0], [b = 0]) => a - b);
  for (const [index, [start = -1]] of ranges.entries())
    expect(start).toBeGreaterThanOrEqual(ranges[index - 1]?.[1] ?? 0);
});

test('a table that comes to format 3 keeps its rows, gives them ids, and leaves its old deletes until they are touched', async () => {
  await using warehouse = await createWarehouse();
  let sink = openSink(warehouse, { formatVersion: 2 });
  await snapshot(sink, movie, films(50));
  await sink.commit(position(1), signal);
  await sink.write(changesOf(movie, [{ op: 'd', before: [1n, null] }]), signal);
  await sink.commit(position(2), signal);
  await sink.close();
  expect((await liveEntries(warehouse)).map(({ file }) => file.format)).toEqual(['parquet', 'parquet']);
  sink = openSink(warehouse, { formatVersion: 3 });
  await sink.write(changesOf(movie, [{ op: 'c', after: [100n, 'New'] }]), signal);
  await sink.commit(position(3), signal);
  const upgraded = await liveEntries(warehouse);
  expect(upgraded.every(({ file }) => file.content !== 'data' || file.firstRowId !== null)).toBe(true);
  expect(upgraded.some(({ file }) => file.content !== 'data' && file.format === 'parquet')).toBe(true);
  await sink.write(changesOf(movie, [{ op: 'd', before: [2n, null] }]), signal);
  await sink.commit(position(4), signal);
  await sink.close();
  const deletes = (await liveEntries(warehouse)).filter(({ file }) => file.content !== 'data');
  expect(deletes.map(({ file }) => [file.format, file.recordCount])).toEqual([['puffin', 2]]);
  const expected = films(50).filter(([id]) => id !== 1n && id !== 2n);
  expect(sorted(await warehouse.read(name))).toEqual(sorted([...expected, [100n, 'New']]));
  const lower = openSink(warehouse, { formatVersion: 2 });
  const change = lower.write(changesOf(movie, [{ op: 'd', before: [5n, null] }]), signal);
  await expect(change.then(() => lower.commit(position(5), signal))).rejects.toMatchObject({
    code: 'definition_invalid',
    message: expect.stringContaining('production.movie has format version 3'),
  });
  await lower.close();
});

describeWith('pyiceberg', 'PyIceberg', () => {
  test('reads a table of format 3 after updates, deletes and compaction', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse, { formatVersion: 3 });
    await snapshot(sink, movie, films(200));
    await sink.commit(position(1), signal);
    const model = new Map(films(200).map((row) => [row[0], row]));
    for (let batch = 0; batch < 40; batch++) {
      const changed: Row = [BigInt(batch * 3), `Changed ${batch}`];
      model.set(changed[0], changed);
      model.delete(BigInt(batch * 3 + 1));
      await sink.write(
        changesOf(movie, [
          { op: 'u', after: changed },
          { op: 'd', before: [BigInt(batch * 3 + 1), null] },
        ]),
        signal,
      );
      await sink.commit(position(batch + 2), signal);
    }
    await sink.close();
    const read = await readWithPyIceberg(warehouse.catalog, name);
    const expected = [...model.values()].map((row) => row.map(String));
    expect(read.rows.map((row) => row.map(String)).sort()).toEqual(expected.sort());
  });
});
