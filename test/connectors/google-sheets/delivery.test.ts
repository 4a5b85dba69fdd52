import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DailiesError } from '#catalog/error.ts';
import type { ResultColumn, ResultRow } from '#connectors/destination.ts';
import { googleSheets } from '#connectors/google-sheets/google-sheets.ts';
import { Pace } from '#connectors/pace.ts';
import { type GoogleSheetsDouble, startGoogleSheetsDouble } from '#ingest/demo/doubles/google-sheets.ts';
import { QuickClock, Way } from '../delivery-harness.ts';

const columns: ResultColumn[] = [
  { name: 'id', type: { kind: 'long' } },
  { name: 'title', type: { kind: 'string' } },
  { name: 'released', type: { kind: 'date' } },
];
const dune: ResultRow = [1n, 'Dune', 18_900];
const heat: ResultRow = [2n, 'Heat', 9_500];
const alien: ResultRow = [3n, 'Alien', null];

let clock: QuickClock;
let google: GoogleSheetsDouble;

beforeEach(async () => {
  clock = new QuickClock();
  google = await startGoogleSheetsDouble({
    spreadsheets: [{ id: 'sheet1', title: 'Films', tabs: ['Overview'] }],
    now: () => clock.now(),
  });
});

afterEach(() => google.close());

function way(config: Record<string, unknown> = {}): Way {
  const given = {
    spreadsheet: 'sheet1',
    tab: 'Movies',
    credentials: google.serviceAccount,
    mode: 'mirror',
    key: ['id'],
  };
  return new Way(googleSheets, { ...given, ...config }, { googleUrl: google.url, pace: new Pace(clock) });
}

interface Shown {
  cells: string[][];
  values: unknown[][];
}

async function shown(tab = 'Movies'): Promise<Shown> {
  const response = await fetch(`${google.url}/__sheet/sheet1/${tab}`);
  return (await response.json()) as Shown;
}

async function type(row: number, column: number, value: string | number | null): Promise<void> {
  const response = await fetch(`${google.url}/__sheet/sheet1/Movies/cells`, {
    method: 'POST',
    body: JSON.stringify({ row, column, value }),
  });
  expect(response.status).toBe(200);
}

/** As a person does in the browser: through the same API with an account of their own. */
async function asPerson(requests: object[]): Promise<void> {
  google.signIn.refreshTokens.set('ann', 'dailies@studio-sample.iam.gserviceaccount.com');
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'ann' });
  const token = (await (await fetch(`${google.url}/token`, { method: 'POST', body: form })).json()) as {
    access_token: string;
  };
  const response = await fetch(`${google.url}/v4/spreadsheets/sheet1:batchUpdate`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token.access_token}` },
    body: JSON.stringify({ requests }),
  });
  expect(await response.text()).not.toContain('"error"');
  expect(response.status).toBe(200);
}

async function moviesSheetId(): Promise<number> {
  const write = google.requests.findLast((one) => one.path.includes(':batchUpdate'));
  expect(write).toBeDefined();
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'ann' });
  google.signIn.refreshTokens.set('ann', 'dailies@studio-sample.iam.gserviceaccount.com');
  const token = (await (await fetch(`${google.url}/token`, { method: 'POST', body: form })).json()) as {
    access_token: string;
  };
  const response = await fetch(`${google.url}/v4/spreadsheets/sheet1`, {
    headers: { authorization: `Bearer ${token.access_token}` },
  });
  const { sheets } = (await response.json()) as { sheets: { properties: { title: string; sheetId: number } }[] };
  return sheets.find((sheet) => sheet.properties.title === 'Movies')?.properties.sheetId ?? -1;
}

function writes(): number {
  return google.requests.filter((one) => one.method !== 'GET' && one.path.startsWith('/v4/')).length;
}

describe('a mirror in a Google sheet', () => {
  it('makes the tab and its header, shows dates as dates, and writes nothing when nothing changed', async () => {
    const movies = way();
    const first = await movies.run(columns, [dune, heat, alien]);
    expect(first).toMatchObject({ delivered: 3, added: 3, written: 2, errors: [] });
    expect((await shown()).cells).toEqual([
      ['id', 'title', 'released'],
      ['1', 'Dune', '2021-09-30'],
      ['2', 'Heat', '1996-01-05'],
      ['3', 'Alien'],
    ]);
    const before = writes();
    expect(await movies.run(columns, [alien, dune, heat])).toMatchObject({
      delivered: 3,
      added: 0,
      changed: 0,
      written: 0,
    });
    expect(writes()).toBe(before);
  });

  it('takes a row away that people copied, and goes on', async () => {
    const movies = way();
    await movies.run(columns, [dune, heat]);
    await type(3, 0, 1);
    await type(3, 1, 'Dune');
    expect(await movies.run(columns, [dune, heat])).toMatchObject({ delivered: 2, removed: 1, errors: [] });
    expect((await shown()).cells.slice(1)).toEqual([
      ['1', 'Dune', '2021-09-30'],
      ['2', 'Heat', '1996-01-05'],
    ]);
    expect(await movies.run(columns, [dune, heat])).toMatchObject({ delivered: 2, written: 0 });
  });

  it('never lets a text become a formula, a number or a date', async () => {
    const texts = ['=1+1', '00123', '2024-01-01', 'TRUE', "'quoted", '+1', '@x', ' padded '];
    const result = texts.map((text, at): ResultRow => [BigInt(at + 1), text, null]);
    await way().run(columns, result);
    expect((await shown()).values.slice(1).map((row) => row[1])).toEqual(texts);
    expect(await way().run(columns, result)).toMatchObject({ written: 0 });
  });

  it('keeps notes beside their rows over changes, removals, sorting, moved columns and renamed headers', async () => {
    const movies = way();
    await movies.run(columns, [dune, heat, alien]);
    await type(0, 3, 'notes');
    await type(1, 3, 'ask Ann');
    await type(3, 3, 'legal has it');
    const sheetId = await moviesSheetId();
    await asPerson([
      { sortRange: { range: { sheetId, startRowIndex: 1, endRowIndex: 4 }, sortSpecs: [{ dimensionIndex: 1 }] } },
      { moveDimension: { source: { sheetId, dimension: 'COLUMNS', startIndex: 3, endIndex: 4 }, destinationIndex: 0 } },
    ]);
    await type(0, 2, 'Working title');
    const outcome = await movies.run(columns, [[1n, 'Dune: Part One', 18_900], alien, [4n, 'Ran', null]]);
    expect(outcome).toMatchObject({ added: 1, changed: 1, removed: 1 });
    expect((await shown()).cells).toEqual([
      ['notes', 'id', 'Working title', 'released'],
      ['legal has it', '3', 'Alien'],
      ['ask Ann', '1', 'Dune: Part One', '2021-09-30'],
      ['', '4', 'Ran'],
    ]);
  });

  it('keeps the note of a row that leaves, and a row that people added', async () => {
    const movies = way();
    await movies.run(columns, [dune, heat]);
    await type(1, 4, 'why is it gone?');
    await type(3, 0, 'Total');
    await type(3, 1, 'two films');
    await movies.run(columns, [heat, alien]);
    expect((await shown()).cells).toEqual([
      ['id', 'title', 'released'],
      ['', '', '', '', 'why is it gone?'],
      ['2', 'Heat', '1996-01-05'],
      ['Total', 'two films'],
      ['3', 'Alien'],
    ]);
  });

  it('overwrites what people typed into its own columns', async () => {
    const movies = way();
    await movies.run(columns, [dune]);
    await type(1, 1, 'Doon');
    expect(await movies.run(columns, [dune])).toMatchObject({ changed: 1, written: 1 });
    expect((await shown()).cells[1]).toEqual(['1', 'Dune', '2021-09-30']);
  });

  it('adds a column that the report gained to the right of everything', async () => {
    const movies = way();
    await movies.run(columns, [dune]);
    await type(0, 3, 'notes');
    await movies.run([...columns, { name: 'gross', type: { kind: 'double' } }], [[...dune, 402.5]]);
    expect((await shown()).cells).toEqual([
      ['id', 'title', 'released', 'notes', 'gross'],
      ['1', 'Dune', '2021-09-30', '', '402.5'],
    ]);
  });

  it('writes a row once whose answer was lost', async () => {
    const movies = way();
    await movies.run(columns, [dune]);
    google.faults.add({ match: 'POST *values:batchUpdate', kind: 'lost-answer' });
    const outcome = await movies.run(columns, [dune, heat, alien]);
    expect(outcome).toMatchObject({ delivered: 3, written: 1 });
    expect((await shown()).cells.map((row) => row[0])).toEqual(['id', '1', '2', '3']);
  });

  it('makes the tab, its marks and its header once when the answer to the first write was lost', async () => {
    google.faults.add({ match: 'POST *sheet1:batchUpdate', kind: 'lost-answer' });
    expect(await way().run(columns, [dune])).toMatchObject({ added: 1, written: 2 });
    expect((await shown()).cells).toEqual([
      ['id', 'title', 'released'],
      ['1', 'Dune', '2021-09-30'],
    ]);
  });

  it('deletes a row once whose deletion answer was lost', async () => {
    const movies = way();
    await movies.run(columns, [dune, heat, alien]);
    google.faults.add({ match: 'POST *sheet1:batchUpdate', kind: 'lost-answer' });
    await movies.run(columns, [dune, alien]);
    expect((await shown()).cells.map((row) => row[0])).toEqual(['id', '1', '3']);
  });

  it('tells rows that cannot be delivered by their key and delivers the others', async () => {
    const outcome = await way().run(columns, [
      dune,
      [2n, 'x'.repeat(50_001), null],
      [null, 'no key', null],
      [1n, 'twice', null],
    ]);
    expect(outcome.delivered).toBe(1);
    expect(outcome.errors.map((error) => error.key)).toEqual(['2', '', '1']);
    expect(outcome.errors[0]?.message).toContain('50000');
  });

  it('grows the grid for more rows than it has', async () => {
    const many = Array.from({ length: 2_500 }, (_, at): ResultRow => [BigInt(at), `film ${at}`, 10_000 + at]);
    const movies = way();
    await movies.run(columns, many.slice(0, 10));
    await movies.run(columns, many);
    const { cells } = await shown();
    expect(cells.length).toBe(2_501);
    expect(cells[2_500]).toEqual(['2499', 'film 2499', '2004-03-22']);
    expect(await movies.run(columns, many)).toMatchObject({ written: 0 });
    expect(await movies.run(columns, many.slice(2_000))).toMatchObject({ removed: 2_000 });
    expect((await shown()).cells.length).toBe(501);
  });
});

describe('the other modes', () => {
  it('upsert leaves what the result no longer has', async () => {
    const movies = way({ mode: 'upsert' });
    await movies.run(columns, [dune, heat]);
    await movies.run(columns, [[2n, 'Heat!', 9_500], alien]);
    expect((await shown()).cells.slice(1).map((row) => row[1])).toEqual(['Dune', 'Heat!', 'Alien']);
  });

  it('append with a key adds only keys not delivered before, one whose answer was lost once', async () => {
    const movies = way({ mode: 'append' });
    google.faults.add({ match: 'POST *values:batchUpdate', kind: 'lost-answer' });
    await movies.run(columns, [dune]);
    await movies.run(columns, [[1n, 'other', null], heat]);
    expect((await shown()).cells.slice(1).map((row) => row[1])).toEqual(['Dune', 'Heat']);
  });

  it('append without a key adds every row of every run, and each run once', async () => {
    const movies = way({ mode: 'append', key: undefined });
    await movies.run(columns, [dune, heat], 'a');
    google.faults.add({ match: 'POST *sheet1*atchUpdate', kind: 'lost-answer' });
    await movies.run(columns, [dune, heat], 'b');
    await movies.run(columns, [dune, heat], 'b');
    movies.ledger.rows.clear();
    await movies.run(columns, [dune, heat], 'b');
    expect((await shown()).cells.slice(1).map((row) => row[1])).toEqual(['Dune', 'Heat', 'Dune', 'Heat']);
  });

  it('replace writes its columns in the order of the result and empties what is below', async () => {
    const movies = way({ mode: 'replace', key: undefined });
    await movies.run(columns, [dune, heat, alien]);
    await type(2, 3, 'mine');
    await movies.run(columns, [alien, dune]);
    expect((await shown()).cells).toEqual([
      ['id', 'title', 'released'],
      ['3', 'Alien'],
      ['1', 'Dune', '2021-09-30', 'mine'],
    ]);
    expect(await movies.run(columns, [alien, dune])).toMatchObject({ written: 0 });
  });
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
    [403, 'destination_forbidden', 'Share the sheet with dailies@studio-sample.iam.gserviceaccount.com as an editor'],
    [404, 'destination_not_found', "Check the spreadsheet's id"],
    [500, 'destination_unreachable', 'answered 500'],
  ])('%i', async (status, code, sentence) => {
    google.faults.add({ match: '/v4/', kind: 'status', status, times: 50 });
    const error = await failing(way());
    expect(error.code).toBe(code);
    expect(error.message).toContain(sentence);
  });

  it('waits as long as a 429 says, and goes on', async () => {
    google.faults.add({ match: '/v4/', kind: 'status', status: 429, headers: { 'retry-after': '7' }, times: 2 });
    expect(await way().run(columns, [dune])).toMatchObject({ added: 1 });
    expect(clock.slept).toBeGreaterThanOrEqual(14_000);
  });

  it('gives up on 429s that do not end', async () => {
    google.faults.add({ match: '/v4/', kind: 'status', status: 429, times: 50 });
    expect((await failing(way())).code).toBe('destination_throttled');
  });

  it('asks for a new access token when Google withdrew the old one', async () => {
    const movies = way();
    await movies.run(columns, [dune]);
    google.signIn.revokeAll();
    expect(await movies.run(columns, [dune, heat])).toMatchObject({ added: 1 });
  });

  it('a credential that is none, an unknown account, a sheet that is not shared, no such sheet', async () => {
    expect((await failing(way({ credentials: '{"a":1}' }))).code).toBe('destination_unauthenticated');
    const other = JSON.stringify({
      ...JSON.parse(google.serviceAccount),
      client_email: 'who@x.iam.gserviceaccount.com',
    });
    expect((await failing(way({ credentials: other }))).code).toBe('destination_unauthenticated');
    google.addSpreadsheet({ id: 'private', title: 'Private', editors: ['ann@studio.example'] });
    expect((await failing(way({ spreadsheet: 'private' }))).message).toContain('Share the sheet with dailies@');
    expect((await failing(way({ spreadsheet: 'nowhere' }))).code).toBe('destination_not_found');
  });

  it('a protected range over its columns', async () => {
    const movies = way();
    await movies.run(columns, [dune]);
    const sheetId = await moviesSheetId();
    await asPerson([
      { addProtectedRange: { protectedRange: { range: { sheetId }, editors: { users: ['ann@studio.example'] } } } },
    ]);
    try {
      await movies.run(columns, [dune, heat]);
      expect.unreachable();
    } catch (thrown) {
      expect((thrown as DailiesError).code).toBe('destination_forbidden');
      expect((thrown as DailiesError).message).toContain('protected range of the tab Movies');
    }
  });

  it('two columns of one name, a key that is no column', async () => {
    await expect(way().run([...columns, ...columns], [[...dune, ...dune]])).rejects.toThrow('two columns named id');
    await expect(way({ key: ['movie_id'] }).run(columns, [dune])).rejects.toThrow('It has id, title, released');
  });
});

it('goes through a proxy whose address has a path', async () => {
  const seen: string[] = [];
  const proxy = createServer(async (request, response) => {
    seen.push(request.url ?? '');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = await fetch(`${google.url}${(request.url ?? '').replace('/through/google', '')}`, {
      method: request.method ?? 'GET',
      headers: {
        authorization: request.headers.authorization ?? '',
        'content-type': request.headers['content-type'] ?? '',
      },
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    });
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(await answer.text());
  }).listen(0);
  const { port } = proxy.address() as AddressInfo;
  const config = {
    spreadsheet: 'sheet1',
    tab: 'Movies',
    credentials: google.serviceAccount,
    mode: 'mirror',
    key: ['id'],
  };
  const movies = new Way(googleSheets, config, {
    googleUrl: `http://127.0.0.1:${port}/through/google`,
    pace: new Pace(clock),
  });
  expect(await movies.run(columns, [dune])).toMatchObject({ added: 1 });
  expect(seen.every((one) => one.startsWith('/through/google/'))).toBe(true);
  proxy.close();
});

it('keeps within 60 requests a minute for one account', async () => {
  const movies = way();
  for (let run = 0; run < 80; run++) await movies.run(columns, [[1n, `Dune ${run}`, 18_900]]);
  expect(google.requests.filter((one) => one.status === 429)).toEqual([]);
  expect(clock.slept).toBeGreaterThan(0);
});
