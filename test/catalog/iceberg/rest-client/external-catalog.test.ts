import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ExternalCatalog } from '#catalog/iceberg/rest-client/external-catalog.ts';
import { RestSession } from '#catalog/iceberg/rest-client/session.ts';
import type { RestCatalogAuth } from '#catalog/iceberg/rest-client/settings.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import type { Sink } from '#ingest/sink.ts';
import { createWarehouse, readTable, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { type CatalogProxy, type Fate, startCatalogProxy } from './catalog-proxy.ts';
import { type ReferenceServer, startReferenceServer } from './reference-server.ts';

const movie = schemaOf({ id: 'long', title: 'string' }, ['id']);
const patience = { attempts: 4, firstWaitMs: 5, longestWaitMs: 20 };
const sources = ['production.public.movie', 'production.public.talent'];

describeWith('rest-kit', "another server's catalog", () => {
  let server: ReferenceServer;
  let proxy: CatalogProxy;
  let warehouse: TestWarehouse;
  let namespace = '';
  let tests = 0;

  beforeAll(async () => {
    server = await startReferenceServer();
  }, 120_000);
  afterAll(() => server?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    proxy = await startCatalogProxy(server.uri);
    warehouse = await createWarehouse();
    namespace = `ns${tests++}`;
  });
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await warehouse[Symbol.asyncDispose]();
  });

  const open = (auth: RestCatalogAuth = { kind: 'none' }, timeoutMs = 10_000) =>
    new ExternalCatalog(
      new RestSession({ uri: proxy.uri, warehouse: null, auth }, { timeoutMs, patience }),
      warehouse.state,
    );
  const openTo = (catalog: ExternalCatalog) =>
    openSink({ ...warehouse, catalog }, { table: `${namespace}.{table}`, sourceTables: sources });
  const read = async (table: string) => sorted(await readTable(open(), `${namespace}.${table}`));
  const snapshots = async (table: string) => (await open().load(`${namespace}.${table}`))?.metadata.snapshots.length;
  /** Only the first request that matches meets its fate. */
  const once = (pattern: RegExp, fate: Fate) => {
    let isDone = false;
    proxy.decide = ({ method, path }) => {
      if (isDone || !pattern.test(`${method} ${path}`)) return 'pass';
      isDone = true;
      return fate;
    };
  };
  const land = async (sink: Sink, rows: readonly Row[], offset: number) => {
    for (const source of sources) await snapshot(sink, movie, rows, source);
    await sink.commit(position(offset), signal);
  };
  const change = async (sink: Sink, row: Row, offset: number, tables = sources) => {
    for (const source of tables) await sink.write(changesOf(movie, [{ op: 'u', after: row }], source), signal);
    await sink.commit(position(offset), signal);
  };

  test('holds the tables of a pipeline, where and when the server says', async () => {
    const catalog = open();
    expect(await catalog.load(`${namespace}.movie`)).toBeNull();
    let sink = openTo(catalog);
    await sink.beginSnapshot(sources[0] ?? '', movie, signal);
    await sink.write(changesOf(movie, [{ op: 'r', after: [1n, 'Alpha'] }]), signal);
    expect(await catalog.list(namespace)).toEqual([]);
    await sink.endSnapshot(sources[0] ?? '', signal);
    await sink.commit(position(1), signal);
    await change(sink, [1n, 'Alpha 2'], 2, sources.slice(0, 1));
    await sink.close();

    expect(await catalog.list(namespace)).toEqual([`${namespace}.movie`]);
    expect(await catalog.list()).toContain(`${namespace}.movie`);
    expect(await catalog.namespaces()).toContain(namespace);
    expect(await read('movie')).toEqual(sorted([[1n, 'Alpha 2']]));
    expect(await warehouse.catalog.list()).toEqual([]);
    const landed = await warehouse.state.dataTable.findUnique({ where: { name: `${namespace}.movie` } });
    expect(landed).toMatchObject({ rows: 1n, pipeline: 'movies' });

    sink = openTo(open());
    expect(await sink.writtenUpTo(sources[0] ?? '', signal)).toEqual(position(2));
    await sink.close();
    await catalog.drop(`${namespace}.movie`);
    expect(await catalog.list(namespace)).toEqual([]);
    await catalog.drop(`${namespace}.movie`);
  });

  test('commits the tables of a pipeline together', async () => {
    const catalog = open();
    const sink = openTo(catalog);
    await land(sink, [[1n, 'Alpha']], 1);
    proxy.seen.length = 0;
    await change(sink, [1n, 'Alpha 2'], 2);
    await sink.close();
    expect(proxy.seen.filter((request) => request.startsWith('POST'))).toEqual(['POST /v1/transactions/commit']);
    expect(catalog.isAtomic).toBe(true);
    expect(await read('movie')).toEqual(sorted([[1n, 'Alpha 2']]));
    expect(await read('talent')).toEqual(sorted([[1n, 'Alpha 2']]));
  });

  test('commits each table alone where the server does not offer more', async () => {
    proxy.decide = ({ path }) =>
      path === '/v1/transactions/commit'
        ? { status: 405, json: { error: { message: 'no', type: '', code: 405 } } }
        : 'pass';
    const catalog = open();
    const sink = openTo(catalog);
    await land(sink, [[1n, 'Alpha']], 1);
    await change(sink, [1n, 'Alpha 2'], 2);
    await change(sink, [1n, 'Alpha 3'], 3);
    await sink.close();
    expect(catalog.isAtomic).toBe(false);
    expect(proxy.seen.filter((request) => request.endsWith('/transactions/commit'))).toHaveLength(1);
    expect(await read('talent')).toEqual(sorted([[1n, 'Alpha 3']]));
  });

  const lost: [string, Fate][] = [
    ['a connection cut after the server applied it', 'cut after'],
    ['a connection cut before the server saw it', 'cut before'],
    ['a gateway that answers 502 after the server applied it', { after: 502 }],
    ['a gateway that answers 504 after the server applied it', { after: 504 }],
    ['a server that answers 500 and does nothing', { status: 500, json: {} }],
    ['a server that answers 503 and does nothing', { status: 503, json: {} }],
    ['a server that is asked too much', { status: 429, json: {} }],
  ];
  test.each(lost)('a commit meets %s: it is applied once', async (_, fate) => {
    const sink = openTo(open());
    // The making of a table, the change of one, and of several.
    once(/^POST .*\/tables\/movie$/, fate);
    await land(sink, [[1n, 'Alpha']], 1);
    once(/^POST .*\/tables\/movie$/, fate);
    await change(sink, [1n, 'Alpha 2'], 2, sources.slice(0, 1));
    once(/^POST \/v1\/transactions\/commit$/, fate);
    await change(sink, [1n, 'Alpha 3'], 3);
    await sink.close();
    expect(await read('movie')).toEqual(sorted([[1n, 'Alpha 3']]));
    expect(await read('talent')).toEqual(sorted([[1n, 'Alpha 3']]));
    expect(await snapshots('movie')).toBe(3);
    expect(await snapshots('talent')).toBe(2);
  });
});
