import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateMultipartUploadCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compactTable } from '#catalog/iceberg/maintenance/compact-table.ts';
import { MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import { removeOrphans } from '#catalog/iceberg/maintenance/remove-orphans.ts';
import { currentSnapshot } from '#catalog/iceberg/metadata/table-metadata.ts';
import { openS3 } from '#catalog/iceberg/storage/open-storage.ts';
import { readS3Settings } from '#catalog/iceberg/storage/s3-settings.ts';
import { listFiles, readBytes, removeUnfinished, writeBytes } from '#catalog/iceberg/storage.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import type { Sink } from '#ingest/sink.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type S3Server, startVersitygw } from '#test/fixtures/s3.ts';
import { type Change, changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';

const movie = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);
const cacheBytes = 200_000;

describeWith('versitygw', 'tables in S3', (program) => {
  let server: S3Server;
  let cacheFolder: string;
  let storage: { close(): void };
  let warehouse: TestWarehouse;

  beforeAll(async () => {
    server = await startVersitygw(program);
    cacheFolder = await mkdtemp(join(tmpdir(), 'dailies-cache-'));
    // Far smaller than the tables: what is read comes and goes.
    storage = await openS3({ settings: readS3Settings(server.env), cacheFolder, cacheBytes });
    warehouse = await createWarehouse(`s3://${server.bucket}/warehouse`);
  });
  afterAll(async () => {
    await warehouse?.[Symbol.asyncDispose]();
    storage?.close();
    await server?.[Symbol.asyncDispose]();
    await rm(cacheFolder, { recursive: true, force: true });
  });

  async function keptBytes(): Promise<number> {
    const folder = join(cacheFolder, 'objects');
    const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  test.each([
    { formatVersion: 2, partition: [] },
    { formatVersion: 2, partition: ['bucket(4, id)'] },
    { formatVersion: 3, partition: ['truncate(1, title)'] },
  ] as const)('follow changes, lose their index and are compacted: %o', async ({ formatVersion, partition }) => {
    const table = `movie_${formatVersion}_${partition.length}`;
    const source = `production.public.${table}`;
    const name = `production.${table}`;
    const model = new Map<bigint, Row>();
    const tables = new MaintainedTables();
    const open = (): Sink =>
      openSink(warehouse, { sourceTables: [source], formatVersion, partition, maintained: tables });
    let offset = 1;
    const commit = async (sink: Sink, changes: readonly Change[]) => {
      for (const { op, before, after } of changes) {
        if (op === 'd') model.delete((before as Row)[0] as bigint);
        else model.set((after as Row)[0] as bigint, after as Row);
      }
      await sink.write(changesOf(movie, changes, source), signal);
      await sink.commit(position(++offset), signal);
    };
    const film = (id: number, title: string): Row => [BigInt(id), title, `plot ${id} `.repeat(20)];
    const check = async () => {
      expect(sorted(await warehouse.read(name))).toEqual(sorted([...model.values()]));
      expect(await keptBytes()).toBeLessThanOrEqual(cacheBytes);
    };

    let sink = open();
    await snapshot(sink, movie, [], source);
    await sink.commit(position(1), signal);
    await commit(
      sink,
      Array.from({ length: 3_000 }, (_, id) => ({ op: 'c', after: film(id, `Film ${id}`) })),
    );
    const before = currentSnapshot((await warehouse.catalog.load(name))?.metadata ?? fail())?.['snapshot-id'] ?? 0n;
    const wasRows = [...model.values()];
    for (let round = 0; round < 6; round++) {
      await commit(sink, [
        { op: 'u', after: film(round * 7, `Again ${round}`) },
        { op: 'd', before: film(round * 11 + 1, `Film ${round * 11 + 1}`) },
        { op: 'c', after: film(5_000 + round, `New ${round}`) },
      ]);
    }
    await check();
    await sink.close();

    await rm(warehouse.indexDir, { recursive: true });
    await setProperties(name, { 'dailies.compaction.min-files': '2' });
    sink = open();
    expect(await sink.writtenUpTo(source, signal)).toEqual(position(offset));
    await commit(sink, [{ op: 'u', after: film(5_001, 'Found again') }]);
    await check();

    const files = () => warehouse.catalog.load(name).then((entry) => entry?.metadata.snapshots.at(-1)?.summary);
    const many = Number((await files())?.['total-data-files']);
    let rounds = 0;
    while (await tables.use(name, (maintained) => compactTable(maintained, signal, { waits: true }))) rounds += 1;
    expect(rounds).toBeGreaterThan(0);
    expect(Number((await files())?.['total-data-files'])).toBeLessThan(many);
    await check();
    await commit(sink, [{ op: 'd', before: film(5_002, 'New 2') }]);
    await check();
    await sink.close();
    expect(sorted(await warehouse.read(name, { snapshotId: before }))).toEqual(sorted(wasRows));
  });

  test('lose what nothing refers to, and nothing else', async () => {
    const { catalog, state } = warehouse;
    const name = 'production.movie_2_0';
    const { metadata } = (await catalog.load(name)) ?? fail();
    const rows = sorted(await warehouse.read(name));
    const orphan = `${metadata.location}/data/orphan.parquet`;
    await writeBytes(orphan, 'left by a crash');
    await beginUpload(`${metadata.location}/data/half.parquet`);
    await writeFile(join(server.folder, 'of-somebody-else'), 'x');
    const count = async () => {
      let files = 0;
      for await (const _ of listFiles(metadata.location)) files += 1;
      return files;
    };
    const all = await count();
    // Beyond the age from which a file is none of a commit under way.
    const later = () => new Date(Date.now() + 4 * 86_400_000);
    const removed = await removeOrphans({ catalog, state, now: later }, name, new Set(), signal);
    expect(removed.removed).toBeGreaterThan(0);
    expect(await count()).toBe(all - removed.removed);
    await expect(readBytes(orphan)).rejects.toMatchObject({ code: 'not_found' });
    expect(await removeUnfinished(metadata.location, later().getTime())).toBe(0);
    expect(sorted(await warehouse.read(name))).toEqual(rows);
    expect(await stat(join(server.folder, 'of-somebody-else'))).toBeTruthy();
  });

  async function setProperties(name: string, updates: Record<string, string>): Promise<void> {
    const base = await warehouse.catalog.load(name);
    await warehouse.catalog.commit([
      { name, base, requirements: [], updates: [{ action: 'set-properties', updates }] },
    ]);
  }

  async function beginUpload(location: string): Promise<void> {
    const client = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true });
    const Key = location.slice(`s3://${server.bucket}/`.length);
    await client.send(new CreateMultipartUploadCommand({ Bucket: server.bucket, Key }));
    client.destroy();
  }
});

function fail(): never {
  throw new Error('There is no such table.');
}
