import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readEnvironment } from '#catalog/environment.ts';
import { toDailiesError } from '#catalog/error.ts';
import { checkWarehouse } from '#catalog/iceberg/storage/check-warehouse.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type S3Server, setEnvironment, startVersitygw } from '#test/fixtures/s3.ts';

describeWith('versitygw', 'before anything starts on a warehouse in S3', (program) => {
  let server: S3Server;

  beforeAll(async () => {
    server = await startVersitygw(program);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  /** The sentence that stops the start, with its code; null if it may go on. */
  async function check(variables: Record<string, string>): Promise<{ code: string; message: string } | null> {
    const env = { ...server.env, DAILIES_WAREHOUSE: `s3://${server.bucket}/warehouse`, ...variables };
    const restore = setEnvironment({ AWS_EC2_METADATA_DISABLED: 'true', ...env });
    try {
      await checkWarehouse(readEnvironment(env));
      return null;
    } catch (thrown) {
      const error = toDailiesError(thrown);
      const all = `${error.stack} ${JSON.stringify(error)} ${error.cause instanceof Error ? error.cause.stack : ''}`;
      expect(all).not.toContain(server.secretAccessKey);
      expect(all).not.toContain('not-the-secret');
      expect(all).not.toMatch(/Signature=|AWS4-HMAC/);
      return { code: error.code, message: error.message };
    } finally {
      restore();
    }
  }

  test('a bucket that can be listed and written is fine, and nothing is left in it', async () => {
    expect(await check({})).toBeNull();
    expect(await check({ DAILIES_WAREHOUSE: `s3://${server.bucket}` })).toBeNull();
    const left = await readdir(server.folder, { recursive: true });
    expect(left.filter((name) => name.includes('dailies-check'))).toEqual([]);
  });

  test('what is wrong is said in one sentence that names it', async () => {
    expect(await check({ DAILIES_WAREHOUSE: 's3://no-such-bucket/warehouse' })).toEqual({
      code: 'storage_refused',
      message: expect.stringMatching(
        /^The bucket of s3:\/\/no-such-bucket\/\S+ does not exist: .*DAILIES_WAREHOUSE\.$/,
      ),
    });
    expect(await check({ AWS_SECRET_ACCESS_KEY: 'not-the-secret' })).toEqual({
      code: 'storage_refused',
      message: expect.stringMatching(/refuses the credentials .*SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY/),
    });
    expect(await check({ AWS_ACCESS_KEY_ID: 'nobody' })).toEqual({
      code: 'storage_refused',
      message: expect.stringMatching(/refuses the credentials .*UserNotFound.*AWS_ACCESS_KEY_ID/),
    });
    expect(await check({ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' })).toEqual({
      code: 'storage_refused',
      message: expect.stringMatching(/^No AWS credentials were found .*AWS_ACCESS_KEY_ID/),
    });
    expect(await check({ AWS_ENDPOINT_URL: 'http://user:not-the-secret@127.0.0.1:1' })).toEqual({
      code: 'storage_unreachable',
      message: expect.stringMatching(/^The S3 server http:\/\/127\.0\.0\.1:1 cannot be reached.*ECONNREFUSED/),
    });
  });

  test('a value that cannot be right is refused by the name of its variable', () => {
    const read = (env: Record<string, string>) => () => readEnvironment(env);
    expect(read({ DAILIES_WAREHOUSE: 's3:///no-bucket' })).toThrow(/DAILIES_WAREHOUSE must be s3:\/\/bucket\/prefix/);
    expect(read({ DAILIES_WAREHOUSE: 'gs://bucket' })).toThrow(/DAILIES_WAREHOUSE/);
    const inS3 = { DAILIES_WAREHOUSE: 's3://bucket/prefix' };
    expect(read({ ...inS3, AWS_ENDPOINT_URL: 'localhost:9000' })).toThrow(/AWS_ENDPOINT_URL must be an address/);
    expect(read({ AWS_ENDPOINT_URL: 'localhost:9000' })).not.toThrow();
    expect(read({ DAILIES_CACHE_SIZE: 'much' })).toThrow(/DAILIES_CACHE_SIZE .*20GB/);
    expect(read({ DAILIES_COMMIT_SECONDS: '0' })).toThrow(/DAILIES_COMMIT_SECONDS/);
  });

  test('commits are rare on S3 and quick on a disk, unless said otherwise', () => {
    const inS3 = { DAILIES_WAREHOUSE: 's3://bucket/some/prefix/' };
    expect(readEnvironment(inS3)).toMatchObject({ warehouse: 's3://bucket/some/prefix', commitEveryMs: 5_000 });
    expect(readEnvironment({ ...inS3, DAILIES_COMMIT_SECONDS: '10' })).toMatchObject({ commitEveryMs: 10_000 });
    expect(readEnvironment({ DAILIES_HOME: '/home' })).toMatchObject({
      warehouse: 'file:///home/warehouse',
      commitEveryMs: 200,
      cacheBytes: null,
    });
    expect(readEnvironment({ DAILIES_CACHE_SIZE: '1.5 GB' })).toMatchObject({ cacheBytes: 1_500_000_000 });
  });
});
