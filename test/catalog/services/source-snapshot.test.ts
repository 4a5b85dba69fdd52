import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Principal, system } from '#catalog/access/principal.ts';
import { snapshotSource } from '#catalog/services/source/snapshot.ts';
import { snapshotText } from '#catalog/services/source/snapshot-text.ts';
import { readTableSnapshot } from '#catalog/services/source/table-snapshot.ts';
import { createState, type TestState } from '#test/fixtures/postgres.ts';

let fixture: TestState;
beforeAll(async () => {
  fixture = await createState();
  const lastError = { code: 'type_unsupported', message: 'public.odd.shape has no type.', details: {} };
  const tables = [
    { name: 'public.movie', state: 'running', generation: 3 },
    { name: 'public.talent', state: 'snapshotting', generation: 1 },
    { name: 'public.odd', state: 'failed', generation: 1, lastError },
  ];
  await fixture.state.source.create({
    data: { name: 'production', kind: 'postgres', spec: {}, tables: { create: tables } },
  });
  await fixture.state.source.create({ data: { name: 'events', kind: 'producer', spec: {} } });
});
afterAll(() => fixture.drop());

const ask = (source: string, table: string | null = null, who: Principal = system) =>
  snapshotSource({ state: fixture.state, who }, source, table, (kind) => kind !== 'producer');
const generations = async () => {
  const rows = await fixture.state.sourceTable.findMany({ orderBy: { name: 'asc' } });
  return Object.fromEntries(rows.map(({ name, state, generation }) => [name, `${state} ${generation}`]));
};

test('a snapshot is asked for by the next generation, of one table or of all that can be read', async () => {
  expect(await ask('production', 'production.public.movie')).toEqual(['public.movie']);
  expect(await generations()).toEqual({
    'public.movie': 'snapshotting 4',
    'public.odd': 'failed 1',
    'public.talent': 'snapshotting 1',
  });
  expect(await ask('production')).toEqual(['public.movie', 'public.talent']);
  expect(await generations()).toMatchObject({ 'public.movie': 'snapshotting 5', 'public.talent': 'snapshotting 2' });
  const audited = await fixture.state.auditEvent.findMany({ where: { action: 'source.snapshot' } });
  expect(audited.map(({ target }) => target)).toEqual(['production.public.movie', 'production']);
});

test('what cannot be read again is said by name', async () => {
  await expect(ask('productoin')).rejects.toThrow('There is no source productoin. Did you mean production?');
  await expect(ask('production', 'public.movy')).rejects.toThrow(/no table public\.movy\. Did you mean public\.movie/);
  await expect(ask('production', 'public.odd')).rejects.toThrow('public.odd.shape has no type');
  await expect(ask('events')).rejects.toMatchObject({ code: 'unsupported' });
});

test('how far a snapshot is, in words', () => {
  const snapshot = { rows: 4_000, estimatedRows: 9_000, rowsPerSecond: 1_200, secondsLeft: 75, startedAt: 'then' };
  expect(snapshotText(snapshot)).toBe('4,000 of 9,000 rows, 1,200/s, 2 min left');
  expect(snapshotText({ ...snapshot, estimatedRows: null, secondsLeft: null })).toBe('4,000 rows, 1,200/s');
  expect(snapshotText({ ...snapshot, secondsLeft: 7_300 })).toContain('2 h 2 min left');
  expect(readTableSnapshot({ state: 'snapshotting', snapshot })).toEqual(snapshot);
  expect(readTableSnapshot({ state: 'running', snapshot })).toBeNull();
  expect(readTableSnapshot({ state: 'snapshotting', snapshot: { rows: 'many' } })).toBeNull();
});
