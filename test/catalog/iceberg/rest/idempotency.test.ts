import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Call, creationOf, restClient, showing } from './rest-client.ts';
import { type RestServer, startRestServer } from './rest-server.ts';

describe('requests with an Idempotency-Key', () => {
  let server: RestServer;
  let call: Call;
  beforeAll(async () => {
    server = await startRestServer();
    call = restClient(server.uri, server.tokens.owner);
    await call('POST', 'namespaces', { namespace: ['ns'] });
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  const keyed =
    (key: string): Call =>
    (method, path, body) =>
      call(method, path, body, { 'idempotency-key': key });

  test('are worked once; a repeat gets the first answer, or the table as it is', async () => {
    expect((await call('GET', 'config')).body['idempotency-key-lifetime']).toBe('PT30M');
    const create = keyed(crypto.randomUUID());
    const made = await create('POST', 'namespaces/ns/tables', creationOf('t'));
    expect(made.status, made.text).toBe(200);
    const again = await create('POST', 'namespaces/ns/tables', creationOf('t'));
    expect([again.status, again.body.metadata['table-uuid']]).toEqual([200, made.body.metadata['table-uuid']]);

    const append = keyed(crypto.randomUUID());
    const commit = {
      requirements: [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': null }],
      updates: showing(1),
    };
    const first = await append('POST', 'namespaces/ns/tables/t', commit);
    const second = await append('POST', 'namespaces/ns/tables/t', commit);
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.body['metadata-location']).toBe(first.body['metadata-location']);
    expect((await call('GET', 'namespaces/ns/tables/t')).body.metadata.snapshots.length).toBe(1);

    const transaction = keyed(crypto.randomUUID());
    const tag = { action: 'set-snapshot-ref', 'ref-name': 'kept', type: 'tag', 'snapshot-id': 1 };
    const changes = {
      'table-changes': [
        {
          identifier: { namespace: ['ns'], name: 't' },
          requirements: [{ type: 'assert-ref-snapshot-id', ref: 'kept', 'snapshot-id': null }],
          updates: [tag],
        },
      ],
    };
    expect((await transaction('POST', 'transactions/commit', changes)).status).toBe(204);
    expect((await transaction('POST', 'transactions/commit', changes)).status).toBe(204);

    const namespace = keyed(crypto.randomUUID());
    const body = (await namespace('POST', 'namespaces', { namespace: ['once'], properties: { a: 'b' } })).body;
    expect((await namespace('POST', 'namespaces', { namespace: ['once'], properties: { a: 'b' } })).body).toEqual(body);
    const drop = keyed(crypto.randomUUID());
    expect((await drop('DELETE', 'namespaces/once')).status).toBe(204);
    expect((await drop('DELETE', 'namespaces/once')).status).toBe(204);
    expect((await call('DELETE', 'namespaces/once')).status).toBe(404);
  });

  test('that were refused are refused again in the same words, whatever has changed', async () => {
    const create = keyed(crypto.randomUUID());
    const refused = await create('POST', 'namespaces/later/tables', creationOf('t'));
    expect(refused.body.error.type).toBe('NoSuchNamespaceException');
    await call('POST', 'namespaces', { namespace: ['later'] });
    expect((await create('POST', 'namespaces/later/tables', creationOf('t'))).body).toEqual(refused.body);
  });

  test('with the key of another request, of no form, or of one that is worked on, are told so', async () => {
    const key = crypto.randomUUID();
    await keyed(key)('POST', 'namespaces', { namespace: ['one'] });
    expect((await keyed(key)('POST', 'namespaces', { namespace: ['two'] })).status).toBe(422);
    expect((await keyed('x')('POST', 'namespaces', { namespace: ['two'] })).status).toBe(400);
    // The same key of somebody else is another one.
    const admin = restClient(server.uri, server.tokens.admin);
    const other = await admin('POST', 'namespaces', { namespace: ['two'] }, { 'idempotency-key': key });
    expect(other.status).toBe(200);
    await server.state.icebergReply.updateMany({ data: { status: null } });
    expect((await keyed(key)('POST', 'namespaces', { namespace: ['one'] })).status).toBe(503);
    await server.state.icebergReply.updateMany({ data: { createdAt: new Date(Date.now() - 6 * 60_000) } });
    // Its server has died: worked again, it finds what the first has done.
    expect((await keyed(key)('POST', 'namespaces', { namespace: ['one'] })).status).toBe(409);
  });

  test('sent many times at once take effect once', async () => {
    const once = keyed(crypto.randomUUID());
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => once('POST', 'namespaces/ns/tables', creationOf('many'))),
    );
    const statuses = new Set(answers.map((answer) => answer.status));
    expect([...statuses].filter((status) => status !== 503)).toEqual([200]);
    expect((await once('POST', 'namespaces/ns/tables', creationOf('many'))).status).toBe(200);
  });
});
