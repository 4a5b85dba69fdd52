import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { schemaOf as icebergOf } from '#catalog/iceberg/metadata/table-metadata.ts';
import { readLiveFiles } from '#catalog/iceberg/read/live-files.ts';
import { bringUp, type IndexedTable } from '#catalog/iceberg/write/index-rebuild.ts';
import { KeyIndex } from '#catalog/iceberg/write/key-index.ts';
import { scanKeys } from '#catalog/iceberg/write/key-scan.ts';
import { WorkingFiles } from '#catalog/iceberg/write/working-files.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import { changesOf, openSink, position, signal } from '#test/ingest/sinks/sink-driver.ts';
import { snapshotFile } from '#test/ingest/sinks/snapshot-file.ts';
import { createWarehouse, schemaOf, type TestWarehouse } from '../warehouse.ts';

const table = 'production.public.movie';
const name = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string' }, ['id']);
const encode = keyEncoder(movie);
const keyOf = (id: number) => encode([BigInt(id)]).toString('latin1');
const filmsFrom = (first: number): Row[] =>
  Array.from({ length: 500 }, (_, at) => [BigInt(first + at), `Film ${first + at}`]);

/** A table of two chunks of 500 films, each committed by itself, and a third commit by `then`. */
async function tableOfChunks(warehouse: TestWarehouse, then: 'nothing' | 'deletes' | 'updates') {
  const sink = openSink(warehouse);
  const states: string[] = [];
  const commit = async () => {
    await sink.commit(position(states.length + 1), signal);
    states.push((await warehouse.catalog.locate(name, 'all')) ?? '');
  };
  await sink.beginChunks(table, movie, 1, signal);
  for (const first of [0, 500]) {
    const rows = filmsFrom(first);
    const parquet = await snapshotFile(movie, rows);
    expect(await sink.writeFile?.({ table, schema: movie, rows: rows.length, parquet }, signal)).toBe(true);
    await commit();
  }
  if (then === 'deletes') await sink.write(changesOf(movie, [{ op: 'd', before: [700n, null] }]), signal);
  if (then === 'updates') await sink.write(changesOf(movie, [{ op: 'u', after: [700n, 'changed'] }]), signal);
  if (then !== 'nothing') await commit();
  await sink.close();
  return states;
}

/** Puts an index beside a state of the table; `use` is given both, and a function that opens the index anew. */
async function withIndex(
  warehouse: TestWarehouse,
  use: (at: (back: number) => Promise<IndexedTable>, reopen: () => Promise<KeyIndex>) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'index-rebuild-'));
  const connection = await connectDuckdb();
  let index: KeyIndex | null = null;
  const at = async (back: number): Promise<IndexedTable> => {
    const entry = await warehouse.catalog.load(name, 'all');
    if (!entry) throw new Error('no table');
    const snapshots = entry.metadata.snapshots.toSorted((a, b) => Number(a['sequence-number'] - b['sequence-number']));
    const snapshot = snapshots.at(-1 - back);
    if (!snapshot) throw new Error('no such snapshot');
    const metadata = { ...entry.metadata, 'current-snapshot-id': snapshot['snapshot-id'] };
    const files = new WorkingFiles(connection, (await readLiveFiles(snapshot)).files);
    return { schema: movie, iceberg: icebergOf(metadata).fields, files, metadata };
  };
  try {
    await use(at, async () => {
      await index?.close();
      index = KeyIndex.open(folder);
      return index;
    });
  } finally {
    await (index as KeyIndex | null)?.close();
    connection.closeSync();
    await rm(folder, { recursive: true });
  }
}

/** What the index tells is where the rows are, and of nothing else. */
async function expectTrue(index: KeyIndex, state: IndexedTable): Promise<void> {
  const places = new Map<string, { location: string; position: number }>();
  for (const file of state.files.all()) {
    await scanKeys(state, false, file, (keys) => {
      for (const { key, position } of keys)
        places.set(key.toString('latin1'), { location: file.file.location, position });
    });
  }
  for (let id = 0; id < 1_000; id++) expect(index.find(keyOf(id))).toEqual(places.get(keyOf(id)) ?? null);
  expect(index.stand?.ahead).toEqual([]);
}

/** A crash after some rows of the second chunk were stored, and before the stand told of it. */
async function crashedWithin(index: KeyIndex, first: IndexedTable, second: IndexedTable): Promise<void> {
  await bringUp(index, first);
  const known = new Set(first.files.all().map(({ file }) => file.location));
  const added = second.files.all().flatMap((file) => (known.has(file.file.location) ? [] : [file]));
  await index.markAhead(added.map(({ file }) => file.location));
  for (const file of added) {
    await scanKeys(second, false, file, (keys) => index.putRows(file.file.location, keys.slice(0, 300), false));
  }
}

test('an index that died ahead of its table goes on with the files that were added', async () => {
  await using warehouse = await createWarehouse();
  await tableOfChunks(warehouse, 'nothing');
  await withIndex(warehouse, async (at, reopen) => {
    await crashedWithin(await reopen(), await at(1), await at(0));
    const index = await reopen();
    expect(index.stand?.ahead).toHaveLength(1);
    await bringUp(index, await at(0));
    await expectTrue(index, await at(0));
  });
});

test('entries ahead of their table are not taken for it where it has stayed behind', async () => {
  await using warehouse = await createWarehouse();
  await tableOfChunks(warehouse, 'nothing');
  await withIndex(warehouse, async (at, reopen) => {
    await crashedWithin(await reopen(), await at(1), await at(0));
    const index = await reopen();
    await bringUp(index, await at(1));
    await expectTrue(index, await at(1));
  });
});

test.each(['deletes', 'updates'] as const)(
  'entries ahead of a file that %s have touched since are made anew',
  async (then) => {
    await using warehouse = await createWarehouse();
    await tableOfChunks(warehouse, then);
    await withIndex(warehouse, async (at, reopen) => {
      await crashedWithin(await reopen(), await at(2), await at(1));
      const index = await reopen();
      await bringUp(index, await at(0));
      await expectTrue(index, await at(0));
    });
  },
);

test('bringing up ends at once where it is no longer wanted, and is made good for later', async () => {
  await using warehouse = await createWarehouse();
  await tableOfChunks(warehouse, 'nothing');
  await withIndex(warehouse, async (at, reopen) => {
    const index = await reopen();
    await bringUp(index, await at(1));
    await expect(bringUp(index, await at(0), AbortSignal.abort(new Error('not wanted')))).rejects.toThrow('not wanted');
    await bringUp(index, await at(0));
    await expectTrue(index, await at(0));
  });
});
