import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3Objects } from '#catalog/iceberg/storage/s3-objects.ts';
import { readS3Settings, type S3Settings } from '#catalog/iceberg/storage/s3-settings.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type S3Server, startVersitygw } from '#test/fixtures/s3.ts';
import { type Fault, type ProxiedRequest, type S3Proxy, startS3Proxy } from '#test/fixtures/s3-proxy.ts';

describeWith('versitygw', 'objects of S3', (program) => {
  let server: S3Server;
  let proxy: S3Proxy;
  let folder: string;
  let objects: S3Objects;
  /** Gives up soon what is not answered; everything else may take as long as the machine needs. */
  let hasty: S3Objects;
  let base: string;
  const settings = (endpoint: string): S3Settings => ({
    ...readS3Settings({ AWS_ENDPOINT_URL: endpoint }),
    attempts: 5,
    timeoutMs: 120_000,
  });

  beforeAll(async () => {
    server = await startVersitygw(program);
    proxy = await startS3Proxy(server.endpoint);
    folder = await mkdtemp(join(tmpdir(), 's3-objects-'));
    objects = new S3Objects(settings(proxy.endpoint));
    hasty = new S3Objects({ ...settings(proxy.endpoint), attempts: 3, timeoutMs: 3_000 });
    base = `s3://${server.bucket}/warehouse`;
  });

  afterAll(async () => {
    objects?.close();
    hasty?.close();
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** Does `fault` to the first `count` requests that match, and lets all others pass. */
  function faults(fault: Fault, count: number, matches: (request: ProxiedRequest) => boolean): void {
    proxy.done.length = 0;
    proxy.seen.length = 0;
    proxy.choose = (request) => (proxy.done.length < count && matches(request) ? fault : null);
  }

  const isPut = ({ method }: ProxiedRequest) => method === 'PUT';
  const isGet = ({ method }: ProxiedRequest) => method === 'GET';

  async function list(prefix: string): Promise<string[]> {
    const all: string[] = [];
    for await (const { location } of objects.list(prefix)) all.push(location);
    return all;
  }

  test('are written once, read whole and in parts, listed and removed', async () => {
    faults('down', 0, () => false);
    const location = `${base}/plain/a b+ü=1.txt`;
    await objects.put(location, 'one two three');
    expect(String(await objects.read(location))).toBe('one two three');
    expect(String(await objects.readRange(location, 4, 3))).toBe('two');
    expect(String(await objects.readRange(location, 8, 100))).toBe('three');
    await expect(objects.put(location, 'other')).rejects.toMatchObject({ code: 'conflict' });
    expect(String(await objects.read(location))).toBe('one two three');
    await objects.put(`${base}/plain/empty`, '');
    expect(await objects.read(`${base}/plain/empty`)).toHaveLength(0);
    expect(await objects.download(`${base}/plain/empty`, join(folder, 'empty'))).toBe(0);
    await objects.put(`${base}/plainer`, 'a neighbour whose name begins alike');
    expect(await list(`${base}/plain`)).toEqual([location, `${base}/plain/empty`]);
    await objects.remove([location, `${base}/plain/empty`, `${base}/plain/never-there`]);
    expect(await list(`${base}/plain`)).toEqual([]);
    await expect(objects.read(location)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('that are large go up and come down in parts', async () => {
    faults('down', 0, () => false);
    const bytes = randomBytes(20 << 20);
    const path = join(folder, 'large');
    await writeFile(path, bytes);
    await objects.upload(`${base}/large`, path);
    expect(proxy.seen.filter(({ path: asked }) => asked.includes('partNumber=')).length).toBe(3);
    expect(await objects.download(`${base}/large`, join(folder, 'large-copy'))).toBe(bytes.length);
    expect((await readFile(join(folder, 'large-copy'))).equals(bytes)).toBe(true);
    await expect(objects.upload(`${base}/large`, path)).rejects.toMatchObject({ code: 'conflict' });
  });

  test.each(['slow-down', 'internal-error', 'down', 'cut-request'] as const)('survive %s', async (fault) => {
    const location = `${base}/fault-${fault}`;
    faults(fault, 2, isPut);
    const bytes = randomBytes(50_000);
    await objects.put(location, bytes);
    expect(proxy.done).toHaveLength(2);
    faults(fault === 'cut-request' ? 'cut-answer' : fault, 2, isGet);
    expect((await objects.read(location)).equals(bytes)).toBe(true);
    expect(proxy.done).toHaveLength(2);
  });

  test('whose write was applied while its answer was lost are looked up, not taken for somebody else’s', async () => {
    faults('lost-answer', 1, isPut);
    await hasty.put(`${base}/lost-put`, 'once');
    expect(proxy.done).toHaveLength(1);
    expect(proxy.seen.filter(({ method }) => method === 'HEAD')).toHaveLength(1);
    expect(String(await objects.read(`${base}/lost-put`))).toBe('once');
    const path = join(folder, 'lost-large');
    await writeFile(path, randomBytes(10 << 20));
    faults('lost-answer', 1, ({ method, path: asked }) => method === 'POST' && asked.includes('uploadId='));
    await hasty.upload(`${base}/lost-large`, path);
    expect(proxy.done).toHaveLength(1);
    expect((await objects.read(`${base}/lost-large`)).equals(await readFile(path))).toBe(true);
  });

  test('that cannot be written at all leave nothing, and say why', async () => {
    const path = join(folder, 'never');
    await writeFile(path, randomBytes(20 << 20));
    faults('slow-down', Number.POSITIVE_INFINITY, ({ path: asked }) => asked.includes('partNumber=2'));
    await expect(objects.upload(`${base}/never`, path)).rejects.toMatchObject({ code: 'storage_throttled' });
    faults('down', 0, () => false);
    expect(await objects.removeUnfinishedUploads(base, Date.now() + 3_600_000)).toBe(0);
    expect(await list(base)).not.toContain(`${base}/never`);
    faults('down', Number.POSITIVE_INFINITY, () => true);
    await expect(objects.upload(`${base}/never`, path)).rejects.toMatchObject({ code: 'storage_unreachable' });
    faults('lost-answer', Number.POSITIVE_INFINITY, () => true);
    await expect(hasty.read(`${base}/lost-put`)).rejects.toMatchObject({ code: 'storage_unreachable' });
    faults('cut-request', Number.POSITIVE_INFINITY, ({ path: asked }) => asked.includes('partNumber='));
    await expect(objects.upload(`${base}/never`, path)).rejects.toMatchObject({ code: 'storage_unreachable' });
    faults('down', 0, () => false);
    expect(await objects.removeUnfinishedUploads(base, Date.now() + 3_600_000)).toBe(0);
  });

  test('left half uploaded by a process that died can be removed', async () => {
    faults(
      'down',
      Number.POSITIVE_INFINITY,
      ({ method, path: asked }) => method !== 'POST' || !asked.includes('uploads'),
    );
    const path = join(folder, 'half');
    await writeFile(path, randomBytes(20 << 20));
    await expect(objects.upload(`${base}/half`, path)).rejects.toMatchObject({ code: 'storage_unreachable' });
    faults('down', 0, () => false);
    expect(await objects.removeUnfinishedUploads(base, Date.now() - 3_600_000)).toBe(0);
    expect(await objects.removeUnfinishedUploads(base, Date.now() + 3_600_000)).toBe(1);
    expect(await objects.removeUnfinishedUploads(base, Date.now() + 3_600_000)).toBe(0);
  });
});
