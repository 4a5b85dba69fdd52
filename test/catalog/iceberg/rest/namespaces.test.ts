import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { joinName } from '#catalog/iceberg/tables/table-name.ts';
import { type Call, creationOf, restClient } from './rest-client.ts';
import { type RestServer, startRestServer } from './rest-server.ts';

const separator = '%1F';

describe('namespaces through the REST catalog', () => {
  let server: RestServer;
  let call: Call;

  beforeAll(async () => {
    server = await startRestServer();
    call = restClient(server.uri, server.tokens.owner);
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  const create = (namespace: string[], properties?: Record<string, string>) =>
    call('POST', 'namespaces', { namespace, ...(properties ? { properties } : {}) });
  const children = async (parent: string[]) => {
    const query = parent.length === 0 ? '' : `?parent=${parent.map(encodeURIComponent).join(separator)}`;
    return (await call('GET', `namespaces${query}`)).body.namespaces as string[][];
  };

  test('are made with those above them, and dropped only when they are empty', async () => {
    expect((await create(['deep', 'er', 'est'], { owner: 'me' })).body).toEqual({
      namespace: ['deep', 'er', 'est'],
      properties: { owner: 'me' },
    });
    expect(await children([])).toContainEqual(['deep']);
    expect(await children(['deep'])).toEqual([['deep', 'er']]);
    expect(await children(['deep', 'er'])).toEqual([['deep', 'er', 'est']]);
    expect((await create(['deep', 'er'])).body.error.type).toBe('AlreadyExistsException');
    const full = await call('DELETE', `namespaces/deep${separator}er`);
    expect([full.status, full.body.error]).toEqual([
      409,
      {
        code: 409,
        type: 'NamespaceNotEmptyException',
        message: 'Namespace deep.er is not empty: it contains 1 namespace.',
      },
    ]);
    await call('POST', `namespaces/deep${separator}er${separator}est/tables`, creationOf('t'));
    expect((await call('DELETE', `namespaces/deep${separator}er${separator}est`)).body.error.message).toContain(
      '1 table',
    );
    await call('DELETE', `namespaces/deep${separator}er${separator}est/tables/t`);
    expect((await call('DELETE', `namespaces/deep${separator}er${separator}est`)).status).toBe(204);
    expect((await call('DELETE', `namespaces/deep${separator}er${separator}est`)).status).toBe(404);
  });

  test('have properties that are set and removed, each key told', async () => {
    await create(['props'], { a: '1', b: '2' });
    const change = await call('POST', 'namespaces/props/properties', {
      removals: ['a', 'none'],
      updates: { c: '3' },
    });
    expect(change.body).toEqual({ updated: ['c'], removed: ['a'], missing: ['none'] });
    expect((await call('GET', 'namespaces/props')).body.properties).toEqual({ b: '2', c: '3' });
    const both = await call('POST', 'namespaces/props/properties', { removals: ['c'], updates: { c: '4' } });
    expect([both.status, both.body.error.type]).toEqual([422, 'UnprocessableEntityException']);
    const changes = Array.from({ length: 20 }, (_, index) =>
      call('POST', 'namespaces/props/properties', { updates: { [`key-${index}`]: 'x' } }),
    );
    await Promise.all(changes);
    expect(Object.keys((await call('GET', 'namespaces/props')).body.properties).length).toBe(22);
  });

  test('and tables may have any name: dots, slashes, blanks, plus signs, quotes, other scripts', async () => {
    const odd = ['a.b', 'a/b', 'a b', 'a+b', 'a"b', 'a%b', 'фильм', '電影', 'UPPER', "it's"];
    for (const level of odd) {
      expect((await create([level])).status, level).toBe(200);
      expect((await create([level, level])).status, level).toBe(200);
      const path = `namespaces/${encodeURIComponent(level)}${separator}${encodeURIComponent(level)}/tables`;
      expect((await call('POST', path, creationOf(level))).status, level).toBe(200);
      const listed = (await call('GET', path)).body.identifiers;
      expect(listed).toEqual([{ namespace: [level, level], name: level }]);
      expect((await call('GET', `${path}/${encodeURIComponent(level)}`)).status, level).toBe(200);
      expect(await server.catalog.locate(joinName([level, level, level]))).not.toBeNull();
    }
    // "a.b" is not b in a, and Java's clients write a blank as a plus sign.
    expect((await call('GET', `namespaces/a${separator}b`)).status).toBe(404);
    expect((await call('GET', 'namespaces/a+b')).body.namespace).toEqual(['a b']);
    for (const bad of ['%00', '%E0%A4%A', `a${separator}${separator}b`]) {
      expect((await call('GET', `namespaces/${bad}`)).status, bad).toBe(400);
    }
    expect((await create([])).status).toBe(400);
    expect((await create(['a', ''])).status).toBe(400);
  });

  test('are listed page by page, each name once, also while others come and go', async () => {
    await create(['pages']);
    const names = Array.from({ length: 23 }, (_, index) => `n${String(index).padStart(2, '0')}`);
    await server.state.icebergNamespace.createMany({
      data: names.map((name) => ({ name: `pages.${name}`, levels: ['pages', name] })),
    });
    const seen: string[] = [];
    let token: string | null = '';
    let pages = 0;
    while (token !== null) {
      const answer: { body: { namespaces: string[][]; 'next-page-token': string | null } } = await call(
        'GET',
        `namespaces?parent=pages&pageSize=5&pageToken=${token}`,
      );
      expect(answer.body.namespaces.length).toBeLessThanOrEqual(5);
      seen.push(...answer.body.namespaces.map((levels) => levels[1] ?? ''));
      token = answer.body['next-page-token'];
      // One that was seen goes, one comes before where we are.
      if (pages++ === 1) {
        await server.state.icebergNamespace.delete({ where: { name: 'pages.n01' } });
        await server.state.icebergNamespace.create({ data: { name: 'pages.n00a', levels: ['pages', 'n00a'] } });
      }
    }
    expect(seen).toEqual(names);
    expect((await call('GET', 'namespaces?parent=pages')).body['next-page-token']).toBeNull();
    for (const size of ['0', '-1', 'many', '1.5']) {
      expect((await call('GET', `namespaces?pageSize=${size}`)).status, size).toBe(400);
    }
  });

  test('of 20,000 tables answer page by page without reading all', async () => {
    await create(['big']);
    await server.state.$executeRaw`
      INSERT INTO "IcebergTable" ("namespaceName", "name", "uuid", "metadataLocation", "updatedAt")
      SELECT 'big', 't' || n, 'u' || n, 'file:///none/' || n, now() FROM generate_series(1, 20000) AS n`;
    const first = await call('GET', 'namespaces/big/tables?pageToken=');
    expect(first.body.identifiers.length).toBe(10_000);
    const second = await call('GET', `namespaces/big/tables?pageToken=${first.body['next-page-token']}`);
    expect(second.body.identifiers.length).toBe(10_000);
    expect(second.body['next-page-token']).toBeNull();
    // A client that knows no pages gets all.
    expect((await call('GET', 'namespaces/big/tables')).body.identifiers.length).toBe(20_000);
  });
});
