import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { parseJson, printJson } from '#catalog/iceberg/metadata/json.ts';
import { ExternalCatalog } from '#catalog/iceberg/rest-client/external-catalog.ts';
import { RestSession } from '#catalog/iceberg/rest-client/session.ts';
import type { RestCatalogAuth } from '#catalog/iceberg/rest-client/settings.ts';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { openState } from '#catalog/state/state.ts';
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
  });
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

  const open = (auth: RestCatalogAuth = { kind: 'none' }) =>
    new ExternalCatalog(new RestSession({ uri: proxy.uri, warehouse: null, auth }, { patience }), warehouse.state);
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

  test.each([2, 3] as const)('follows columns and deletes rows in format version %i', async (formatVersion) => {
    const options = { table: `${namespace}.movie`, formatVersion, partition: ['bucket(4, id)'] };
    const sink = openSink({ ...warehouse, catalog: open() }, options);
    const rows = Array.from({ length: 100 }, (_, id): Row => [BigInt(id), `film ${id}`]);
    await snapshot(sink, movie, rows, sources[0]);
    await sink.commit(position(1), signal);
    const wider = schemaOf({ id: 'long', title: 'string', year: 'int' }, ['id']);
    await sink.write(changesOf(wider, [{ op: 'd', before: [1n, UNKNOWN, UNKNOWN] }]), signal);
    await sink.write(changesOf(wider, [{ op: 'u', after: [2n, UNKNOWN, 1999] }]), signal);
    await sink.commit(position(2), signal);
    await sink.write(changesOf(wider, [{ op: 'd', before: [3n, UNKNOWN, UNKNOWN] }]), signal);
    await sink.commit(position(3), signal);
    await sink.close();
    const expected = rows.flatMap(([id = null, title = null]): Row[] =>
      id === 1n || id === 3n ? [] : [[id, title, id === 2n ? 1999 : null]],
    );
    expect(await read('movie')).toEqual(sorted(expected));
    const metadata = (await open().load(`${namespace}.movie`))?.metadata;
    expect(metadata?.['format-version']).toBe(formatVersion);
    expect(metadata?.['partition-specs'].at(-1)?.fields).toMatchObject([{ transform: 'bucket[4]' }]);
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

  test('a commit whose fate cannot be told leaves its files, and is found when the server is back', async () => {
    let sink = openTo(open());
    await land(sink, [[1n, 'Alpha']], 1);
    let isApplied = false;
    proxy.decide = ({ method }) => {
      if (isApplied) return { status: 503, json: {} };
      isApplied = method === 'POST';
      return isApplied ? 'cut after' : 'pass';
    };
    await expect(change(sink, [1n, 'Alpha 2'], 2)).rejects.toMatchObject({ code: 'commit_unknown' });
    await sink.close();
    proxy.decide = () => 'pass';
    sink = openTo(open());
    for (const source of sources) expect(await sink.writtenUpTo(source, signal)).toEqual(position(2));
    await change(sink, [1n, 'Alpha 3'], 3);
    await sink.close();
    expect(await read('talent')).toEqual(sorted([[1n, 'Alpha 3']]));
  });

  test('what our own state missed of a commit is made good when the table is opened again', async () => {
    const session = new RestSession({ uri: proxy.uri, warehouse: null, auth: { kind: 'none' } }, { patience });
    const away = openState('postgresql://nobody@127.0.0.1:1/none');
    let sink = openTo(new ExternalCatalog(session, away));
    await expect(land(sink, [[1n, 'Alpha']], 1)).rejects.toThrow();
    await sink.close();
    const recorded = () => warehouse.state.dataTable.findUnique({ where: { name: `${namespace}.movie` } });
    expect(await recorded()).toBeNull();
    sink = openTo(open());
    for (const source of sources) expect(await sink.writtenUpTo(source, signal)).toEqual(position(1));
    await sink.close();
    expect(await recorded()).toMatchObject({ rows: 1n, key: ['id'], freshAsOf: new Date(1_700_000_000_000) });
    await away.$disconnect();
  });

  test('a transaction that a server has applied in part is completed', async () => {
    const sink = openTo(open());
    await land(sink, [[1n, 'Alpha']], 1);
    let isDone = false;
    proxy.decide = async ({ path, body }) => {
      if (isDone || path !== '/v1/transactions/commit') return 'pass';
      isDone = true;
      const [first] = (parseJson(body) as { 'table-changes': unknown[] })['table-changes'];
      const answer = await fetch(`${server.uri}/v1/namespaces/${namespace}/tables/movie`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: printJson(first),
      });
      expect(answer.status).toBe(200);
      return { status: 500, json: {} };
    };
    await change(sink, [1n, 'Alpha 2'], 2);
    await sink.close();
    expect(await read('movie')).toEqual(sorted([[1n, 'Alpha 2']]));
    expect(await read('talent')).toEqual(sorted([[1n, 'Alpha 2']]));
    expect(await snapshots('movie')).toBe(2);
  });

  test('where tables are committed alone and one is refused, each goes on from where it stands', async () => {
    let sink = openTo(open());
    await land(sink, [[1n, 'Alpha']], 1);
    proxy.decide = ({ method, path }) => {
      if (path === '/v1/transactions/commit') return { status: 501, json: {} };
      return method === 'POST' && path.endsWith('/talent') ? { status: 409, json: {} } : 'pass';
    };
    await expect(change(sink, [1n, 'Alpha 2'], 2)).rejects.toMatchObject({
      code: 'commit_unknown',
      message: expect.stringContaining(`took ${namespace}.movie and then not ${namespace}.talent`),
    });
    await sink.close();
    proxy.decide = () => 'pass';
    sink = openTo(open());
    const stands = await Promise.all(sources.map((source) => sink.writtenUpTo(source, signal)));
    expect(stands).toEqual([position(2), position(1)]);
    await sink.close();
  });

  test('a commit of somebody else in between is a conflict, after which the sink goes on', async () => {
    let sink = openTo(open());
    await land(sink, [[1n, 'Alpha']], 1);
    const other = openTo(open());
    await change(other, [2n, 'Beta'], 2);
    await other.close();
    await expect(change(sink, [3n, 'Gamma'], 2)).rejects.toMatchObject({ code: 'commit_conflict' });
    await sink.close();
    sink = openTo(open());
    await change(sink, [3n, 'Gamma'], 3);
    await sink.close();
    expect(await read('movie')).toEqual(
      sorted([
        [1n, 'Alpha'],
        [2n, 'Beta'],
        [3n, 'Gamma'],
      ]),
    );
  });

  test('a server that does not answer is told so, and asked again by who needs it', async () => {
    const catalog = open();
    proxy.decide = () => 'cut before';
    await expect(catalog.load(`${namespace}.movie`)).rejects.toMatchObject({
      code: 'catalog_unreachable',
      message: expect.stringMatching(/^The catalog at \S+ cannot be asked: the connection failed.* \(4 tries\)\.$/),
    });
    proxy.decide = () => 'pass';
    expect(await catalog.load(`${namespace}.movie`)).toBeNull();
  });

  test('namespaces have levels, names any characters, and an unchanged table is not sent again', async () => {
    const catalog = open();
    const name = `${namespace}.inner.film – “ß” 100`;
    const sink = openSink({ ...warehouse, catalog }, { table: `${namespace}.inner.{table}`, sourceTables: sources });
    await snapshot(sink, movie, [[1n, 'Alpha']], sources[0]);
    await sink.commit(position(1), signal);
    await sink.close();
    const location = await catalog.newTableLocation(name);
    expect(location).toMatch(/^file:\/\/\/.*[^/]$/);
    const [made] = await catalog.commit([
      {
        name,
        base: null,
        requirements: [{ type: 'assert-create' }],
        updates: [
          { action: 'assign-uuid', uuid: crypto.randomUUID() },
          { action: 'set-location', location },
          { action: 'add-schema', schema: { type: 'struct', 'schema-id': 0, fields: [] }, 'last-column-id': 0 },
          { action: 'set-current-schema', 'schema-id': -1 },
          { action: 'add-spec', spec: { fields: [] } },
          { action: 'set-default-spec', 'spec-id': -1 },
          { action: 'add-sort-order', 'sort-order': { 'order-id': 0, fields: [] } },
          { action: 'set-default-sort-order', 'sort-order-id': -1 },
        ],
      },
    ]);
    expect(made?.metadata.location).toBe(location);
    expect(await catalog.list(`${namespace}.inner`)).toEqual([name, `${namespace}.inner.movie`]);
    expect(await catalog.list()).toEqual(expect.arrayContaining([name]));
    expect(await catalog.namespaces()).toEqual(expect.arrayContaining([namespace, `${namespace}.inner`]));
    const loaded = await catalog.load(name);
    expect(loaded?.metadata['table-uuid']).toBe(made?.metadata['table-uuid']);
    expect(await catalog.load(name)).toBe(loaded);
  });

  test('a prefix, an address and a warehouse are as the server and the settings say', async () => {
    proxy.decide = ({ path }) => {
      if (path === '/v1/config?warehouse=studio') {
        return { status: 200, json: { defaults: { prefix: 'none' }, overrides: { prefix: 'tenants/7' } } };
      }
      return { to: path.replace('/v1/tenants/7/', '/v1/') };
    };
    const session = new RestSession({ uri: proxy.uri, warehouse: 'studio', auth: { kind: 'none' } }, { patience });
    const catalog = new ExternalCatalog(session, warehouse.state);
    const sink = openTo(catalog);
    await land(sink, [[1n, 'Alpha']], 1);
    await change(sink, [1n, 'Alpha 2'], 2);
    await sink.close();
    expect(proxy.seen.slice(1).every((request) => request.includes(' /v1/tenants/7/'))).toBe(true);
    expect(catalog.isAtomic).toBe(true);
  });

  test('a client’s credentials are exchanged for a token, and again when the server takes it no more', async () => {
    let issued = 0;
    proxy.decide = ({ path, headers, body }) => {
      if (path === '/v1/oauth/tokens') {
        expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
          grant_type: 'client_credentials',
          client_id: 'studio',
          client_secret: 'word',
          scope: 'catalog',
        });
        return { status: 200, json: { access_token: `token-${++issued}`, token_type: 'bearer', expires_in: 3600 } };
      }
      const isGood = headers.authorization === `Bearer token-${issued}` && issued > 0;
      return isGood
        ? 'pass'
        : { status: 401, json: { error: { message: 'expired', type: 'NotAuthorizedException', code: 401 } } };
    };
    const auth = {
      kind: 'oauth2',
      clientId: 'studio',
      clientSecret: 'word',
      tokenUri: null,
      scope: 'catalog',
    } as const;
    const sink = openTo(open(auth));
    await land(sink, [[1n, 'Alpha']], 1);
    expect(issued).toBe(1);
    issued = 7;
    await change(sink, [1n, 'Alpha 2'], 2);
    await sink.close();
    expect(issued).toBe(8);
  });

  const refused: [RestCatalogAuth, RegExp][] = [
    [{ kind: 'none' }, /refuses us \(go away\): set DAILIES_CATALOG_TOKEN or DAILIES_CATALOG_CREDENTIAL\.$/],
    [{ kind: 'token', token: 's3cret' }, /refuses us \(go away\): check DAILIES_CATALOG_TOKEN\.$/],
    [
      { kind: 'oauth2', clientId: 'studio', clientSecret: 's3cret', tokenUri: null, scope: 'catalog' },
      /refuses us \(invalid_client go away\): check DAILIES_CATALOG_CREDENTIAL\.$/,
    ],
  ];
  test.each(refused)('credentials %o that are not taken are told by their variable', async (auth, sentence) => {
    proxy.decide = ({ path }) =>
      path === '/v1/oauth/tokens'
        ? { status: 400, json: { error: 'invalid_client', error_description: 'go away' } }
        : { status: 401, json: { error: { message: 'go away', type: 'NotAuthorizedException', code: 401 } } };
    const loading = open(auth).load(`${namespace}.movie`);
    await expect(loading).rejects.toMatchObject({ code: 'catalog_refused', message: expect.stringMatching(sentence) });
    await loading.catch((error: Error) => expect(error.message).not.toContain('s3cret'));
  });
});
