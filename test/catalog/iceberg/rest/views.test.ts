import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Call, creationOf, restClient } from './rest-client.ts';
import { type RestServer, startRestServer } from './rest-server.ts';

function viewOf(name: string, sql: string, more: Record<string, unknown> = {}) {
  return {
    name,
    schema: { type: 'struct', 'schema-id': 0, fields: [{ id: 1, name: 'id', required: false, type: 'long' }] },
    'view-version': version(sql),
    properties: {},
    ...more,
  };
}

function version(sql: string, dialect = 'spark') {
  return {
    'version-id': 1,
    'schema-id': 0,
    'timestamp-ms': Date.now(),
    summary: { 'engine-name': dialect },
    representations: [{ type: 'sql', sql, dialect }],
    'default-namespace': ['ns'],
  };
}

describe('views through the REST catalog', () => {
  let server: RestServer;
  let call: Call;
  beforeAll(async () => {
    server = await startRestServer();
    call = restClient(server.uri, server.tokens.owner);
    await call('POST', 'namespaces', { namespace: ['ns'] });
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  const replace = (view: string, sql: string, dialect?: string) =>
    call('POST', `namespaces/ns/views/${view}`, {
      updates: [
        { action: 'add-view-version', 'view-version': version(sql, dialect) },
        { action: 'set-current-view-version', 'view-version-id': -1 },
      ],
    });

  test('a view is made, replaced, kept to its last versions, and dropped', async () => {
    const made = await call('POST', 'namespaces/ns/views', viewOf('v', 'SELECT 0', { location: 'file:///elsewhere' }));
    expect([made.status, made.body.metadata['current-version-id']]).toEqual([200, 1]);
    expect(made.body.metadata.location).toContain('/warehouse/ns/v-');
    for (let count = 1; count <= 12; count++) expect((await replace('v', `SELECT ${count}`)).status).toBe(200);
    const { metadata } = (await call('GET', 'namespaces/ns/views/v')).body;
    expect(metadata['current-version-id']).toBe(13);
    expect(metadata.versions.length).toBe(10);
    expect(metadata['version-log'].length).toBe(10);
    // The same text again is the version that is there already.
    expect((await replace('v', 'SELECT 12')).body.metadata.versions.length).toBe(10);
    expect((await call('GET', 'namespaces/ns/views')).body.identifiers).toEqual([{ namespace: ['ns'], name: 'v' }]);
    expect((await call('DELETE', 'namespaces/ns/views/v')).status).toBe(204);
    expect((await call('GET', 'namespaces/ns/views/v')).body.error.type).toBe('NoSuchViewException');
  });

  test('a dialect that others read is not lost unless the view allows it', async () => {
    await call('POST', 'namespaces/ns/views', viewOf('dialects', 'SELECT 1'));
    const lost = await replace('dialects', 'SELECT 1', 'trino');
    expect([lost.status, lost.body.error.message]).toEqual([400, expect.stringContaining('loss of view dialects')]);
    await call('POST', 'namespaces/ns/views/dialects', {
      updates: [{ action: 'set-properties', updates: { 'replace.drop-dialect.allowed': 'true' } }],
    });
    expect((await replace('dialects', 'SELECT 1', 'trino')).status).toBe(200);
  });

  test('a table and a view never have the same name, also when both are made at once', async () => {
    await call('POST', 'namespaces/ns/views', viewOf('taken', 'SELECT 1'));
    const table = await call('POST', 'namespaces/ns/tables', creationOf('taken'));
    expect([table.status, table.body.error.message]).toEqual([409, 'View with same name already exists: ns.taken']);
    await call('POST', 'namespaces/ns/tables', creationOf('mine'));
    const view = await call('POST', 'namespaces/ns/views', viewOf('mine', 'SELECT 1'));
    expect([view.status, view.body.error.message]).toEqual([409, 'Table with same name already exists: ns.mine']);
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all([
        call('POST', 'namespaces/ns/views', viewOf(`race${round}`, 'SELECT 1')),
        call('POST', 'namespaces/ns/tables', creationOf(`race${round}`)),
      ]);
      expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409]);
    }
  });

  test('commits that stand on another version, or another view, are conflicts', async () => {
    const made = await call('POST', 'namespaces/ns/views', viewOf('busy', 'SELECT 0'));
    const other = await call('POST', 'namespaces/ns/views/busy', {
      requirements: [{ type: 'assert-view-uuid', uuid: crypto.randomUUID() }],
      updates: [],
    });
    expect([other.status, other.body.error.type]).toEqual([409, 'CommitFailedException']);
    const answers = await Promise.all(Array.from({ length: 6 }, (_, index) => replace('busy', `SELECT 1${index}`)));
    const done = answers.filter((answer) => answer.status === 200).length;
    expect(answers.every((answer) => answer.status === 200 || answer.body.error.type === 'CommitFailedException')).toBe(
      true,
    );
    const { metadata } = (await call('GET', 'namespaces/ns/views/busy')).body;
    expect(metadata.versions.length).toBe(1 + done);
    expect(metadata['view-uuid']).toBe(made.body.metadata['view-uuid']);
  });
});
