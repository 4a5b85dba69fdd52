import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  ancestors,
  currentSnapshot,
  snapshotById,
  type TableMetadata,
} from '#catalog/iceberg/metadata/table-metadata.ts';
import type { TableUpdate } from '#catalog/iceberg/metadata/table-updates.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

/* What others do to a pipeline's tables while it is stopped, or between two of its commits. */
const table = 'production.public.movie';
const name = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);
const unknown = UNKNOWN as never;

function films(count: number): Row[] {
  return Array.from({ length: count }, (_, id): Row => [BigInt(id), `Film ${id}`, `plot ${id}`]);
}

async function metadataOf(warehouse: TestWarehouse, of = name): Promise<TableMetadata> {
  const entry = await warehouse.catalog.load(of);
  if (!entry) throw new Error(`no table ${of}`);
  return entry.metadata;
}

/** A commit by somebody else, who keeps no index of ours. */
async function foreignCommit(warehouse: TestWarehouse, change: (writer: TableWriter) => Promise<void>): Promise<void> {
  const deps = { catalog: warehouse.catalog, indexDir: join(warehouse.root, 'foreign'), now: () => new Date() };
  const writer = await TableWriter.open(name, deps);
  await change(writer);
  await commitTables(warehouse.catalog, [writer], {}, async () => {});
  await writer.close();
}

async function update(warehouse: TestWarehouse, ...updates: TableUpdate[]): Promise<void> {
  const base = await warehouse.catalog.load(name);
  await warehouse.catalog.commit([{ name, base, requirements: [], updates }]);
}

const change = (id: number, title: string) => changesOf(movie, [{ op: 'u', after: [BigInt(id), title, unknown] }]);

describe('a rollback by a person', () => {
  test.each([2, 3] as const)(
    'takes rows and position back, and the stream is followed from there (format %i)',
    async (formatVersion) => {
      await using warehouse = await createWarehouse();
      let sink = openSink(warehouse, { formatVersion });
      await snapshot(sink, movie, films(10));
      await sink.commit(position(1), signal);
      const kept = currentSnapshot(await metadataOf(warehouse))?.['snapshot-id'] ?? 0n;
      // Nothing but deletes: the data files stay the same ones, and the index no longer knows these rows.
      await sink.write(
        changesOf(
          movie,
          [3n, 4n].map((id) => ({ op: 'd', before: [id, unknown, unknown] })),
        ),
        signal,
      );
      await sink.commit(position(2), signal);
      await sink.close();
      await update(warehouse, { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': kept });
      sink = openSink(warehouse, { formatVersion });
      expect(await sink.writtenUpTo(table, signal)).toEqual(position(1));
      await sink.write(change(3, 'Back again'), signal);
      await sink.commit(position(2), signal);
      await sink.close();
      const expected = films(10).with(3, [3n, 'Back again', 'plot 3']);
      expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
    },
  );

  test('between two commits of a running pipeline is a conflict, and nothing is lost', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse);
    await snapshot(sink, movie, films(5));
    await sink.commit(position(1), signal);
    const kept = currentSnapshot(await metadataOf(warehouse))?.['snapshot-id'] ?? 0n;
    await sink.write(change(1, 'Second'), signal);
    await sink.commit(position(2), signal);
    await update(warehouse, { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': kept });
    await sink.write(change(2, 'Third'), signal);
    await expect(sink.commit(position(3), signal)).rejects.toMatchObject({ code: 'commit_conflict' });
    await sink.close();
    const again = openSink(warehouse);
    expect(await again.writtenUpTo(table, signal)).toEqual(position(1));
    for (const [id, title] of [[1, 'Second'] as const, [2, 'Third'] as const])
      await again.write(change(id, title), signal);
    await again.commit(position(3), signal);
    await again.close();
    const expected = films(5).with(1, [1n, 'Second', 'plot 1']).with(2, [2n, 'Third', 'plot 2']);
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
  });
});

describe('commits of others', () => {
  test.each([2, 3] as const)('are found by their rows: the index follows them (format %i)', async (formatVersion) => {
    await using warehouse = await createWarehouse();
    let sink = openSink(warehouse, { formatVersion });
    await snapshot(sink, movie, films(10));
    await sink.commit(position(1), signal);
    await sink.close();
    await foreignCommit(warehouse, async (writer) => {
      await writer.remove([1n, unknown, unknown]);
      await writer.upsert([2n, 'Foreign', 'foreign plot'], false);
      await writer.upsert([100n, 'Foreign', 'foreign plot'], true);
    });
    sink = openSink(warehouse, { formatVersion });
    // Our position still stands: theirs has none.
    expect(await sink.writtenUpTo(table, signal)).toEqual(position(1));
    await sink.write(
      changesOf(movie, [
        { op: 'u', after: [2n, 'Ours', unknown] },
        { op: 'u', after: [100n, 'Ours', unknown] },
        { op: 'c', after: [1n, 'Ours', 'ours'] },
      ]),
      signal,
    );
    await sink.commit(position(2), signal);
    await sink.close();
    const expected: Row[] = [
      ...films(10).filter(([id]) => id !== 1n && id !== 2n),
      [1n, 'Ours', 'ours'],
      [2n, 'Ours', 'foreign plot'],
      [100n, 'Ours', 'foreign plot'],
    ];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
  });

  test('to one table of a pipeline hold all of its tables back, and leave no files of the refused commit', async () => {
    await using warehouse = await createWarehouse();
    const other = 'production.public.person';
    const sink = openSink(warehouse, { sourceTables: [table, other] });
    for (const source of [table, other]) await snapshot(sink, movie, films(3), source);
    await sink.commit(position(1), signal);
    const folders = await Promise.all(
      [name, 'production.person'].map(async (of) => `${filePath((await metadataOf(warehouse, of)).location)}/data`),
    );
    await foreignCommit(warehouse, async (writer) => await writer.upsert([50n, 'Foreign', 'x'], true));
    const before = await Promise.all(folders.map((folder) => readdir(folder)));
    for (const source of [table, other]) {
      await sink.write(changesOf(movie, [{ op: 'u', after: [1n, 'Together', 'x'] }], source), signal);
    }
    await expect(sink.commit(position(2), signal)).rejects.toMatchObject({ code: 'commit_conflict' });
    await sink.close();
    expect(await Promise.all(folders.map((folder) => readdir(folder)))).toEqual(before);
    expect(sorted(await warehouse.read('production.person'))).toEqual(sorted(films(3)));
    const again = openSink(warehouse, { sourceTables: [table, other] });
    for (const source of [table, other]) {
      expect(await again.writtenUpTo(source, signal)).toEqual(position(1));
      await again.write(changesOf(movie, [{ op: 'u', after: [1n, 'Together', 'x'] }], source), signal);
    }
    await again.commit(position(2), signal);
    await again.close();
    const [first, second] = await Promise.all([metadataOf(warehouse), metadataOf(warehouse, 'production.person')]);
    const commitId = (metadata: TableMetadata) => currentSnapshot(metadata)?.summary['dailies.commit-id'];
    expect(commitId(first)).toBeTruthy();
    expect(commitId(first)).toBe(commitId(second));
  });

  test('that touch no rows are kept: properties, tags', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse);
    await snapshot(sink, movie, films(3));
    await sink.commit(position(1), signal);
    const tagged = currentSnapshot(await metadataOf(warehouse))?.['snapshot-id'] ?? 0n;
    await update(
      warehouse,
      { action: 'set-properties', updates: { comment: 'of the studio' } },
      { action: 'set-snapshot-ref', 'ref-name': 'premiere', type: 'tag', 'snapshot-id': tagged },
    );
    await sink.write(change(1, 'Changed'), signal);
    await sink.commit(position(2), signal);
    await sink.close();
    const metadata = await metadataOf(warehouse);
    expect(metadata.properties.comment).toBe('of the studio');
    expect(metadata.refs.premiere?.['snapshot-id']).toBe(tagged);
    expect(snapshotById(metadata, tagged)).toBeTruthy();
    expect((await warehouse.read(name))[0]).toBeTruthy();
  });
});

test('every snapshot tells its position, pipeline, commit and which writer made it', async () => {
  await using warehouse = await createWarehouse();
  for (let opened = 1; opened <= 3; opened++) {
    const sink = openSink(warehouse);
    if (opened === 1) await snapshot(sink, movie, films(3));
    else await sink.write(change(1, `Writer ${opened}`), signal);
    await sink.commit(position(opened), signal);
    await sink.close();
  }
  const summaries = [...ancestors(await metadataOf(warehouse))].reverse().map((each) => each.summary);
  expect(summaries.map((summary) => summary['dailies.epoch'])).toEqual(['1', '2', '3']);
  expect(summaries.map((summary) => JSON.parse(summary['dailies.position'] ?? ''))).toEqual([1, 2, 3].map(position));
  expect(new Set(summaries.map((summary) => summary['dailies.commit-id'])).size).toBe(3);
  expect(new Set(summaries.map((summary) => summary['dailies.pipeline']))).toEqual(new Set(['movies']));
});
