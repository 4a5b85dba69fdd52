import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DailiesError } from '#catalog/error.ts';
import { airtable } from '#connectors/airtable/airtable.ts';
import type { ResultColumn, ResultRow } from '#connectors/destination.ts';
import { Pace } from '#connectors/pace.ts';
import { type AirtableDouble, startAirtableDouble } from '#ingest/demo/doubles/airtable.ts';
import { QuickClock, Way } from '../delivery-harness.ts';

const columns: ResultColumn[] = [
  { name: 'id', type: { kind: 'long' } },
  { name: 'title', type: { kind: 'string' } },
  { name: 'released', type: { kind: 'date' } },
  { name: 'gross', type: { kind: 'decimal', precision: 12, scale: 2 } },
  { name: 'done', type: { kind: 'boolean' } },
  { name: 'seen', type: { kind: 'timestamptz' } },
];
const dune: ResultRow = [1n, 'Dune', 18_900, 40_250n, true, 1_600_000_000_000_000n];
const heat: ResultRow = [2n, 'Heat', 9_500, null, false, null];

let clock: QuickClock;
let service: AirtableDouble;

beforeEach(async () => {
  clock = new QuickClock();
  service = await startAirtableDouble({
    bases: [
      { id: 'app1', name: 'Films', tables: [{ name: 'Movies', fields: [{ name: 'Name', type: 'singleLineText' }] }] },
    ],
    now: () => clock.now(),
  });
});

afterEach(() => service.close());

function way(config: Record<string, unknown> = {}): Way {
  const given = { base: 'app1', table: 'Movies', credentials: service.token, mode: 'upsert', key: ['id'] };
  return new Way(airtable, { ...given, ...config }, { airtableUrl: service.url, pace: new Pace(clock) });
}

interface Shown {
  fields: { name: string; type: string }[];
  records: { id: string; fields: Record<string, unknown> }[];
}

async function shown(): Promise<Shown> {
  return (await (await fetch(`${service.url}/__base/app1/Movies`)).json()) as Shown;
}

async function type(record: string, field: string, value: unknown): Promise<void> {
  const response = await fetch(`${service.url}/__base/app1/Movies/cells`, {
    method: 'POST',
    body: JSON.stringify({ record, field, value }),
  });
  expect(response.status).toBe(200);
}

describe('a keyed upsert into Airtable', () => {
  it('makes the missing fields with their types, and sends nothing when nothing changed', async () => {
    const movies = way();
    const first = await movies.run(columns, [dune, heat]);
    expect(first).toMatchObject({ delivered: 2, added: 2, written: 7, errors: [] });
    const { fields, records } = await shown();
    expect(fields.map((field) => `${field.name} ${field.type}`)).toEqual([
      'Name singleLineText',
      'id number',
      'title multilineText',
      'released date',
      'gross number',
      'done checkbox',
      'seen dateTime',
    ]);
    expect(records.map((record) => record.fields)).toEqual([
      { id: 1, title: 'Dune', released: '2021-09-30', gross: 402.5, done: true, seen: '2020-09-13T12:26:40.000Z' },
      { id: 2, title: 'Heat', released: '1996-01-05' },
    ]);
    const before = service.requests.length;
    expect(await movies.run(columns, [heat, dune])).toMatchObject({ delivered: 2, written: 0 });
    expect(service.requests.length).toBe(before);
  });

  it('never touches the fields of people, and sends ten records a request, only those that changed', async () => {
    const many = Array.from({ length: 35 }, (_, at): ResultRow => [BigInt(at), `film ${at}`, null, null, null, null]);
    const movies = way();
    await movies.run(columns, many);
    const { records } = await shown();
    await type(records[3]?.id ?? '', 'Name', 'ask Ann');
    const changed = many.map(
      (row, at): ResultRow => (at < 12 ? [row[0] ?? null, `FILM ${at}`, null, null, null, null] : row),
    );
    expect(await movies.run(columns, changed)).toMatchObject({ changed: 12, written: 2 });
    const after = (await shown()).records;
    expect(after.length).toBe(35);
    expect(after[3]?.fields).toEqual({ Name: 'ask Ann', id: 3, title: 'FILM 3' });
  });

  it('doubles nothing when answers are lost', async () => {
    const movies = way({ mode: 'mirror' });
    service.faults.add({ match: 'POST ', kind: 'lost-answer', times: 2 });
    service.faults.add({ match: 'PATCH ', kind: 'lost-answer' });
    await movies.run(columns, [dune, heat]);
    expect((await shown()).records.length).toBe(2);
    service.faults.add({ match: 'DELETE ', kind: 'lost-answer' });
    expect(await movies.run(columns, [heat])).toMatchObject({ removed: 1 });
    expect((await shown()).records.map((record) => record.fields.title)).toEqual(['Heat']);
  });

  it('tells the one record that Airtable refuses and delivers its neighbours', async () => {
    const movies = way();
    await movies.run(columns, [dune, heat]);
    await type((await shown()).records[1]?.id ?? '', 'id', 1);
    const outcome = await movies.run(columns, [
      [1n, 'Dune!', null, null, null, null],
      [3n, 'Ran', null, null, null, null],
    ]);
    expect(outcome).toMatchObject({ delivered: 1, added: 1 });
    expect(outcome.errors).toEqual([
      { key: '1', message: expect.stringContaining('more than one record has this key') },
    ]);
  });

  it('leaves values that a number or a date cannot hold exactly as text', async () => {
    const precise: ResultRow = [2n ** 60n, 'x', null, 1n, null, 1_600_000_000_000_001n];
    await way().run(columns, [precise]);
    const { records, fields } = await shown();
    expect(records[0]?.fields).toMatchObject({ id: String(2n ** 60n), seen: '2020-09-13T12:26:40.000001Z' });
    expect(fields.find((field) => field.name === 'seen')?.type).toBe('singleLineText');
  });

  it('keeps within five requests a second', async () => {
    const many = Array.from({ length: 400 }, (_, at): ResultRow => [BigInt(at), `film ${at}`, null, null, null, null]);
    await way().run(columns, many);
    expect(service.requests.filter((one) => one.status === 429)).toEqual([]);
    expect(clock.slept).toBeGreaterThan(7_000);
  });
});

it('mirror removes records that it brought, and no others', async () => {
  const movies = way({ mode: 'mirror' });
  await movies.run(columns, [dune, heat]);
  await fetch(`${service.url}/v0/app1/Movies`, {
    method: 'POST',
    headers: { authorization: `Bearer ${service.token}` },
    body: JSON.stringify({ records: [{ fields: { Name: 'mine' } }] }),
  });
  await movies.run(columns, [heat]);
  expect((await shown()).records.map((record) => record.fields.Name ?? record.fields.title)).toEqual(['Heat', 'mine']);
});

it('refuses by name what Airtable cannot do', () => {
  const config = { base: 'app1', table: 'T', credentials: 'x', mode: 'replace', key: ['a'] };
  expect(airtable.config.safeParse(config).error?.issues[0]?.message).toContain('replace is not supported');
  expect(
    airtable.config.safeParse({ ...config, mode: 'upsert', key: ['a', 'b', 'c', 'd'] }).error?.issues[0]?.message,
  ).toContain('3 columns');
});

describe('what a person has to mend is said in a sentence', () => {
  const failing = async (movies: Way): Promise<DailiesError> => {
    try {
      await movies.run(columns, [dune]);
    } catch (thrown) {
      return thrown as DailiesError;
    }
    throw new Error('it was expected to fail');
  };

  it.each([
    [401, 'destination_unauthenticated', 'set the secret again'],
    [403, 'destination_forbidden', 'schema.bases:write'],
    [404, 'destination_not_found', 'no Airtable base app1'],
    [500, 'destination_unreachable', 'answered 500'],
    [503, 'destination_unreachable', 'answered 503'],
  ])('%i', async (status, code, sentence) => {
    service.faults.add({ match: '/v0/', kind: 'status', status, times: 50 });
    const error = await failing(way());
    expect(error.code).toBe(code);
    expect(error.message).toContain(sentence);
  });

  it('waits out the 30 seconds of a 429', async () => {
    service.faults.add({ match: '/v0/', kind: 'status', status: 429 });
    expect(await way().run(columns, [dune])).toMatchObject({ added: 1 });
    expect(clock.slept).toBeGreaterThanOrEqual(30_000);
  });

  it('a wrong token, an unknown table, a computed field', async () => {
    expect((await failing(way({ credentials: 'pat.wrong' }))).code).toBe('destination_unauthenticated');
    expect((await failing(way({ table: 'Films' }))).message).toContain('It has Movies');
    service.base('app1')?.tables[0]?.fields.push({ id: 'fldX', name: 'title', type: 'formula' });
    expect((await failing(way())).message).toContain('The field title');
  });
});
