import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sheets } from '@googleapis/sheets';
import { OAuth2Client } from 'google-auth-library';
import { expect, it } from 'vitest';
import { type GoogleSheetsDouble, startGoogleSheetsDouble } from '#ingest/demo/doubles/google-sheets.ts';

const spreadsheetId = 's1';
const start = (more: object = {}) =>
  startGoogleSheetsDouble({ spreadsheets: [{ id: 's1', title: 'T', tabs: ['A tab'] }], ...more });

/** Google's own client, signed in by Google's own means as a person with a refresh token. */
function client(google: GoogleSheetsDouble) {
  google.signIn.refreshTokens.set('refresh', 'dailies@studio-sample.iam.gserviceaccount.com');
  const auth = new OAuth2Client({
    clientId: 'c',
    clientSecret: 's',
    endpoints: { oauth2TokenUrl: `${google.url}/token` },
  });
  auth.setCredentials({ refresh_token: 'refresh' });
  return sheets({ version: 'v4', auth, rootUrl: google.url, retry: false }).spreadsheets;
}

it('writes RAW and USER_ENTERED as Google does, skips null, clears by empty text', async () => {
  const google = await start();
  const api = client(google);
  const write = (valueInputOption: string, values: unknown[][]) =>
    api.values.update({ spreadsheetId, range: "'A tab'!A1", valueInputOption, requestBody: { values } });
  await write('RAW', [['=1+1', '007', 7, true]]);
  await write('USER_ENTERED', [[null, '007', null, '', '2026-01-31']]);
  const read = async (valueRenderOption: string) =>
    (await api.values.get({ spreadsheetId, range: 'A tab', valueRenderOption })).data.values;
  expect(await read('UNFORMATTED_VALUE')).toEqual([['=1+1', 7, 7, '', 46_053]]);
  expect(await read('FORMATTED_VALUE')).toEqual([['=1+1', '7', '7', '', '2026-01-31']]);
  await api.values.clear({ spreadsheetId, range: "'A tab'!A1:B1" });
  expect(await read('UNFORMATTED_VALUE')).toEqual([['', '', 7, '', 46_053]]);
  await google.close();
});

it('refuses what Google refuses: beyond the grid, unknown tabs and requests, long cells; all or nothing', async () => {
  const google = await start();
  const api = client(google);
  const write = (range: string, value: string) =>
    api.values.update({ spreadsheetId, range, valueInputOption: 'RAW', requestBody: { values: [[value]] } });
  await expect(write("'A tab'!A1001", 'x')).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('exceeds grid limits'),
  });
  await expect(write('Nowhere!A1', 'x')).rejects.toMatchObject({
    message: expect.stringContaining('Unable to parse range'),
  });
  await expect(write("'A tab'!A1", 'x'.repeat(50_001))).rejects.toMatchObject({
    message: expect.stringContaining('50000 characters'),
  });
  const requests = [{ addSheet: { properties: { title: 'B' } } }, { addSheet: { properties: { title: 'A tab' } } }];
  await expect(api.batchUpdate({ spreadsheetId, requestBody: { requests } })).rejects.toMatchObject({ status: 400 });
  const { data } = await api.get({ spreadsheetId, fields: 'sheets.properties.title' });
  expect(data).toEqual({ sheets: [{ properties: { title: 'A tab' } }] });
  const huge = [{ appendDimension: { sheetId: 0, dimension: 'ROWS', length: 400_000 } }];
  await expect(api.batchUpdate({ spreadsheetId, requestBody: { requests: huge } })).rejects.toMatchObject({
    status: 400,
  });
  await google.close();
});

it('answers 429 in the words of Google above its quota, reads and writes apart', async () => {
  let now = Date.now();
  const google = await start({ quota: { perUser: 3, perProject: 100 }, now: () => now });
  const api = client(google);
  const read = () => api.get({ spreadsheetId });
  for (let count = 0; count < 3; count++) await read();
  await expect(read()).rejects.toMatchObject({
    status: 429,
    message: expect.stringContaining('Read requests per minute per user'),
  });
  await api.values.update({
    spreadsheetId,
    range: "'A tab'!A1",
    valueInputOption: 'RAW',
    requestBody: { values: [[1]] },
  });
  now += 60_001;
  await read();
  await google.close();
});

it('keeps spreadsheets, and the account that may write them, over a restart', async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'dailies-double-'));
  const first = await start({ dataDir });
  await client(first).values.update({
    spreadsheetId,
    range: "'A tab'!B2",
    valueInputOption: 'RAW',
    requestBody: { values: [['kept']] },
  });
  await first.close();
  const second = await start({ dataDir });
  expect(second.serviceAccount).toBe(first.serviceAccount);
  const { data } = await client(second).values.get({ spreadsheetId, range: "'A tab'!B2" });
  expect(data.values).toEqual([['kept']]);
  await second.close();
  await rm(dataDir, { recursive: true });
});

it('tells those who watch that a cell changed', async () => {
  const google = await start();
  const watching = await fetch(`${google.url}/__sheet/s1/events`);
  const reader = watching.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe('data: {"version":1}\n\n');
  await fetch(`${google.url}/__sheet/s1/A%20tab/cells`, {
    method: 'POST',
    body: JSON.stringify({ row: 0, column: 0, value: 'hello' }),
  });
  expect((await reader?.read())?.value).toBe('data: {"version":2}\n\n');
  await reader?.cancel();
  await google.close();
});
