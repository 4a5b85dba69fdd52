import { expect, test } from 'vitest';
import type { Principal } from '#catalog/access/principal.ts';
import { icebergRest } from '#catalog/iceberg/rest/iceberg-rest.ts';
import { restDeps } from '../rest-deps.ts';
import { createWarehouse } from '../warehouse.ts';
import { creationOf } from './rest-client.ts';

const owner: Principal = { email: 'token:engine#1', roles: ['owner'], kind: 'token' };
const analyst: Principal = { email: 'ana@studio.example', roles: ['analyst'], kind: 'person' };

test('credentials go to who asks for them, for one table, to write with only to who may write it', async () => {
  await using warehouse = await createWarehouse();
  const asked: [location: string, mayWrite: boolean][] = [];
  const call = async (who: Principal, method: string, path: string, body?: unknown, delegation?: string) => {
    const request = new Request(`http://localhost/iceberg/v1/${path}`, {
      method,
      headers: delegation === undefined ? {} : { 'x-iceberg-access-delegation': delegation },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const deps = restDeps(warehouse.catalog, {
      who,
      storageConfig: { 'client.region': 'us-west-2' },
      vendCredentials: async (location, mayWrite) => {
        asked.push([location, mayWrite]);
        return [{ prefix: `${location}/`, config: { 's3.access-key-id': `key ${mayWrite}` } }];
      },
    });
    const answer = await icebergRest(request, deps);
    return JSON.parse(await answer.text());
  };
  await call(owner, 'POST', 'namespaces', { namespace: ['ns'] });
  const made = await call(owner, 'POST', 'namespaces/ns/tables', creationOf('t'), 'remote-signing, vended-credentials');
  const { location } = made.metadata;
  const writing = [{ prefix: `${location}/`, config: { 's3.access-key-id': 'key true' } }];
  const reading = [{ prefix: `${location}/`, config: { 's3.access-key-id': 'key false' } }];
  expect(made['storage-credentials']).toEqual(writing);
  expect(made.config).toEqual({ 'client.region': 'us-west-2', 's3.access-key-id': 'key true' });

  const plain = await call(owner, 'GET', 'namespaces/ns/tables/t');
  expect([plain['storage-credentials'], plain.config]).toEqual([undefined, { 'client.region': 'us-west-2' }]);
  const signing = await call(owner, 'GET', 'namespaces/ns/tables/t', undefined, 'remote-signing');
  expect(signing['storage-credentials']).toBeUndefined();
  const loaded = await call(analyst, 'GET', 'namespaces/ns/tables/t', undefined, 'vended-credentials');
  expect(loaded['storage-credentials']).toEqual(reading);
  expect(await call(analyst, 'GET', 'namespaces/ns/tables/t/credentials')).toEqual({ 'storage-credentials': reading });
  expect(await call(owner, 'GET', 'namespaces/ns/tables/t/credentials')).toEqual({ 'storage-credentials': writing });

  // The files of a table that a pipeline writes are the pipeline's.
  await warehouse.state.pipeline.create({ data: { name: 'movies', spec: {} } });
  await warehouse.state.pipelineSink.create({ data: { pipelineName: 'movies', kind: 'iceberg', target: 'ns.t' } });
  expect(await call(owner, 'GET', 'namespaces/ns/tables/t/credentials')).toEqual({ 'storage-credentials': reading });
  expect(asked.every(([where]) => where === location)).toBe(true);
});
