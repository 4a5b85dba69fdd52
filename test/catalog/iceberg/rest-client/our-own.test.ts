import { afterAll, beforeAll, expect, test } from 'vitest';
import { ExternalCatalog } from '#catalog/iceberg/rest-client/external-catalog.ts';
import { RestSession } from '#catalog/iceberg/rest-client/session.ts';
import type { RestCatalogAuth } from '#catalog/iceberg/rest-client/settings.ts';
import { type RestServer, startRestServer } from '#test/catalog/iceberg/rest/rest-server.ts';
import { createWarehouse, readTable, schemaOf, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';

/* One product's pipelines land in the catalog that another product serves: both ends of the protocol are ours. */
const movie = schemaOf({ id: 'long', title: 'string' }, ['id']);
const sources = ['production.public.movie', 'production.public.talent'];

let server: RestServer;
let warehouse: TestWarehouse;
beforeAll(async () => {
  server = await startRestServer();
  warehouse = await createWarehouse();
});
afterAll(async () => {
  await warehouse?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const auths: [string, () => RestCatalogAuth][] = [
  ['token', () => ({ kind: 'token', token: server.tokens.owner })],
  [
    'credential',
    () => ({
      kind: 'oauth2',
      clientId: null,
      clientSecret: server.tokens.owner,
      tokenUri: null,
      scope: 'catalog',
    }),
  ],
];
test.each(auths)('with a %s, tables are made, committed together, listed by level, and dropped', async (name, auth) => {
  const session = new RestSession({ uri: server.uri, warehouse: 'dailies', auth: auth() });
  const catalog = new ExternalCatalog(session, warehouse.state);
  const table = `elsewhere.${name}.{table}`;
  const sink = openSink({ ...warehouse, catalog }, { table, sourceTables: sources });
  for (const source of sources) await snapshot(sink, movie, [[1n, 'Alpha']], source);
  await sink.commit(position(1), signal);
  for (const source of sources) {
    await sink.write(changesOf(movie, [{ op: 'u', after: [1n, 'Alpha 2'] }], source), signal);
  }
  await sink.commit(position(2), signal);
  await sink.close();
  expect(catalog.isAtomic).toBe(true);
  const names = [`elsewhere.${name}.movie`, `elsewhere.${name}.talent`];
  expect(await catalog.list(`elsewhere.${name}`)).toEqual(names);
  expect(await catalog.list()).toEqual(expect.arrayContaining(names));
  expect(await catalog.namespaces()).toEqual(expect.arrayContaining(['elsewhere', `elsewhere.${name}`]));
  expect(await server.catalog.list(`elsewhere.${name}`)).toEqual(names);
  for (const each of names) expect(await readTable(server.catalog, each)).toEqual([[1n, 'Alpha 2']]);
  await catalog.drop(names[0] ?? '');
  expect(await catalog.load(names[0] ?? '')).toBeNull();
  expect(server.reported).toEqual([]);
});

test('a token that is nobody’s is told by its variable', async () => {
  const session = new RestSession({ uri: server.uri, warehouse: null, auth: { kind: 'token', token: 'nobody' } });
  await expect(new ExternalCatalog(session, warehouse.state).list()).rejects.toMatchObject({
    code: 'catalog_refused',
    message: expect.stringMatching(/check DAILIES_CATALOG_TOKEN\.$/),
  });
});
