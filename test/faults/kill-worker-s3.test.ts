import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openS3 } from '#catalog/iceberg/storage/open-storage.ts';
import { readS3Settings } from '#catalog/iceberg/storage/s3-settings.ts';
import { Random } from '#ingest/demo/random.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type S3Server, startVersitygw } from '#test/fixtures/s3.ts';
import { type Fault, type S3Proxy, startS3Proxy } from '#test/fixtures/s3-proxy.ts';
import { allEqual, type Death, surviveDeaths } from './deaths.ts';
import { Load, studioPipelines, studioTables } from './load.ts';
import { WorkerSetup } from './worker-setup.ts';

/** Every place of the worker that has to do with the warehouse. */
const deaths: readonly Death[] = [
  'before-data-files:1',
  'after-data-files:1',
  'after-table-commit:1',
  'after-index-update:1',
  'after-data-files:3',
  'after-table-commit:3',
  'before-ack:1',
];
const faults: readonly Fault[] = ['slow-down', 'internal-error', 'down', 'cut-request', 'cut-answer'];

describeWith('versitygw', 'a warehouse in S3', (program) => {
  let server: S3Server;
  let proxy: S3Proxy;
  let cacheFolder: string;
  let storage: { close(): void };
  let setup: WorkerSetup;
  let load: Load;

  beforeAll(async () => {
    server = await startVersitygw(program);
    proxy = await startS3Proxy(server.endpoint);
    cacheFolder = await mkdtemp(join(tmpdir(), 'dailies-cache-'));
    storage = await openS3({ settings: readS3Settings(server.env), cacheFolder, cacheBytes: 50e6 });
    setup = await WorkerSetup.open({
      ...server.env,
      AWS_ENDPOINT_URL: proxy.endpoint,
      DAILIES_WAREHOUSE: `s3://${server.bucket}/warehouse`,
      DAILIES_COMMIT_SECONDS: '0.2',
      DAILIES_CACHE_SIZE: '5MB',
    });
    await setup.source.query(studioTables);
    load = await Load.open(setup.source.url);
    await setup.define(['public.*'], studioPipelines);
  });
  afterEach(() => setup.end('SIGKILL'));
  afterAll(async () => {
    await load?.close();
    await setup?.[Symbol.asyncDispose]();
    storage?.close();
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await rm(cacheFolder, { recursive: true, force: true });
  });

  test('loses and doubles nothing when the worker is killed around its commits', async () => {
    await surviveDeaths(setup, load, deaths);
  }, 1_800_000);

  test('that cannot be reached for a while is told of, and goes on by itself', async () => {
    setup.start();
    await setup.hasStarted();
    proxy.choose = () => 'down';
    load.start();
    await load.transactions(20);
    await load.pause();
    await vi.waitFor(
      async () => {
        const pipeline = await setup.test.state.pipeline.findUnique({ where: { name: 'all' } });
        expect(pipeline?.lastError).toMatchObject({ code: 'storage_unreachable' });
      },
      { timeout: 240_000, interval: 150 },
    );
    proxy.choose = () => null;
    await allEqual(setup);
    expect(setup.lines.join('')).not.toContain(server.secretAccessKey);
    expect(await setup.end('SIGTERM')).toBe('0');
  }, 1_800_000);

  test('loses and doubles nothing while the storage throttles, fails and breaks connections, nor when killed then', async () => {
    const seed = Number(process.env.DAILIES_SEED ?? Math.floor(Math.random() * 1e9));
    console.info(`DAILIES_SEED=${seed}`);
    const random = new Random(seed);
    proxy.done.length = 0;
    let asked = 0;
    // The first of them in any case: how many requests there are depends on how the commits fall.
    proxy.choose = () => (++asked === 3 || random.chance(0.06) ? random.pick(faults) : null);
    for (const transactions of [40, 60]) {
      setup.start();
      await setup.hasStarted();
      load.start();
      await load.transactions(transactions);
      await load.pause();
      expect(await setup.end('SIGKILL'), setup.lines.slice(-5).join('')).toBe('SIGKILL');
    }
    setup.start();
    await allEqual(setup);
    console.info(`asked ${asked}, faults ${proxy.done.length}`);
    expect(proxy.done.length).toBeGreaterThan(0);
    proxy.choose = () => null;
    expect(await setup.end('SIGTERM')).toBe('0');
  }, 1_800_000);
});
