import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CredentialVendor } from '#catalog/iceberg/storage/credential-vendor.ts';
import { S3Objects } from '#catalog/iceberg/storage/s3-objects.ts';
import { readS3Settings } from '#catalog/iceberg/storage/s3-settings.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type S3Server, startMinio } from '#test/fixtures/s3.ts';

const roleArn = 'arn:aws:iam::123456789012:role/tables';

describe('access to the files of tables', () => {
  test('is told of without credentials where no role is set, and not at all for a warehouse on disk', async () => {
    const settings = readS3Settings({ AWS_ENDPOINT_URL: 'http://127.0.0.1:9000', AWS_REGION: 'eu-west-1' });
    const inS3 = new CredentialVendor({ settings, warehouse: 's3://studio/warehouse', nowMs: Date.now });
    expect(inS3.config).toEqual({
      's3.endpoint': 'http://127.0.0.1:9000',
      's3.path-style-access': 'true',
      's3.region': 'eu-west-1',
      'client.region': 'eu-west-1',
    });
    expect(await inS3.vend('s3://studio/warehouse/production/movie-1', true)).toEqual([]);
    const onDisk = new CredentialVendor({
      settings: readS3Settings({ AWS_ROLE_ARN: roleArn }),
      warehouse: 'file:///warehouse',
      nowMs: Date.now,
    });
    expect(onDisk.config).toEqual({});
    expect(await onDisk.vend('file:///warehouse/production/movie-1', false)).toEqual([]);
  });
});

describeWith('minio', 'credentials of one table', (program) => {
  let server: S3Server;
  let vendor: CredentialVendor;
  let warehouse: string;
  let nowMs = Date.now();

  beforeAll(async () => {
    server = await startMinio(program);
    warehouse = `s3://${server.bucket}/warehouse`;
    const settings = readS3Settings({ ...server.env, AWS_ROLE_ARN: roleArn });
    vendor = new CredentialVendor({ settings, warehouse, nowMs: () => nowMs });
    const objects = new S3Objects(settings);
    for (const table of ['movie-1', 'movie-10', 'deal-2'])
      await objects.put(`${warehouse}/production/${table}/data/a`, table);
    objects.close();
  });
  afterAll(async () => {
    await vendor?.close();
    await server?.[Symbol.asyncDispose]();
  });

  /** What somebody with the credentials of `movie-1` meets: the status of each request. */
  async function statuses(mayWrite: boolean, table: string): Promise<Record<'get' | 'list' | 'put', number>> {
    const [credential] = await vendor.vend(`${warehouse}/production/movie-1`, mayWrite);
    const config = credential?.config ?? {};
    expect(credential?.prefix).toBe(`${warehouse}/production/movie-1`);
    const client = new S3Client({
      endpoint: config['s3.endpoint'] ?? '',
      region: config['client.region'] ?? '',
      forcePathStyle: true,
      credentials: {
        accessKeyId: config['s3.access-key-id'] ?? '',
        secretAccessKey: config['s3.secret-access-key'] ?? '',
        sessionToken: config['s3.session-token'] ?? '',
      },
    });
    const status = (sent: Promise<{ $metadata: { httpStatusCode?: number } }>) =>
      sent
        .catch((thrown: { $metadata: { httpStatusCode?: number } }) => thrown)
        .then(({ $metadata }) => $metadata.httpStatusCode ?? 0);
    const Bucket = server.bucket;
    const folder = `warehouse/production/${table}/`;
    try {
      return {
        get: await status(client.send(new GetObjectCommand({ Bucket, Key: `${folder}data/a` }))),
        list: await status(client.send(new ListObjectsV2Command({ Bucket, Prefix: folder }))),
        put: await status(client.send(new PutObjectCommand({ Bucket, Key: `${folder}data/b`, Body: 'b' }))),
      };
    } finally {
      client.destroy();
    }
  }

  test('read that table alone, and change it only where that is allowed', async () => {
    expect(await statuses(false, 'movie-1')).toEqual({ get: 200, list: 200, put: 403 });
    expect(await statuses(true, 'movie-1')).toEqual({ get: 200, list: 200, put: 200 });
    for (const other of ['movie-10', 'deal-2']) {
      expect(await statuses(true, other)).toEqual({ get: 403, list: 403, put: 403 });
    }
  });

  test('are handed out again for half their time, then made anew', async () => {
    const key = async () => (await vendor.vend(`${warehouse}/production/deal-2`, false))[0]?.config['s3.access-key-id'];
    const first = await key();
    expect(await key()).toBe(first);
    nowMs += 31 * 60_000;
    expect(await key()).not.toBe(first);
  });

  test('are for nothing outside the warehouse, nor for what a policy could not name', async () => {
    for (const location of [warehouse, `${warehouse}/a*b`, `${warehouse}/../other`, `s3://${server.bucket}/other/t`]) {
      expect(await vendor.vend(location, true)).toEqual([]);
    }
  });
});
