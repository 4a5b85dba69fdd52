import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readDeletionVector } from '#catalog/iceberg/files/deletion-vector.ts';
import { type DataFile, plainFile, readManifest } from '#catalog/iceberg/manifests/manifest.ts';
import { readManifestList } from '#catalog/iceberg/manifests/manifest-list.ts';
import { readTableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import { openS3 } from '#catalog/iceberg/storage/open-storage.ts';
import { readS3Settings } from '#catalog/iceberg/storage/s3-settings.ts';
import { readBytes, writeBytes } from '#catalog/iceberg/storage.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { createWarehouse, schemaOf, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type S3Server, startVersitygw } from '#test/fixtures/s3.ts';
import { type S3Proxy, startS3Proxy } from '#test/fixtures/s3-proxy.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { ana } from './query-fixture.ts';

describeWith('versitygw', 'queries of tables in S3', (program) => {
  let server: S3Server;
  let proxy: S3Proxy;
  let cacheFolder: string;
  let storage: { close(): void };
  let warehouse: TestWarehouse;
  let queries: QueryService;
  const sql = 'SELECT id, title FROM production.movie ORDER BY id';

  beforeAll(async () => {
    server = await startVersitygw(program);
    proxy = await startS3Proxy(server.endpoint);
    cacheFolder = await mkdtemp(join(tmpdir(), 'dailies-cache-'));
    storage = await openStorage();
    warehouse = await createWarehouse(`s3://${server.bucket}/warehouse`);
    const movie = schemaOf({ id: 'long', title: 'string' }, ['id']);
    const sink = openSink(warehouse);
    await snapshot(
      sink,
      movie,
      [1n, 2n, 3n].map((id) => [id, `Film ${id}`]),
    );
    await sink.commit(position(1), signal);
    await sink.write(
      changesOf(movie, [
        { op: 'd', before: [2n, null] },
        { op: 'c', after: [4n, 'New'] },
      ]),
      signal,
    );
    await sink.commit(position(2), signal);
    await sink.close();
    const { state, catalog, root } = warehouse;
    queries = new QueryService({ state, catalog, resultsDir: join(root, 'results'), limits: { warm: 1 } });
  });

  afterAll(async () => {
    await queries?.close();
    await warehouse?.[Symbol.asyncDispose]();
    storage?.close();
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await rm(cacheFolder, { recursive: true, force: true });
  });

  async function openStorage(): Promise<{ close(): void }> {
    const settings = { ...readS3Settings({ AWS_ENDPOINT_URL: proxy.endpoint }), attempts: 2, timeoutMs: 60_000 };
    return await openS3({ settings, cacheFolder, cacheBytes: 50e6 });
  }

  async function forget(): Promise<void> {
    storage.close();
    await rm(join(cacheFolder, 'objects'), { recursive: true });
    storage = await openStorage();
    proxy.seen.length = 0;
    proxy.done.length = 0;
  }

  /** To a file that nobody has read yet. */
  async function moveMetadata(): Promise<void> {
    const from = (await warehouse.catalog.locate('production.movie')) ?? '';
    const metadataLocation = `${from.slice(0, from.lastIndexOf('/'))}/${randomUUID()}.metadata.json`;
    await writeBytes(metadataLocation, await readBytes(from));
    await warehouse.state.icebergTable.updateMany({ data: { metadataLocation } });
  }

  const gets = () => proxy.seen.filter(({ method, path }) => method === 'GET' && path.includes('.parquet')).length;

  test('fetch what they read once, right after deletes', async () => {
    await forget();
    for (const fetches of [3, 3]) {
      const { id } = await queries.submit({ sql, origin: 'api' }, ana);
      expect(await queries.wait(id, ana)).toMatchObject({ state: 'succeeded', rowCount: 3 });
      expect(await queries.rows(id, ana, 0, 10)).toEqual([
        ['1', 'Film 1'],
        ['3', 'Film 3'],
        ['4', 'New'],
      ]);
      // Two files of rows, one of deletes.
      expect(gets()).toBe(fetches);
    }
  });

  test.each(['.parquet', '.metadata.json'])('can be cancelled while S3 does not give a %s', async (suffix) => {
    await forget();
    await moveMetadata();
    proxy.choose = ({ path }) => (path.includes(suffix) ? 'lost-answer' : null);
    const { id } = await queries.submit({ sql, origin: 'api' }, ana);
    await expect.poll(() => proxy.done.length, { timeout: 120_000 }).toBeGreaterThan(0);
    const before = performance.now();
    await queries.cancel(id, ana);
    // Far less than the time that S3 is waited for.
    expect(performance.now() - before).toBeLessThan(30_000);
    expect(await queries.get(id, ana)).toMatchObject({ state: 'cancelled' });
    proxy.choose = () => null;
  });

  test('say that S3 cannot be reached', async () => {
    await forget();
    proxy.choose = () => 'down';
    const { id } = await queries.submit({ sql: `${sql} LIMIT 1`, origin: 'api' }, ana);
    expect(await queries.wait(id, ana)).toMatchObject({
      state: 'failed',
      error: { code: 'storage_unreachable', message: expect.stringContaining(proxy.endpoint) },
    });
    proxy.choose = () => null;
  });

  test('take a file that cannot be reached for no damage, and one that is gone for it', async () => {
    const location = `s3://${server.bucket}/warehouse/never.avro`;
    const manifest = { location, specId: 0, sequenceNumber: 1n, snapshotId: 1n, firstRowId: null };
    const none = new Map();
    const statistics = { columnSizes: none, valueCounts: none, nullCounts: none, nanCounts: none };
    const vector: DataFile = {
      ...plainFile,
      ...statistics,
      lowerBounds: none,
      upperBounds: none,
      content: 'position-deletes',
      format: 'puffin',
      location,
      recordCount: 1,
      sizeBytes: 100,
      contentOffset: 4,
      contentSizeBytes: 40,
    };
    const reads = [
      () => readManifest(manifest),
      () => readManifestList(location),
      () => readTableMetadata(location),
      () => readDeletionVector(vector),
    ];
    for (const read of reads) {
      proxy.choose = () => 'down';
      await expect(read()).rejects.toMatchObject({ code: 'storage_unreachable' });
      proxy.choose = () => null;
      await expect(read()).rejects.toMatchObject({ code: 'table_corrupt', message: expect.stringContaining(location) });
    }
  });
});
