import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { schemaOf } from '../warehouse.ts';
import { type Call, creationOf, restClient, showing } from './rest-client.ts';
import { type RestServer, startRestServer } from './rest-server.ts';

const schema = schemaOf({ id: 'long', title: 'string' }, ['id']);

describe('what engines may do', () => {
  let server: RestServer;
  let call: Call;
  const path = 'namespaces/production/tables/movie';

  beforeAll(async () => {
    server = await startRestServer();
    call = restClient(server.uri, server.tokens.admin);
    const { state, catalog } = server;
    await state.pipeline.create({ data: { name: 'movies', spec: {} } });
    await state.pipelineSink.create({
      data: { pipelineName: 'movies', kind: 'iceberg', target: 'production.movie' },
    });
    const sink = openSink({ state, catalog, indexDir: `${catalog.warehouse}-index` });
    await snapshot(sink, schema, [[1n, 'First']]);
    await sink.commit(position(1), signal);
    await sink.close();
    await state.dataTable.update({ where: { name: 'production.movie' }, data: { title: 'Movies' } });
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  const commit = (updates: unknown[], requirements: unknown[] = []) => call('POST', path, { requirements, updates });

  test('a table that a pipeline writes refuses what would change its data, and says why', async () => {
    const { metadata } = (await call('GET', path)).body;
    const current = metadata['current-snapshot-id'];
    const sequence = metadata['last-sequence-number'] + 1;
    const refused: [string, unknown[]][] = [
      ['data', showing(77, 'main', { 'sequence-number': sequence, 'parent-snapshot-id': current })],
      ['rollback', [{ action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': current }]],
      ['schema', [{ action: 'add-schema', schema: metadata.schemas[0] }]],
      ['expiry', [{ action: 'remove-snapshots', 'snapshot-ids': [current] }]],
      ['truncation', [{ action: 'remove-snapshot-ref', 'ref-name': 'main' }]],
      ['spec', [{ action: 'add-spec', spec: { fields: [] } }]],
      ['version', [{ action: 'upgrade-format-version', 'format-version': 3 }]],
      ['our property', [{ action: 'set-properties', updates: { 'dailies.key': '[]' } }]],
      ['file layout', [{ action: 'set-properties', updates: { 'write.data.path': 'file:///tmp' } }]],
      ['our property, removed', [{ action: 'remove-properties', removals: ['write.format.default'] }]],
      ['a tag of ours', [{ action: 'remove-snapshot-ref', 'ref-name': 'dailies-day-2026-01-01' }]],
    ];
    for (const [what, updates] of refused) {
      const answer = await commit(updates);
      expect([answer.status, answer.body.error?.type], what).toEqual([403, 'ForbiddenException']);
      expect(answer.body.error.message, what).toContain('production.movie is written by the pipeline "movies"');
    }
    const rename = {
      source: { namespace: ['production'], name: 'movie' },
      destination: { namespace: ['production'], name: 'x' },
    };
    expect((await call('POST', 'tables/rename', rename)).status).toBe(403);
    expect((await call('DELETE', `${path}?purgeRequested=true`)).status).toBe(403);
    const changes = [
      { identifier: { namespace: ['production'], name: 'movie' }, requirements: [], updates: refused[0]?.[1] },
    ];
    expect((await call('POST', 'transactions/commit', { 'table-changes': changes })).status).toBe(403);
    const overwrite = { name: 'movie', 'metadata-location': 'file:///x', overwrite: true };
    expect((await call('POST', 'namespaces/production/register', overwrite)).status).toBe(403);
    expect((await call('GET', path)).body.metadata).toEqual(metadata);
  });

  test('a name that a pipeline will write is not free', async () => {
    await server.state.pipelineSink.create({
      data: { pipelineName: 'movies', kind: 'iceberg', target: 'production.later' },
    });
    expect((await call('POST', 'namespaces/production/tables', creationOf('later'))).status).toBe(403);
  });

  test('it takes tags, branches, statistics and properties of others, and its pipeline writes on', async () => {
    const { metadata } = (await call('GET', path)).body;
    const current = metadata['current-snapshot-id'];
    const allowed: unknown[][] = [
      [{ action: 'set-snapshot-ref', 'ref-name': 'audited', type: 'tag', 'snapshot-id': current }],
      [{ action: 'set-snapshot-ref', 'ref-name': 'trial', type: 'branch', 'snapshot-id': current }],
      [{ action: 'set-properties', updates: { 'team.note': 'ours' } }],
      [{ action: 'remove-snapshot-ref', 'ref-name': 'trial' }],
    ];
    for (const updates of allowed) expect((await commit(updates)).status).toBe(200);
    const after = (await call('GET', path)).body.metadata;
    expect(after.refs.audited).toEqual({ type: 'tag', 'snapshot-id': current });
    expect(after.properties['team.note']).toBe('ours');
    expect(await server.state.dataTable.findUnique({ where: { name: 'production.movie' } })).toMatchObject({
      title: 'Movies',
      pipeline: expect.any(String),
    });
    const { state, catalog } = server;
    const sink = openSink({ state, catalog, indexDir: `${catalog.warehouse}-index` });
    await snapshot(sink, schema, [[1n, 'Second']]);
    await sink.commit(position(2), signal);
    await sink.close();
    const last = (await call('GET', path)).body.metadata;
    expect(last.refs.audited).toEqual({ type: 'tag', 'snapshot-id': current });
    expect(last.properties['team.note']).toBe('ours');
    expect(last['current-snapshot-id']).not.toBe(current);
  });

  test('work on a branch of it leaves what it shows alone, and its pipeline writes on', async () => {
    const { metadata } = (await call('GET', path)).body;
    const current = metadata['current-snapshot-id'];
    const shown = metadata.snapshots.find((each: Record<string, unknown>) => each['snapshot-id'] === current);
    const onBranch = showing(4242, 'trial', {
      'parent-snapshot-id': current,
      'sequence-number': metadata['last-sequence-number'] + 1,
      'manifest-list': shown['manifest-list'],
      summary: shown.summary,
    });
    expect((await commit(onBranch)).status).toBe(200);
    const { state, catalog } = server;
    expect((await catalog.load('production.movie'))?.metadata['current-snapshot-id']).toBe(BigInt(current));
    const sink = openSink({ state, catalog, indexDir: `${catalog.warehouse}-index` });
    await snapshot(sink, schema, [[1n, 'Third']]);
    await sink.commit(position(3), signal);
    await sink.close();
    const after = (await call('GET', path)).body.metadata;
    expect(after.refs.trial).toEqual({ type: 'branch', 'snapshot-id': 4242 });
    expect(after['current-snapshot-id']).not.toBe(current);
    expect(after.snapshots.map((each: Record<string, unknown>) => each['snapshot-id'])).toContain(4242);
  });

  test('everybody with a role reads; owners and admins write; others are told which role they need', async () => {
    for (const role of ['staff', 'analyst'] as const) {
      const reader = restClient(server.uri, server.tokens[role]);
      expect((await reader('GET', path)).status).toBe(200);
      expect((await reader('GET', 'namespaces')).status).toBe(200);
      for (const [method, target, body] of [
        ['POST', 'namespaces', { namespace: ['mine'] }],
        ['POST', 'namespaces/production/tables', creationOf('mine')],
        ['POST', path, { requirements: [], updates: [] }],
        ['POST', 'transactions/commit', { 'table-changes': [] }],
        ['POST', 'namespaces/production/register', { name: 'x', 'metadata-location': 'file:///x' }],
        ['POST', 'namespaces/production/properties', { updates: {} }],
        ['DELETE', path, undefined],
        ['DELETE', 'namespaces/production', undefined],
      ] as const) {
        const answer = await reader(method, target, body);
        expect([answer.status, answer.body.error.type], `${role} ${method} ${target}`).toEqual([
          403,
          'ForbiddenException',
        ]);
        expect(answer.body.error.message).toContain('needs the role owner');
      }
    }
    const owner = restClient(server.uri, server.tokens.owner);
    expect((await owner('POST', 'namespaces/production/tables', creationOf('mine'))).status).toBe(200);
  });

  test('nobody asks without a token that is known', async () => {
    for (const authorization of ['Bearer dly_nothing', 'Bearer dla_e30.AAAA', 'Bearer', 'Basic eDp5']) {
      const answer = await fetch(`${server.uri}/v1/config`, { headers: { authorization } });
      expect(answer.status, authorization).toBe(401);
      expect((await answer.json()).error.type).toBe('NotAuthorizedException');
    }
    expect((await fetch(`${server.uri}/v1/config`)).status).toBe(401);
  });
});
