import { expect, it } from 'vitest';
import { type AirtableDouble, startAirtableDouble } from '#ingest/demo/doubles/airtable.ts';

const bases = [
  {
    id: 'app1',
    name: 'Base',
    tables: [
      {
        name: 'T',
        fields: [
          { name: 'Name', type: 'singleLineText' },
          { name: 'n', type: 'number', options: { precision: 0 } },
        ],
      },
    ],
  },
];

async function call(service: AirtableDouble, method: string, path: string, body?: object) {
  const response = await fetch(`${service.url}/v0/app1/${path}`, {
    method,
    headers: { authorization: `Bearer ${service.token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

it('holds the rules of records: ten a write, a hundred a page, types, all or nothing, empty left out', async () => {
  const service = await startAirtableDouble({ bases, quota: { perSecond: 1_000, lockOutMs: 1 } });
  const record = (n: unknown) => ({ fields: { Name: `r${n}`, n } });
  const eleven = Array.from({ length: 11 }, (_, at) => record(at));
  expect((await call(service, 'POST', 'T', { records: eleven })).status).toBe(422);
  expect((await call(service, 'POST', 'T', { records: [record(1), record('x')] })).body).toMatchObject({
    error: { type: 'INVALID_VALUE_FOR_COLUMN' },
  });
  for (let page = 0; page < 12; page++) await call(service, 'POST', 'T', { records: eleven.slice(0, 10) });
  const first = await call(service, 'GET', 'T?fields[]=n');
  expect(first.body.records.length).toBe(100);
  const second = await call(service, 'GET', `T?offset=${first.body.offset}`);
  expect(second.body.records.length).toBe(20);
  const [one] = second.body.records;
  await call(service, 'PATCH', `T/${one.id}`, { fields: { Name: '' } });
  expect((await call(service, 'GET', `T/${one.id}`)).body.fields).toEqual({ n: one.fields.n });
  await service.close();
});

it('merges by key: makes, changes, and refuses a key that two records have', async () => {
  const service = await startAirtableDouble({ bases });
  const upsert = (n: number, Name: string) =>
    call(service, 'PATCH', 'T', { performUpsert: { fieldsToMergeOn: ['n'] }, records: [{ fields: { n, Name } }] });
  const made = await upsert(1, 'a');
  expect(made.body.createdRecords).toEqual([made.body.records[0].id]);
  expect((await upsert(1, 'b')).body.updatedRecords).toEqual(made.body.createdRecords);
  await call(service, 'POST', 'T', { records: [{ fields: { n: 1 } }] });
  expect((await upsert(1, 'c')).status).toBe(422);
  await service.close();
});

it('shuts a base for 30 seconds after a sixth request in a second', async () => {
  let now = 1_000_000;
  const service = await startAirtableDouble({ bases, now: () => now });
  for (let count = 0; count < 5; count++) expect((await call(service, 'GET', 'T')).status).toBe(200);
  expect((await call(service, 'GET', 'T')).status).toBe(429);
  now += 29_000;
  expect((await call(service, 'GET', 'T')).status).toBe(429);
  now += 1_001;
  expect((await call(service, 'GET', 'T')).status).toBe(200);
  await service.close();
});
