import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith, findEngine } from '#test/fixtures/engine.ts';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { type S3Server, setEnvironment, startMinio, startVersitygw } from '#test/fixtures/s3.ts';
import { CommandLine, type StatusDocument, until } from './demo-product.ts';

const definition = `
version: 1
sources:
  studio: { kind: postgres, url: '\${STUDIO_URL}', tables: [public.movie] }
pipelines:
  movies:
    owner: owner@studio.example
    from: [studio.public.movie]
    to: [{ kind: iceberg, table: studio.movie }]
people:
  owner@studio.example: { roles: [owner] }
policies: []
`;

/** Reads `studio.movie` through the product's REST catalog, the files from S3 itself. */
const readWithPyIceberg = `
import json, sys
from pyiceberg.catalog import load_catalog
catalog = load_catalog("dailies", type="rest", uri=sys.argv[1], token=sys.argv[2])
print(json.dumps(sorted([row["id"], row["title"]] for row in catalog.load_table("studio.movie").scan().to_arrow().to_pylist())))
`;

for (const { engine, start, vending } of [
  { engine: 'versitygw', start: startVersitygw, vending: null },
  { engine: 'minio', start: startMinio, vending: { AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/tables' } },
] as const) {
  describeWith(engine, `the product on a warehouse in S3 (${engine})`, (program) => {
    let server: S3Server;
    let restore: () => void;
    let product: CommandLine;
    let database: TestDatabase;

    beforeAll(async () => {
      server = await start(program);
      restore = setEnvironment({
        DAILIES_WAREHOUSE: `s3://${server.bucket}/warehouse`,
        DAILIES_COMMIT_SECONDS: '0.5',
        DAILIES_CACHE_SIZE: '20MB',
        ...vending,
      });
      product = await CommandLine.create();
      database = await createDatabase();
      await database.query(`CREATE TABLE movie (id bigint PRIMARY KEY, title text)`);
      await database.query(`INSERT INTO movie SELECT i, 'Film ' || i FROM generate_series(1, 2000) i`);
    }, 300_000);

    afterAll(async () => {
      await product?.[Symbol.asyncDispose]();
      await database?.drop();
      restore?.();
      await server?.[Symbol.asyncDispose]();
    });

    const status = () => product.json<StatusDocument>('status', '--json');
    const landed = (rows: number) =>
      until(status, ({ sinks }) => Object.values(sinks).some((sink) => sink.rows === rows && sink.lag.bytes === 0));

    async function sourceRows(): Promise<[number, string][]> {
      const { rows } = await database.query('SELECT id, title FROM movie ORDER BY id');
      return rows.map(({ id, title }) => [Number(id), title]);
    }

    async function queriedRows(): Promise<[number, string][]> {
      const sql = 'SELECT id, title FROM studio.movie ORDER BY id';
      const rows = await product.json<{ id: string | number; title: string }[]>('query', sql, '--format', 'json');
      return rows.map(({ id, title }) => [Number(id), title]);
    }

    test('does not start where the storage cannot be used, and says why without a secret', async () => {
      const wrong = await product.runWith({ AWS_SECRET_ACCESS_KEY: 'not-the-secret' }, 'up');
      expect(wrong).toMatchObject({ code: 1, stdout: '' });
      expect(wrong.stderr).toMatch(/refuses the credentials .*AWS_SECRET_ACCESS_KEY/);
      expect(wrong.stderr).not.toContain('not-the-secret');
      const absent = await product.runWith({ DAILIES_WAREHOUSE: 's3://no-such-bucket/warehouse' }, 'up');
      expect(absent.stderr).toMatch(/The bucket of s3:\/\/no-such-bucket\/\S+ does not exist/);
    });

    test('lands what the source has and can be queried', async () => {
      await product.serve('up');
      const file = path.join(path.dirname(product.home), 'studio.yaml');
      fs.writeFileSync(file, definition);
      expect(await product.runWith({ STUDIO_URL: database.url }, 'apply', file)).toMatchObject({ code: 0 });
      await landed(2000);
      expect(await queriedRows()).toEqual(await sourceRows());
    });

    test('goes on after kill -9 where it was, row by row', async () => {
      await database.query(`UPDATE movie SET title = title || ' again' WHERE id % 7 = 0`);
      await product.stop('SIGKILL');
      await database.query(`DELETE FROM movie WHERE id % 11 = 0`);
      await product.serve('up');
      await landed((await sourceRows()).length);
      expect(await queriedRows()).toEqual(await sourceRows());
      expect(product.output).not.toContain(server.secretAccessKey);
    });

    test.skipIf(findEngine('pyiceberg') === null)(
      'is read by PyIceberg through the catalog, right from S3',
      async () => {
        const { token } = await product.json<{ token: string }>(
          'token',
          'create',
          '--name',
          'python',
          '--role',
          'analyst',
          '--json',
        );
        const own = { NODE_ENV: process.env.NODE_ENV, PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '' };
        // Where the catalog gives credentials, the client has none of its own.
        const env = vending ? own : { ...own, ...server.env };
        const python = findEngine('pyiceberg') ?? '';
        const { stdout } = await promisify(execFile)(
          python,
          ['-c', readWithPyIceberg, `${product.url}/iceberg`, token],
          { env },
        );
        expect(JSON.parse(stdout)).toEqual(await sourceRows());
      },
    );

    test('leaves nothing of the tables on this machine but the cache, within its size', () => {
      expect(fs.existsSync(path.join(product.home, 'warehouse'))).toBe(false);
      const objects = path.join(product.home, 'cache/objects');
      // What it lets go of may be gone when it is looked at.
      const stats = fs
        .readdirSync(objects)
        .map((name) => fs.statSync(path.join(objects, name), { throwIfNoEntry: false }));
      const sizes = stats.map((stat) => stat?.size ?? 0);
      expect(sizes.length).toBeGreaterThan(0);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(20e6);
    });
  });
}
