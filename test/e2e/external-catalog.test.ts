import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CatalogProxy, startCatalogProxy } from '#test/catalog/iceberg/rest-client/catalog-proxy.ts';
import { type ReferenceServer, startReferenceServer } from '#test/catalog/iceberg/rest-client/reference-server.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { CommandLine, type StatusDocument, until } from './demo-product.ts';

const definition = `
version: 1
sources:
  studio: { kind: postgres, url: '\${STUDIO_URL}', tables: [public.*] }
pipelines:
  studio:
    owner: owner@studio.example
    from: [studio.public.*]
    to: [{ kind: iceberg, table: 'production.{table}' }]
people:
  owner@studio.example: { roles: [owner] }
`;

describeWith('rest-kit', "dailies up with another server's catalog", () => {
  let server: ReferenceServer;
  let proxy: CatalogProxy;
  let database: TestDatabase;
  let product: CommandLine;

  beforeAll(async () => {
    server = await startReferenceServer();
    proxy = await startCatalogProxy(server.uri);
    database = await createDatabase();
    await database.query(
      'CREATE TABLE movie (id int PRIMARY KEY, title text); CREATE TABLE talent (LIKE movie INCLUDING ALL)',
    );
    await database.query("INSERT INTO movie SELECT i, 'film ' || i FROM generate_series(1, 100) i");
    product = await CommandLine.create(undefined, {
      DAILIES_CATALOG: proxy.uri,
      DAILIES_COMMIT_SECONDS: '0.2',
      STUDIO_URL: database.url,
    });
  }, 120_000);
  afterAll(async () => {
    await product?.[Symbol.asyncDispose]();
    await database?.drop();
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const query = async <Row>(sql: string) => product.json<Row[]>('query', sql, '--format', 'json');
  const counts = async () => {
    const { code, stdout } = await product.run(
      'query',
      'SELECT (SELECT count(*) FROM production.movie) AS movies, (SELECT count(*) FROM production.talent) AS talents, (SELECT count(DISTINCT title) FROM production.movie) AS titles',
      '--format',
      'json',
    );
    return code === 0
      ? Object.values(JSON.parse(stdout)[0] as object)
          .map(Number)
          .join(' ')
      : stdout;
  };

  test('a catalog that is none, or is not there, stops the start and is named', async () => {
    await using other = await CommandLine.create();
    const refusals: [string, RegExp][] = [
      ['not an address', /^dailies: DAILIES_CATALOG must be an address/m],
      [product.url, /^dailies: DAILIES_CATALOG: The catalog at \S+ cannot be asked: .*ECONNREFUSED/m],
      [`${server.uri}/nowhere`, /^dailies: DAILIES_CATALOG \S+ cannot be used as an Iceberg REST catalog/m],
    ];
    for (const [catalog, sentence] of refusals) {
      const { code, stderr } = await other.runWith({ DAILIES_CATALOG: catalog }, 'up');
      expect(code).toBe(1);
      expect(stderr).toMatch(sentence);
    }
  });

  test('tables land there and are queried, over answers that get lost, nothing lost or doubled', async () => {
    await product.serve('up');
    const file = path.join(path.dirname(product.home), 'studio.yaml');
    fs.writeFileSync(file, definition);
    expect(await product.run('apply', file)).toMatchObject({ code: 0 });
    await until(counts, (text) => text === '100 0 100');
    // Each third commit is applied, and its answer never comes.
    let commits = 0;
    proxy.decide = ({ method, path: asked }) =>
      method === 'POST' && /transactions|tables\//.test(asked) && ++commits % 3 === 0 ? 'cut after' : 'pass';
    for (let round = 1; round <= 6; round++) {
      await database.query(`BEGIN; UPDATE movie SET title = 'film ' || id || ' at ${round}';
        INSERT INTO talent VALUES (${round}, 'talent'); INSERT INTO movie VALUES (${100 + round}, 'new at ${round}'); COMMIT`);
      await until(counts, (text) => text.startsWith(`${100 + round} ${round} `));
    }
    expect(commits).toBeGreaterThanOrEqual(6);
    expect(await counts()).toBe('106 6 106');
    expect(await query("SELECT count(*) AS n FROM production.movie WHERE title LIKE '% at 6'")).toEqual([{ n: '106' }]);
    // The last commit may be one whose answer got lost: what is queried is known before the worker knows it, too.
    const status = await until(
      () => product.json<StatusDocument>('status', '--json'),
      ({ sinks }) => {
        const movies = sinks['studio/iceberg/production.movie'];
        return movies?.state === 'running' && movies.rows === 106 && movies.lastError === null;
      },
    );
    expect(status.catalog).toEqual({ uri: proxy.uri, commitsTogether: true });
  }, 300_000);

  test('our own address says where the tables are', async () => {
    const { token } = await product.json<{ token: string }>(
      'token',
      'create',
      '--name',
      'engine',
      '--role',
      'admin',
      '--json',
    );
    const answer = await fetch(`${product.url}/iceberg/v1/config`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: { code: 404, message: expect.stringContaining(proxy.uri) } });
  });

  test('it goes on where it stood after a restart, also where the catalog comes back later', async () => {
    await product.stop();
    await database.query("INSERT INTO talent VALUES (31, 'talent')");
    await product.serve('up');
    proxy.decide = () => ({ status: 503, json: {} });
    await database.query("INSERT INTO talent VALUES (32, 'talent')");
    await until(
      () => product.json<StatusDocument>('status', '--json'),
      ({ pipelines }) => (pipelines.studio?.lastError ?? null) !== null,
    );
    proxy.decide = () => 'pass';
    await until(counts, (text) => text === '106 8 106');
  }, 300_000);
});
