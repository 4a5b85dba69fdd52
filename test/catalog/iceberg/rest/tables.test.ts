import { existsSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { type Call, creationOf, restClient, showing } from './rest-client.ts';
import { type RestServer, startRestServer } from './rest-server.ts';

describe('tables through the REST catalog', () => {
  let server: RestServer;
  let call: Call;
  let count = 0;

  beforeAll(async () => {
    server = await startRestServer();
    call = restClient(server.uri, server.tokens.owner);
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  /** A namespace of its own for each test. */
  async function namespace(): Promise<string> {
    const name = `ns${++count}`;
    expect((await call('POST', 'namespaces', { namespace: [name] })).status).toBe(200);
    return name;
  }
  async function create(ns: string, name: string, more: Record<string, unknown> = {}) {
    const answer = await call('POST', `namespaces/${ns}/tables`, creationOf(name, more));
    expect(answer.status, answer.text).toBe(200);
    return answer;
  }

  test('a table is made with ids of its own, found by people at once, and known by a tag', async () => {
    const ns = await namespace();
    const made = await create(ns, 'movie', {
      properties: { 'format-version': '3', note: 'x' },
      'partition-spec': { fields: [{ 'source-id': 1, name: 'part', transform: 'bucket[4]', 'field-id': 77 }] },
    });
    expect(made.body.metadata).toMatchObject({
      'format-version': 3,
      'last-partition-id': 1000,
      properties: { note: 'x' },
      'next-row-id': 0,
    });
    expect(made.body.metadata.location).toMatch(new RegExp(`/warehouse/${ns}/movie-[0-9a-f]{8}$`));
    expect(await server.state.dataTable.findUnique({ where: { name: `${ns}.movie` } })).toMatchObject({
      pipeline: null,
      key: ['id'],
      rows: 0n,
    });
    const columns = await server.state.dataColumn.findMany({
      where: { tableName: `${ns}.movie` },
      orderBy: { ordinal: 'asc' },
    });
    expect(columns.map((column) => [column.path, column.type, column.isKey, column.description])).toEqual([
      ['id', 'long', true, null],
      ['title', 'string', false, 'What it is called'],
    ]);

    const loaded = await call('GET', `namespaces/${ns}/tables/movie`);
    expect(loaded.headers.get('etag')).toBe(made.headers.get('etag'));
    const tag = loaded.headers.get('etag') ?? '';
    const again = await call('GET', `namespaces/${ns}/tables/movie`, undefined, { 'if-none-match': tag });
    expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', tag]);
    const refs = await call('GET', `namespaces/${ns}/tables/movie?snapshots=refs`, undefined, { 'if-none-match': tag });
    expect(refs.status).toBe(200);
    expect((await call('POST', `namespaces/${ns}/tables/movie/metrics`, {})).status).toBe(204);
    expect((await call('GET', `namespaces/${ns}/tables/movie/credentials`)).body).toEqual({
      'storage-credentials': [],
    });
  });

  test('a commit is answered with the table as it then is; what does not hold, or is unknown, changes nothing', async () => {
    const ns = await namespace();
    const made = await create(ns, 't');
    const requirements = [
      { type: 'assert-table-uuid', uuid: made.body.metadata['table-uuid'] },
      { type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': null },
    ];
    const path = `namespaces/${ns}/tables/t`;
    const done = await call('POST', path, { requirements, updates: showing(1) });
    expect(done.body.metadata['current-snapshot-id']).toBe(1);
    expect((await call('GET', path)).headers.get('etag')).toBe(done.headers.get('etag'));
    expect((await server.state.dataTable.findUnique({ where: { name: `${ns}.t` } }))?.snapshotId).toBe(1n);
    const late = await call('POST', path, { requirements, updates: showing(2) });
    expect([late.status, late.body.error.type]).toEqual([409, 'CommitFailedException']);
    const unknown = await call('POST', path, { requirements: [], updates: [{ action: 'set-on-fire' }] });
    expect([unknown.status, unknown.body.error.type]).toEqual([400, 'BadRequestException']);
    const odd = await call('POST', path, { requirements: [{ type: 'assert-luck' }], updates: [] });
    expect(odd.status).toBe(400);
    const lost = await call('POST', `namespaces/${ns}/tables/none`, { requirements: [], updates: [] });
    expect([lost.status, lost.body.error.type]).toEqual([404, 'NoSuchTableException']);
    expect((await call('GET', path)).body.metadata.snapshots.length).toBe(1);
  });

  test('snapshots that no branch or tag shows are left out where only those with one are asked for', async () => {
    const ns = await namespace();
    await create(ns, 't');
    const path = `namespaces/${ns}/tables/t`;
    await call('POST', path, { requirements: [], updates: showing(1) });
    await call('POST', path, { requirements: [], updates: showing(2, 'main', { 'parent-snapshot-id': 1 }) });
    const ids = (body: { metadata: { snapshots: { 'snapshot-id': number }[] } }) =>
      body.metadata.snapshots.map((snapshot) => snapshot['snapshot-id']);
    expect(ids((await call('GET', path)).body)).toEqual([1, 2]);
    expect(ids((await call('GET', `${path}?snapshots=all`)).body)).toEqual([1, 2]);
    expect(ids((await call('GET', `${path}?snapshots=refs`)).body)).toEqual([2]);
  });

  test('a staged table is made by the commit that follows, once', async () => {
    const ns = await namespace();
    const staged = await create(ns, 't', { 'stage-create': true });
    expect(staged.body['metadata-location']).toBeNull();
    expect((await call('HEAD', `namespaces/${ns}/tables/t`)).status).toBe(404);
    const { metadata } = staged.body;
    const commit = {
      requirements: [{ type: 'assert-create' }],
      updates: [
        { action: 'assign-uuid', uuid: metadata['table-uuid'] },
        { action: 'add-schema', schema: metadata.schemas[0] },
        { action: 'set-current-schema', 'schema-id': -1 },
        { action: 'set-location', location: metadata.location },
        ...showing(5),
      ],
    };
    expect((await call('POST', `namespaces/${ns}/tables/t`, commit)).status).toBe(200);
    expect((await call('HEAD', `namespaces/${ns}/tables/t`)).status).toBe(204);
    expect((await call('POST', `namespaces/${ns}/tables/t`, commit)).status).toBe(409);
    const elsewhere = commit.updates.map((update) =>
      update.action === 'set-location' ? { ...update, location: 'file:///etc' } : update,
    );
    const refused = await call('POST', `namespaces/${ns}/tables/u`, { ...commit, updates: elsewhere });
    expect([refused.status, refused.body.error.message]).toEqual([
      400,
      expect.stringContaining('not in the warehouse'),
    ]);
    const shared = await call('POST', `namespaces/${ns}/tables/u`, commit);
    expect([shared.status, shared.body.error.message]).toEqual([
      400,
      expect.stringContaining('belongs to another table'),
    ]);
  });

  test('several tables are committed in one transaction, or none of them', async () => {
    const ns = await namespace();
    await create(ns, 'a');
    await create(ns, 'b');
    const change = (name: string, updates: unknown[], requirements: unknown[] = []) => ({
      identifier: { namespace: [ns], name },
      requirements,
      updates,
    });
    const first = { 'snapshot-id': null, ref: 'main', type: 'assert-ref-snapshot-id' };
    const both = [change('a', showing(1), [first]), change('b', showing(1), [first])];
    expect((await call('POST', 'transactions/commit', { 'table-changes': both })).status).toBe(204);
    const half = [
      change('a', [{ action: 'set-properties', updates: { half: 'yes' } }]),
      change('b', showing(2), [first]),
    ];
    const refused = await call('POST', 'transactions/commit', { 'table-changes': half });
    expect([refused.status, refused.body.error.type]).toEqual([409, 'CommitFailedException']);
    expect((await call('GET', `namespaces/${ns}/tables/a`)).body.metadata.properties).toEqual({});
    const missing = [change('a', []), change('none', [])];
    expect((await call('POST', 'transactions/commit', { 'table-changes': missing })).status).toBe(404);
    const twice = [change('a', []), change('a', [])];
    expect((await call('POST', 'transactions/commit', { 'table-changes': twice })).status).toBe(400);
    const nameless = [{ requirements: [], updates: [] }];
    expect((await call('POST', 'transactions/commit', { 'table-changes': nameless })).status).toBe(400);
  });

  test('of many clients that append to one table at once each gets through once it has looked again', async () => {
    const ns = await namespace();
    await create(ns, 't');
    const path = `namespaces/${ns}/tables/t`;
    let conflicts = 0;
    const looked = async () => (await call('GET', path)).body.metadata;
    // All begin with the same table, however fast each is.
    const first = await looked();
    const append = async (id: number) => {
      for (let metadata = first; ; metadata = await looked()) {
        const parent = metadata['current-snapshot-id'] ?? null;
        const answer = await call('POST', path, {
          requirements: [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': parent }],
          updates: showing(id, 'main', {
            'sequence-number': metadata['last-sequence-number'] + 1,
            ...(parent === null ? {} : { 'parent-snapshot-id': parent }),
          }),
        });
        if (answer.status === 200) return;
        expect(answer.status, answer.text).toBe(409);
        conflicts += 1;
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, index) => append(index + 1)));
    const metadata = await looked();
    expect(metadata.snapshots.length).toBe(12);
    expect(metadata['last-sequence-number']).toBe(12);
    // A chain: each but the first follows another.
    expect(new Set(metadata.snapshots.map((each: Record<string, unknown>) => each['parent-snapshot-id'])).size).toBe(
      12,
    );
    expect(conflicts).toBeGreaterThanOrEqual(11);
  });

  test('a table is renamed with what people know of it, into namespaces and names that are there and free', async () => {
    const [ns, other] = [await namespace(), await namespace()];
    await create(ns, 'a');
    await create(ns, 'b');
    await server.state.dataTable.update({ where: { name: `${ns}.a` }, data: { title: 'Mine' } });
    const rename = (source: string[], destination: string[]) =>
      call('POST', 'tables/rename', {
        source: { namespace: source.slice(0, -1), name: source.at(-1) },
        destination: { namespace: destination.slice(0, -1), name: destination.at(-1) },
      });
    expect((await rename([ns, 'a'], [ns, 'b'])).body.error.type).toBe('AlreadyExistsException');
    expect((await rename([ns, 'a'], ['nowhere', 'b'])).body.error.type).toBe('NoSuchNamespaceException');
    expect((await rename([ns, 'none'], [other, 'b'])).body.error.type).toBe('NoSuchTableException');
    expect((await rename([ns, 'a'], [other, 'c'])).status).toBe(204);
    expect((await call('HEAD', `namespaces/${ns}/tables/a`)).status).toBe(404);
    expect((await call('HEAD', `namespaces/${other}/tables/c`)).status).toBe(204);
    expect(
      await server.state.dataTable.findUnique({ where: { name: `${other}.c` }, include: { columns: true } }),
    ).toMatchObject({ title: 'Mine', columns: [{ path: 'id' }, { path: 'title' }] });
  });

  test('a dropped table can be registered again; one that is purged is gone with its files, and nothing else', async () => {
    const ns = await namespace();
    const made = await create(ns, 't');
    await create(ns, 'u');
    const location = made.body['metadata-location'];
    expect((await call('DELETE', `namespaces/${ns}/tables/t`)).status).toBe(204);
    expect(await server.state.dataTable.findUnique({ where: { name: `${ns}.t` } })).toBeNull();
    expect(existsSync(filePath(location))).toBe(true);
    const register = (name: string, metadataLocation: string, more = {}) =>
      call('POST', `namespaces/${ns}/register`, { name, 'metadata-location': metadataLocation, ...more });
    expect((await register('u', location)).body.error.type).toBe('AlreadyExistsException');
    const back = await register('t', location);
    expect([back.status, back.body['metadata-location']]).toEqual([200, location]);
    expect((await register('v', location)).body.error.message).toContain('belongs to another table');
    expect((await register('v', 'file:///etc/passwd')).body.error.message).toContain('not in the warehouse');
    expect((await register('v', `${made.body.metadata.location}/../../x`)).status).toBe(400);
    const torn = `${dirname(filePath(location))}/torn.metadata.json`;
    await mkdir(dirname(torn), { recursive: true });
    await copyFile(new URL(import.meta.url), torn);
    expect((await register('v', `file://${torn}`)).status).toBe(400);
    expect((await call('DELETE', `namespaces/${ns}/tables/t?purgeRequested=true`)).status).toBe(204);
    expect(existsSync(filePath(location))).toBe(false);
    expect((await call('GET', `namespaces/${ns}/tables/u`)).status).toBe(200);
    expect((await call('DELETE', `namespaces/${ns}/tables/t`)).body.error.type).toBe('NoSuchTableException');
    const audit = await server.state.auditEvent.findMany({ where: { target: `${ns}.t` }, orderBy: { id: 'asc' } });
    expect(audit.map((event) => event.action)).toEqual(['table.create', 'table.drop', 'table.register', 'table.purge']);
    expect(audit[0]?.actor).toMatch(/^token:owner#/);
  });

  test('a location outside the warehouse is not taken, one inside it is, if it is nobody else’s', async () => {
    const ns = await namespace();
    const outside = await create(ns, 'a', { location: 'file:///tmp/elsewhere' });
    expect(outside.body.metadata.location).toContain(`/warehouse/${ns}/a-`);
    const upwards = await create(ns, 'b', { location: `${server.catalog.warehouseLocation}/../elsewhere` });
    expect(upwards.body.metadata.location).toContain(`/warehouse/${ns}/b-`);
    const inside = `${server.catalog.warehouseLocation}/chosen-${ns}`;
    expect((await create(ns, 'c', { location: `${inside}/` })).body.metadata.location).toBe(inside);
    for (const [name, location] of [
      ['d', inside],
      ['e', `${inside}/below`],
      ['f', server.catalog.warehouseLocation],
    ]) {
      expect((await create(ns, String(name), { location })).body.metadata.location).toContain(
        `/warehouse/${ns}/${name}-`,
      );
    }
    const moved = await call('POST', `namespaces/${ns}/tables/a`, {
      requirements: [],
      updates: [{ action: 'set-location', location: 'file:///etc' }],
    });
    expect(moved.body.metadata.location).toBe(outside.body.metadata.location);
  });
});
