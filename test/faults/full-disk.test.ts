import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { copyToFile } from '#catalog/iceberg/files/data-file-writer.ts';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import type { IcebergSchema } from '#catalog/iceberg/metadata/iceberg-schema.ts';
import { openS3 } from '#catalog/iceberg/storage/open-storage.ts';
import { readS3Settings } from '#catalog/iceberg/storage/s3-settings.ts';
import { holdLocal, newFile, writeBytes } from '#catalog/iceberg/storage.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import { createWarehouse, schemaOf, sorted } from '#test/catalog/iceberg/warehouse.ts';
import { findEngine } from '#test/fixtures/engine.ts';
import { type S3Server, startVersitygw } from '#test/fixtures/s3.ts';
import { mountSmallDisk, type SmallDisk } from '#test/fixtures/small-disk.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';

const megabyte = 1 << 20;
const disk = mountSmallDisk(8 * megabyte);
const name = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);

/** Rows that do not compress. */
function films(count: number, from = 0): Row[] {
  return Array.from(
    { length: count },
    (_, index): Row => [BigInt(from + index), `Film ${from + index}`, randomBytes(1_000).toString('base64')],
  );
}

describe.skipIf(disk === null)(`a full disk${disk === null ? ' (needs leave to mount a tmpfs)' : ''}`, () => {
  const { path, fill, free } = disk ?? ({} as SmallDisk);

  afterAll(() => disk?.[Symbol.dispose]());
  beforeEach(() => free());

  test('under the warehouse stops a commit with the table as it was, and nothing is lost once there is room', async () => {
    await using warehouse = await createWarehouse(join(path, 'warehouse'));
    const rows = films(200);
    const sink = openSink(warehouse);
    await snapshot(sink, movie, rows);
    await sink.commit(position(1), signal);
    await sink.close();
    const more = films(2_000, 200);
    for (const leaveBytes of [0, 4_096, 500_000]) {
      await fill(leaveBytes);
      const full = openSink(warehouse);
      const writing = async () => {
        await full.write(
          changesOf(
            movie,
            more.map((after) => ({ op: 'c', after })),
          ),
          signal,
        );
        await full.write(changesOf(movie, [{ op: 'd', before: rows[0] as Row }]), signal);
        await full.commit(position(2), signal);
      };
      await expect(writing()).rejects.toMatchObject({ code: 'disk_full', message: expect.stringContaining(path) });
      await full.close();
      expect(sorted(await warehouse.read(name))).toEqual(sorted(rows));
      free();
    }
    const sinkAgain = openSink(warehouse);
    expect(await sinkAgain.writtenUpTo('production.public.movie', signal)).toEqual(position(1));
    await sinkAgain.write(
      changesOf(
        movie,
        more.map((after) => ({ op: 'c', after })),
      ),
      signal,
    );
    await sinkAgain.write(changesOf(movie, [{ op: 'd', before: rows[0] as Row }]), signal);
    await sinkAgain.commit(position(2), signal);
    await sinkAgain.close();
    expect(sorted(await warehouse.read(name))).toEqual(sorted([...rows.slice(1), ...more]));
  });

  const versitygw = findEngine('versitygw');
  describe.skipIf(versitygw === null)(
    `under the read cache of S3${versitygw === null ? ' (needs versitygw)' : ''}`,
    () => {
      let server: S3Server;
      let storage: { close(): void };
      let base: string;

      beforeAll(async () => {
        server = await startVersitygw(versitygw ?? '');
        base = `s3://${server.bucket}/warehouse`;
        const cacheFolder = join(path, 'cache');
        storage = await openS3({ settings: readS3Settings(server.env), cacheFolder, cacheBytes: 100 * megabyte });
      });
      afterAll(async () => {
        storage?.close();
        await server?.[Symbol.asyncDispose]();
      });

      test('makes room from what is kept for later, and says so only when nothing is left to give up', async () => {
        for (let index = 0; index < 12; index++) await writeBytes(`${base}/${index}`, randomBytes(megabyte));
        for (let index = 0; index < 12; index++) (await holdLocal([`${base}/${index}`]))[Symbol.dispose]();
        const all = Array.from({ length: 12 }, (_, index) => `${base}/${index}`);
        await expect(holdLocal(all)).rejects.toMatchObject({
          code: 'disk_full',
          message: expect.stringContaining(path),
        });
        using held = await holdLocal(all.slice(0, 5));
        expect(held.paths).toHaveLength(5);
      });

      test('leaves nothing of a file that could not be written', async () => {
        await fill(100_000);
        const files = () => readdirSync(join(path, 'cache/processes'), { recursive: true }).length;
        const before = files();
        const location = `${base}/too-large.parquet`;
        const connection = await connectDuckdb();
        const iceberg: IcebergSchema = {
          type: 'struct',
          'schema-id': 0,
          fields: [{ id: 1, name: 'text', required: false, type: 'string' }],
        };
        const select = 'SELECT md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS text FROM range(100000) t(i)';
        const layout = { schema: schemaOf({ text: 'string' }), iceberg };
        await expect(copyToFile(connection, select, layout, location)).rejects.toMatchObject({
          code: 'disk_full',
        });
        connection.closeSync();
        expect(files()).toBe(before);
        free();
        const small = newFile(location);
        await small.abandon();
        await expect(holdLocal([location])).rejects.toMatchObject({ code: 'not_found' });
      });
    },
  );
});
