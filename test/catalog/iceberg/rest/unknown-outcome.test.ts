import { expect, test } from 'vitest';
import { icebergRest } from '#catalog/iceberg/rest/iceberg-rest.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { listFiles } from '#catalog/iceberg/storage.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { State } from '#catalog/state/state.ts';
import { restDeps } from '../rest-deps.ts';
import { createWarehouse } from '../warehouse.ts';
import { creationOf, showing } from './rest-client.ts';

/** A state database whose connection breaks at the end of each transaction, after it was applied or before. */
function losingAnswers(state: State, isApplied: boolean): State {
  return new Proxy(state, {
    get(target, property) {
      if (property !== '$transaction') return Reflect.get(target, property);
      return async (work: never, options: never) => {
        if (isApplied) await target.$transaction(work, options);
        throw new Error('Connection terminated unexpectedly');
      };
    },
  });
}

test('a commit whose outcome the database cannot tell is answered as such, and its files stay', async () => {
  await using warehouse = await createWarehouse();
  const reported: string[] = [];
  const call = async (catalog: IcebergCatalog, path: string, body: unknown) => {
    const request = new Request(`http://localhost/iceberg/v1/${path}`, { method: 'POST', body: JSON.stringify(body) });
    const answer = await icebergRest(request, restDeps(catalog, { report: (line) => reported.push(line) }));
    return { status: answer.status, body: JSON.parse(await answer.text()) };
  };
  const { catalog, state } = warehouse;
  await call(catalog, 'namespaces', { namespace: ['ns'] });
  const made = await call(catalog, 'namespaces/ns/tables', creationOf('t'));
  const files = async () => {
    const found: string[] = [];
    for await (const file of listFiles(made.body.metadata.location)) found.push(filePath(file.location));
    return found.length;
  };

  const applied = new IcebergCatalog(losingAnswers(state, true), catalog.warehouse);
  const done = await call(applied, 'namespaces/ns/tables/t', { requirements: [], updates: showing(1) });
  expect([done.status, done.body.metadata['current-snapshot-id']]).toEqual([200, 1]);
  expect(await files()).toBe(2);

  const lost = new IcebergCatalog(losingAnswers(state, false), catalog.warehouse);
  const tag = { action: 'set-snapshot-ref', 'ref-name': 'kept', type: 'tag', 'snapshot-id': 1 };
  const unknown = await call(lost, 'namespaces/ns/tables/t', { requirements: [], updates: [tag] });
  expect([unknown.status, unknown.body.error.type]).toEqual([500, 'CommitStateUnknownException']);
  expect(await files()).toBe(3);
  expect(reported.length).toBe(1);
  expect((await catalog.load('ns.t'))?.metadata.refs).toEqual({ main: { type: 'branch', 'snapshot-id': 1n } });
});
