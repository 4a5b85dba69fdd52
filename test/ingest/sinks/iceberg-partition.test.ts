import { describe, expect, test } from 'vitest';
import type { DataFile } from '#catalog/iceberg/manifests/manifest.ts';
import { partitionColumns } from '#catalog/iceberg/metadata/partition-spec.ts';
import { currentSnapshot, type TableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import { readLiveFiles } from '#catalog/iceberg/read/live-files.ts';
import { type Row, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { icebergSink } from '#ingest/sinks/iceberg.ts';
import { readWithPyIceberg } from '#test/catalog/iceberg/pyiceberg.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

const table = 'production.public.movie';
const name = 'production.movie';
const unknown = UNKNOWN as never;
const movie = schemaOf(
  {
    id: 'long',
    title: 'string',
    released: 'date',
    territory: 'string',
    deal: { kind: 'struct', fields: [{ name: 'signed', type: { kind: 'timestamptz' }, required: false }] },
  },
  ['id'],
);

function film(id: number, territory: string | null = id % 2 === 0 ? 'US' : 'DE'): Row {
  const released = id % 7 === 0 ? null : 19_000 + id * 10;
  return [BigInt(id), `Film ${id}`, released, territory, [BigInt(id) * 86_400_000_000n]];
}

const films = (count: number) => Array.from({ length: count }, (_, id) => film(id));

async function metadataOf(warehouse: TestWarehouse): Promise<TableMetadata> {
  const entry = await warehouse.catalog.load(name);
  if (!entry) throw new Error(`no table ${name}`);
  return entry.metadata;
}

async function liveFiles(warehouse: TestWarehouse) {
  const snapshot = currentSnapshot(await metadataOf(warehouse));
  return snapshot ? (await readLiveFiles(snapshot)).files : [];
}

function partitions(files: readonly { data: { file: DataFile } }[]): (readonly Value[])[] {
  return files.map(({ data }) => data.file.partition);
}

describe('a partitioned table', () => {
  test('has files of one partition each, and follows changes that move rows between them', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse, { partition: ['territory'] });
    await snapshot(sink, movie, films(20));
    await sink.commit(position(1), signal);
    expect(
      partitions(await liveFiles(warehouse))
        .map(String)
        .sort(),
    ).toEqual(['DE', 'US']);
    const moved: Row = [2n, 'Moved', 19_100, 'FR', unknown];
    await sink.write(
      changesOf(movie, [
        { op: 'u', after: moved },
        { op: 'd', before: [3n, unknown, unknown, unknown, unknown] },
        { op: 'u', after: film(4, null) },
      ]),
      signal,
    );
    await sink.commit(position(2), signal);
    const files = await liveFiles(warehouse);
    expect(partitions(files).map(String).sort()).toEqual(['', 'DE', 'FR', 'US']);
    for (const { data, deletes } of files) {
      for (const entry of deletes) expect(entry.file.partition).toEqual(data.file.partition);
    }
    // Rows are found again where they are now, by an index that knows nothing of partitions.
    await sink.write(changesOf(movie, [{ op: 'u', after: film(2) }]), signal);
    await sink.commit(position(3), signal);
    await sink.close();
    const expected = [...films(20).filter(([id]) => id !== 3n && id !== 4n), film(4, null)];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
  });

  test.each([2, 3] as const)('of format %i takes every transform, of nested columns too', async (formatVersion) => {
    await using warehouse = await createWarehouse();
    const partition = ['month(released)', 'bucket(4, id)', 'truncate(1, territory)', 'day(deal.signed)'];
    const sink = openSink(warehouse, { formatVersion, partition });
    await snapshot(sink, movie, films(12));
    await sink.commit(position(1), signal);
    await sink.write(changesOf(movie, [{ op: 'u', after: film(5, 'US') }]), signal);
    await sink.commit(position(2), signal);
    await sink.close();
    const metadata = await metadataOf(warehouse);
    expect(partitionColumns(metadata).map(({ name }) => name)).toEqual([
      'released_month',
      'id_bucket_4',
      'territory_trunc_1',
      'deal_signed_day',
    ]);
    const files = await liveFiles(warehouse);
    // Film 6 was released on 2022-03-11, the 626th month; its deal was signed on the 6th day.
    expect(partitions(files).filter((tuple) => tuple[3] === 6)).toEqual([[626, expect.any(Number), 'U', 6]]);
    expect(sorted(await warehouse.read(name))).toEqual(sorted(films(12).with(5, film(5, 'US'))));
  });

  test('has one file a commit for each of many partitions, in whatever order rows come', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse, { partition: ['bucket(150, id)'] });
    const rows = films(3000);
    await snapshot(sink, movie, rows);
    await sink.commit(position(1), signal);
    await sink.close();
    const files = await liveFiles(warehouse);
    expect(files.length).toBe(new Set(partitions(files).map(String)).size);
    expect(files.length).toBeGreaterThan(140);
    expect(sorted(await warehouse.read(name))).toEqual(sorted(rows));
  });

  test('follows its definition: older files keep the partition that they were written with', async () => {
    await using warehouse = await createWarehouse();
    const model = new Map(films(20).map((row) => [row[0], row]));
    let offset = 1;
    const change = async (partition: string[], ...ids: number[]) => {
      const sink = openSink(warehouse, { partition });
      if (offset === 1) await snapshot(sink, movie, films(20));
      const rows = ids.map((id) => film(id, `T${offset}`));
      for (const row of rows) model.set(row[0], row);
      const changes = rows.map((after) => ({ op: 'u' as const, after }));
      if (changes.length > 0) await sink.write(changesOf(movie, changes), signal);
      await sink.commit(position(offset++), signal);
      await sink.close();
      expect(sorted(await warehouse.read(name))).toEqual(sorted([...model.values()]));
    };
    await change([]);
    await change(['territory'], 1, 2);
    await change(['territory', 'month(released)'], 2, 3);
    await change(['month(released)'], 3, 4, 1);
    await change(['territory'], 5);
    const metadata = await metadataOf(warehouse);
    // A spec that comes again is the one that there was, and fields keep their ids.
    expect(metadata['partition-specs'].map((spec) => spec.fields.map((field) => field['field-id']))).toEqual([
      [],
      [1000],
      [1000, 1001],
      [1001],
    ]);
    expect(metadata['default-spec-id']).toBe(1);
    const specs = new Set((await liveFiles(warehouse)).map(({ data }) => data.file.specId));
    expect(specs).toEqual(new Set([0, 1, 2, 3]));
  });

  test('is not bound to a column that leaves with its partition', async () => {
    await using warehouse = await createWarehouse();
    let sink = openSink(warehouse, { partition: ['territory'] });
    await snapshot(sink, movie, films(4));
    await sink.commit(position(1), signal);
    await sink.close();
    const without = { ...movie, fields: movie.fields.filter((field) => field.name !== 'territory') };
    const change = changesOf(without, [{ op: 'u', after: [1n, 'Changed', null, null] }]);
    sink = openSink(warehouse, { partition: ['territory'] });
    const refused = sink.write(change, signal).then(() => sink.commit(position(2), signal));
    await expect(refused).rejects.toThrow(/territory/);
    await sink.close();
    sink = openSink(warehouse, { partition: [] });
    await sink.write(change, signal);
    await sink.commit(position(2), signal);
    await sink.close();
    const expected = films(4).map((row) => row.filter((_, index) => index !== 3));
    expected[1] = [1n, 'Changed', null, null];
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
  });
});

describe('a partition that cannot be', () => {
  test.each([
    ['month(relaesed)', /month\(relaesed\) of production\.movie names a column "relaesed".*Did you mean "released"/],
    ['month(title)', /month\(title\) of production\.movie cannot be made: "title" is string.*truncate\(4, title\)/],
    ['deal', /"deal" is struct/],
  ])('%s is refused by name', async (partition, message) => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse, { partition: [partition] });
    await expect(sink.beginSnapshot(table, movie, signal)).rejects.toMatchObject({
      code: 'definition_invalid',
      message: expect.stringMatching(message),
    });
    await sink.close();
  });

  test.each([
    ['mnth(released)', /unknown transform mnth\. Did you mean month/],
    ['bucket(id)', /bucket\(id\)" needs a number and a column, as in bucket\(16, id\)/],
    ['bucket(0, id)', /needs a number/],
    ['month(a, b)', /needs one column/],
    ['id)', /not a column or a transform/],
    ['', /not a column/],
  ])('%s is refused in the definition', (partition, message) => {
    const parsed = icebergSink.config.safeParse({ table: 'production.movie', partition: [partition] });
    expect(parsed.error?.issues[0]?.message).toMatch(message);
  });
});

describeWith('pyiceberg', 'PyIceberg', () => {
  test.each([2, 3] as const)(
    'reads a partitioned table of format %i, also one partition of it',
    async (formatVersion) => {
      await using warehouse = await createWarehouse();
      for (const [offset, partition] of [['territory'], ['territory', 'month(released)', 'bucket(3, id)']].entries()) {
        const sink = openSink(warehouse, { formatVersion, partition });
        if (offset === 0) await snapshot(sink, movie, films(20));
        else await sink.write(changesOf(movie, [{ op: 'u', after: film(3, 'FR') }]), signal);
        await sink.commit(position(offset + 1), signal);
        await sink.close();
      }
      const all = await readWithPyIceberg(warehouse.catalog, name);
      expect(all.rows.map((row) => Number(row[0])).sort((a, b) => a - b)).toEqual(films(20).map((_, id) => id));
      const some = await readWithPyIceberg(warehouse.catalog, name, "territory = 'DE'");
      const germans = films(20).filter((row, id) => row[3] === 'DE' && id !== 3);
      expect(some.rows.map((row) => Number(row[0])).sort((a, b) => a - b)).toEqual(germans.map(([id]) => Number(id)));
    },
  );
});
