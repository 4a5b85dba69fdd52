import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { icebergRest } from '#catalog/iceberg/rest/iceberg-rest.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { restDeps } from '../rest-deps.ts';
import { createWarehouse, schemaOf } from '../warehouse.ts';

const schema = schemaOf({ id: 'long' }, ['id']);

test('the REST catalog lists and loads tables, page by page, and refuses the rest in the protocol’s own words', async () => {
  await using warehouse = await createWarehouse();
  const sourceTables = ['a', 'b', 'c', 'fee'].map((table) => `production.public.${table}`);
  const sink = openSink(warehouse, { sourceTables });
  for (const table of sourceTables) await snapshot(sink, schema, [[1n]], table);
  await sink.commit(position(1), signal);
  await sink.close();
  const call = async (path: string, method = 'GET') => {
    const request = new Request(`http://localhost:3000/iceberg/v1/${path}`, { method });
    const response = await icebergRest(
      request,
      restDeps(warehouse.catalog, { mayRead: (table) => table !== 'production.fee' }),
    );
    const text = await response.text();
    return { status: response.status, text, body: text === '' ? null : JSON.parse(text) };
  };

  const config = await call('config?warehouse=dailies');
  expect(config.body.endpoints).toContain('GET /v1/{prefix}/namespaces/{namespace}/tables/{table}');
  expect((await call('config?warehouse=')).status).toBe(200);
  expect((await call('config?warehouse=other')).body.error).toMatchObject({ code: 400, type: 'BadRequestException' });

  expect((await call('namespaces')).body).toEqual({ namespaces: [['production']], 'next-page-token': null });
  expect((await call('namespaces?parent=nowhere')).body.error.type).toBe('NoSuchNamespaceException');
  expect((await call('namespaces/production')).body.namespace).toEqual(['production']);
  expect((await call('namespaces/production', 'HEAD')).status).toBe(204);
  expect((await call('namespaces/nowhere', 'HEAD')).status).toBe(404);
  expect((await call('namespaces/nowhere')).body.error).toEqual({
    message: 'Namespace does not exist: nowhere',
    type: 'NoSuchNamespaceException',
    code: 404,
  });

  const names: string[] = [];
  let token: string | null = '';
  while (token !== null) {
    const page = await call(`namespaces/production/tables?pageToken=${token}&pageSize=3`);
    names.push(...page.body.identifiers.map((each: { name: string }) => each.name));
    token = page.body['next-page-token'];
  }
  expect(names).toEqual(['a', 'b', 'c', 'fee']);
  expect((await call('namespaces/production/tables?pageToken=')).body.identifiers.length).toBe(4);

  const location = (await warehouse.catalog.locate('production.a')) ?? '';
  const loaded = await call('namespaces/production/tables/a');
  expect(loaded.body['metadata-location']).toBe(location);
  // To the byte, so that no 64-bit id is rounded.
  expect(loaded.text).toContain(await readFile(filePath(location), 'utf8'));
  expect((await call('namespaces/production/tables/a?snapshots=refs')).body.metadata.snapshots.length).toBe(1);
  expect((await call('namespaces/production/tables/a', 'HEAD')).status).toBe(204);
  expect((await call('namespaces/production/tables/none', 'HEAD')).status).toBe(404);
  expect((await call('namespaces/production/tables/none')).body.error.type).toBe('NoSuchTableException');
  expect((await call('namespaces/production/tables/fee')).body.error).toMatchObject({
    code: 403,
    type: 'ForbiddenException',
  });

  expect((await call('namespaces/production/tables/a/metrics', 'POST')).status).toBe(204);
  expect((await call('views')).status).toBe(404);
  expect((await call('namespaces/production/tables/a', 'PATCH')).status).toBe(405);
});
