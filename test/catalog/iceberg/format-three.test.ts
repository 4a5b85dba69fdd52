import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import {
  encodeDeletionVector,
  readDeletionVector,
  writeDeletionVector,
} from '#catalog/iceberg/files/deletion-vector.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { PositionSet } from '#catalog/iceberg/files/position-set.ts';
import { readParquet } from '#catalog/iceberg/files/read-parquet.ts';
import { readManifest } from '#catalog/iceberg/manifests/manifest.ts';
import { readManifestList } from '#catalog/iceberg/manifests/manifest-list.ts';
import { lineageColumns, withLineage } from '#catalog/iceberg/metadata/row-lineage.ts';
import { fieldIds } from '#catalog/iceberg/metadata/schema-conversion.ts';
import { createIcebergSchema } from '#catalog/iceberg/metadata/schema-evolution.ts';
import { currentSnapshot, type TableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import { readLiveFiles } from '#catalog/iceberg/read/live-files.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { localPath } from '#catalog/iceberg/storage.ts';
import { commitPrepared, commitTables } from '#catalog/iceberg/write/commit.ts';
import { rewriteFiles } from '#catalog/iceberg/write/rewrite-files.ts';
import { buildSnapshot } from '#catalog/iceberg/write/snapshot-builder.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { readWithPyIceberg } from './pyiceberg.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from './warehouse.ts';

const name = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string' }, ['id']);

const icebergMovie = createIcebergSchema(movie).schema;

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

test('rows keep their ids and the numbers of their last changes when their files are rewritten', async () => {
  await using warehouse = await createWarehouse();
  const sink = openSink(warehouse, { formatVersion: 3 });
  await snapshot(sink, movie, films(60));
  await sink.commit(position(1), signal);
  for (let batch = 0; batch < 30; batch++) {
    await sink.write(changesOf(movie, [{ op: 'u', after: [BigInt(batch), `Changed ${batch}`] }]), signal);
    await sink.commit(position(batch + 2), signal);
  }
  await sink.close();
  const before = await lineageOf(warehouse);
  expect(new Set([...before.values()].map(([id]) => id)).size).toBe(60);
  const deps = { catalog: warehouse.catalog, indexDir: warehouse.indexDir, now: () => new Date() };
  const connection = await connectDuckdb();
  for (let round = 0; round < 2; round++) {
    const writer = await TableWriter.open(name, deps);
    await writer.upsert([5n, `Again ${round}`], false);
    await commitTables(warehouse.catalog, [writer], {}, async () => {});
    const plan = await writer.rewrites.plan();
    if (!plan) throw new Error('nothing is worth rewriting');
    const prepared = await writer.prepareRewritten(await rewriteFiles(connection, plan));
    if (!prepared) throw new Error('the rewrite does not fit any more');
    await commitPrepared(warehouse.catalog, [{ writer, prepared }], async () => {});
    // What was rewritten once is rewritten again, with what others added meanwhile.
    for (let batch = 0; batch < 30; batch++) {
      await writer.upsert([1000n + BigInt(round * 100 + batch), 'New'], true);
      await commitTables(warehouse.catalog, [writer], {}, async () => {});
    }
    await writer.close();
  }
  connection.closeSync();
  const after = await lineageOf(warehouse);
  for (const [id, lineage] of before) if (id !== 5n) expect(after.get(id), String(id)).toEqual(lineage);
  expect(after.get(5n)?.[0]).not.toBe(before.get(5n)?.[0]);
  expect(new Set([...after.values()].map(([id]) => id)).size).toBe(after.size);
});

test('a deletion vector that shares its file with others is replaced alone', async () => {
  await using warehouse = await createWarehouse();
  const options = { formatVersion: 3 as const, partition: ['truncate(1, title)'] };
  const sink = openSink(warehouse, options);
  await snapshot(sink, movie, [
    ...films(10, 'A'),
    ...films(10, 'B').map((row) => row.with(0, (row[0] as bigint) + 10n)),
  ]);
  await sink.commit(position(1), signal);
  await sink.close();
  // As Spark writes them: one Puffin file with the vectors of several data files.
  const entry = await warehouse.catalog.load(name);
  const current = entry && currentSnapshot(entry.metadata);
  if (!entry || !current) throw new Error('no table');
  const { manifests, files } = await readLiveFiles(current);
  const location = `${entry.metadata.location}/data/of-spark.puffin`;
  const vectors = files.map(() => new PositionSet());
  for (const vector of vectors) vector.add(3);
  const blobs = vectors.map(encodeDeletionVector);
  await writeFile(filePath(location), Buffer.concat([Buffer.from('PFA1'), ...blobs]));
  const added = await Promise.all(
    files.map(async ({ data }, index) => ({
      ...(await writeDeletionVector(data.file, vectors[index] ?? new PositionSet(), `${location}.${index}`)),
      location,
      contentOffset: 4 + (index > 0 ? (blobs[0]?.length ?? 0) : 0),
    })),
  );
  const base = { name, uuid: entry.metadata['table-uuid'], location: entry.metadata.location, entry, manifests };
  const change = { updates: [], metadata: entry.metadata };
  const foreign = { added, removed: new Set<string>(), operation: 'delete' as const, summary: {} };
  const { requirements, updates } = await buildSnapshot(base, change, foreign, Date.now());
  await warehouse.catalog.commit([{ name, base: entry, requirements, updates }]);
  const model = (await warehouse.read(name)).filter(([id]) => id !== 5n);
  expect(model.length).toBe(17);
  const ours = openSink(warehouse, options);
  await ours.write(changesOf(movie, [{ op: 'd', before: [5n, null] }]), signal);
  await ours.commit(position(2), signal);
  await ours.close();
  expect(sorted(await warehouse.read(name))).toEqual(sorted(model));
});

/** By key: the row's id and the sequence number of its last change, as the specification has readers find them. */
async function lineageOf(warehouse: TestWarehouse): Promise<Map<unknown, [unknown, unknown]>> {
  const connection = await connectDuckdb();
  const current = currentSnapshot(await metadataOf(warehouse));
  const rows = new Map<unknown, [unknown, unknown]>();
  if (!current) return rows;
  const layout = withLineage({ schema: movie, iceberg: icebergMovie });
  for (const { data, deletes } of (await readLiveFiles(current)).files) {
    const vector = deletes[0] ? await readDeletionVector(deletes[0].file) : null;
    const ids = fieldIds(layout.iceberg);
    const source = readParquet([localPath(data.file.location)], layout.schema, ids, ['file_row_number = true']);
    const columns = lineageColumns(data).join(', ');
    const reader = await connection.runAndReadAll(`SELECT id, ${columns}, file_row_number FROM ${source}`);
    for (const [id, rowId, sequence, position] of reader.getRows()) {
      if (!vector?.has(Number(position))) rows.set(id, [rowId, sequence]);
    }
  }
  connection.closeSync();
  return rows;
}

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
