import pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import { resumePipeline } from '#catalog/services/pipeline/set-desired.ts';
import { rejectBad, rejecting } from './reject-bad.ts';
import { movie, RuntimeSetup } from './runtime-setup.ts';

const waiting = { timeout: 60_000, interval: 30 };

let setup: RuntimeSetup;
beforeEach(async () => {
  rejecting.isMended = false;
  setup = await RuntimeSetup.open([rejectBad]);
  setup.history.create('public.movie', movie);
});
afterEach(() => setup[Symbol.asyncDispose]());

const put = (id: number, title: string, table = 'public.movie') => ({ table, put: [id, title] });
const row = (id: number, title: string) => ({ id, title });
const lands = (target: string, rows: unknown[]) =>
  vi.waitFor(async () => expect(await setup.rows(target)).toEqual(rows), waiting);
const reaches = (name: string, state: string) =>
  vi.waitFor(async () => expect((await setup.pipeline(name)).state).toBe(state), waiting);

test('a snapshot and every change after it land once, also over restarts, and the state tells so', async () => {
  setup.history.create('public.empty', movie);
  setup.history.commit(put(1, 'one'), put(2, 'two'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await lands('w.movie', [row(1, 'one'), row(2, 'two')]);
  await vi.waitFor(async () => expect(await setup.isLanded('w.empty')).toBe(true), waiting);
  setup.history.commit(put(3, 'three'), { table: 'public.movie', remove: 1 });
  await lands('w.movie', [row(2, 'two'), row(3, 'three')]);
  await setup.restart();
  setup.history.commit(put(2, 'second'));
  await lands('w.movie', [row(2, 'second'), row(3, 'three')]);

  await vi.waitFor(async () => {
    const pipeline = await setup.pipeline('all');
    expect(pipeline).toMatchObject({ state: 'running', lastError: null, eventsIn: 5n, eventsOut: 5n });
    expect(pipeline.position).toMatchObject({ s: { position: '3' } });
    expect(pipeline.sinks).toHaveLength(2);
    expect(pipeline.sinks.find(({ target }) => target === 'w.movie')).toMatchObject({
      kind: 'postgres-table',
      state: 'running',
      rows: 2n,
      position: { s: { position: '3' } },
    });
    const source = await setup.test.state.source.findUniqueOrThrow({ where: { name: 's' }, include: { tables: true } });
    expect(source).toMatchObject({ state: 'running', position: '3', lastError: null });
    expect(source.coveredAt).not.toBeNull();
    expect(source.tables.map(({ name, state, generation, rows }) => ({ name, state, generation, rows }))).toEqual(
      expect.arrayContaining([
        { name: 'public.movie', state: 'running', generation: 1, rows: 2n },
        { name: 'public.empty', state: 'running', generation: 1, rows: 0n },
      ]),
    );
  }, waiting);
  expect(setup.history.snapshots).toBe(2);
  await vi.waitFor(() => expect(setup.history.acknowledged).toBe(3), waiting);
});

test('a table that is refused is set aside by name and the rest goes on; mended, it comes whole', async () => {
  setup.history.create('public.odd', movie, 'public.odd: column geo has the type geometry, which is not supported.');
  setup.history.commit(put(1, 'one'), put(1, 'odd', 'public.odd'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await setup.setPipeline('odd', { from: ['s.public.odd'], table: 'w2.{table}' });
  await setup.setPipeline('typo', { from: ['s.public.movy'], table: 'w3.{table}' });
  await lands('w.movie', [row(1, 'one')]);
  const table = await setup.test.state.sourceTable.findFirstOrThrow({ where: { name: 'public.odd' } });
  expect(table).toMatchObject({ state: 'failed', lastError: { code: 'type_unsupported' } });
  expect((table.lastError as { message: string }).message).toContain('public.odd: column geo');
  await vi.waitFor(async () => {
    expect(await setup.pipeline('odd')).toMatchObject({ state: 'failed', lastError: { code: 'type_unsupported' } });
    expect(await setup.pipeline('typo')).toMatchObject({ state: 'failed', lastError: { code: 'table_unknown' } });
  }, waiting);

  setup.history.create('public.odd', movie);
  setup.history.commit(put(5, 'fine', 'public.odd'));
  await setup.restart();
  await lands('w.odd', [row(5, 'fine')]);
  await lands('w2.odd', [row(5, 'fine')]);
});

test('a table that fails in the stream is set aside until its pipeline is resumed, and then comes whole', async () => {
  setup.history.create('public.odd', movie);
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], table: 'w.{table}' });
  await setup.setPipeline('odd', { from: ['s.public.odd'], table: 'w.{table}' });
  await vi.waitFor(async () => expect(await setup.isLanded('w.odd')).toBe(true), waiting);
  await vi.waitFor(async () => expect(await setup.isLanded('w.movie')).toBe(true), waiting);
  setup.history.failNext = new DailiesError('value_unsupported', 'A value in a key cannot be carried.', {
    details: { table: 's.public.odd', column: 'id' },
  });
  setup.history.commit(put(1, 'missed', 'public.odd'));
  await reaches('odd', 'failed');
  setup.history.commit(put(1, 'one'));
  await lands('w.movie', [row(1, 'one')]);
  await resumePipeline({ state: setup.test.state, who: system }, 'odd');
  await lands('w.odd', [row(1, 'missed')]);
  await reaches('odd', 'running');
});

test('an error that passes is tried again; a transaction that it cut shows nothing of its half and comes once', async () => {
  const keyless: Schema = { ...movie, key: [] };
  setup.history.create('public.a', keyless);
  setup.history.create('public.b', keyless);
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.*'], table: 'w.{table}' });
  await vi.waitFor(async () => expect(await setup.isLanded('w.b')).toBe(true), waiting);
  await vi.waitFor(async () => expect(await setup.isLanded('w.a')).toBe(true), waiting);
  const { next } = await setup.log.extent('s');
  setup.history.stallsInTransaction = true;
  setup.history.commit(put(1, 'a', 'public.a'), put(1, 'b', 'public.b'));
  await vi.waitFor(async () => {
    for await (const record of setup.log.read('s', next, AbortSignal.timeout(20))) {
      if (!record.isComplete) return;
    }
    throw new Error('the first half is not in the log yet');
  }, waiting);
  await vi.waitFor(async () => {
    // Again and again: what is tried anew with success says nothing of the error any more.
    setup.history.failNext ??= new DailiesError('source_unreachable', 'The database does not answer.');
    setup.history.wake();
    const source = await setup.test.state.source.findUniqueOrThrow({ where: { name: 's' } });
    expect(source.lastError).toMatchObject({ code: 'source_unreachable' });
  }, waiting);
  expect(await setup.rows('w.a')).toEqual([]);
  setup.history.failNext = null;
  setup.history.stallsInTransaction = false;
  setup.history.wake();
  await lands('w.b', [row(1, 'b')]);
  await lands('w.a', [row(1, 'a')]);
  const source = await setup.test.state.source.findUniqueOrThrow({ where: { name: 's' } });
  expect(source).toMatchObject({ state: 'running', lastError: null });
});

test('an error that a person must mend stops the source until somebody resumes', async () => {
  setup.history.commit(put(1, 'one'));
  setup.history.failNext = new DailiesError('source_refused', 'The password is wrong.');
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], table: 'w.movie' });
  const source = () => setup.test.state.source.findUniqueOrThrow({ where: { name: 's' } });
  await vi.waitFor(async () => {
    expect(await source()).toMatchObject({ state: 'failed', lastError: { code: 'source_refused' } });
  }, waiting);
  await resumePipeline({ state: setup.test.state, who: system }, 'all');
  await lands('w.movie', [row(1, 'one')]);
  await vi.waitFor(async () => expect(await source()).toMatchObject({ state: 'running', lastError: null }), waiting);
});

test('an outage of the state database passes by itself', async () => {
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], table: 'w.movie' });
  await vi.waitFor(async () => expect(await setup.isLanded('w.movie')).toBe(true), waiting);
  // On a connection that is none of the worker's, which are cut while they are in use.
  const admin = new pg.Client({ connectionString: setup.test.url });
  await admin.connect();
  for (let id = 1; id <= 5; id++) {
    // Another one of the test's own has run nothing yet and is left alone.
    await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND query <> '' AND pid <> pg_backend_pid()`);
    setup.history.commit(put(id, `film ${id}`));
  }
  await admin.end();
  await lands(
    'w.movie',
    [1, 2, 3, 4, 5].map((id) => row(id, `film ${id}`)),
  );
  await vi.waitFor(async () => {
    expect(await setup.pipeline('all')).toMatchObject({ state: 'running', lastError: null });
    expect((await setup.pipeline('all')).position).toMatchObject({ s: { position: '5' } });
  }, waiting);
});

test('a sink that cannot tell whether it committed is asked, and nothing doubles', async () => {
  setup.history.create('public.log', { ...movie, key: [] });
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.log'], table: 'w.log' });
  await vi.waitFor(async () => expect(await setup.isLanded('w.log')).toBe(true), waiting);
  for (const loseAnswer of [true, false]) {
    setup.faults.loseAnswer = loseAnswer;
    setup.faults.failCommit = new DailiesError('commit_unknown', 'The answer of the commit was lost.');
    setup.history.commit(put(1, String(loseAnswer), 'public.log'));
    await vi.waitFor(() => expect(setup.faults.failCommit).toBeNull(), waiting);
  }
  await lands('w.log', [row(1, 'true'), row(1, 'false')]);
  await vi.waitFor(async () => expect((await setup.pipeline('all')).lastError).toBeNull(), waiting);
});

test('rejected rows are dead letters once, however often read, until a later event of their key lands', async () => {
  setup.history.commit(put(1, 'one'), put(2, 'bad two'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], steps: [{ kind: 'reject-bad' }], table: 'w.movie' });
  await lands('w.movie', [row(1, 'one')]);
  setup.faults.loseAnswer = false;
  setup.faults.failCommit = new DailiesError('commit_conflict', 'Somebody else committed.');
  setup.history.commit(put(3, 'bad three'), put(4, 'four'));
  await lands('w.movie', [row(1, 'one'), row(4, 'four')]);
  const letters = () => setup.test.state.deadLetter.findMany({ orderBy: { id: 'asc' } });
  await vi.waitFor(async () => expect(await letters()).toHaveLength(2), waiting);
  expect((await letters())[1]).toMatchObject({
    step: 'reject-bad',
    table: 's.public.movie',
    key: [3],
    code: 'graphql_no_answer',
    resolvedAt: null,
    position: { source: 's' },
  });
  setup.history.commit(put(3, 'three'));
  await lands('w.movie', [row(1, 'one'), row(3, 'three'), row(4, 'four')]);
  await setup.restart();
  setup.history.commit({ table: 'public.movie', remove: 2 });
  await vi.waitFor(async () => {
    const resolved = (await letters()).map(({ key, resolvedAt }) => [key, resolvedAt !== null]);
    expect(resolved).toEqual([
      [[2], true],
      [[3], true],
    ]);
  }, waiting);
  expect(await setup.pipeline('all')).toMatchObject({ state: 'running' });
});

test('what a rejected change brought is there once a later one of its row lands, though that one leaves it out', async () => {
  const plot = { name: 'plot', type: { kind: 'string' }, required: false } as const;
  setup.history.create('public.movie', { fields: [...movie.fields, plot], key: ['id'] });
  const change = (...values: Row) => ({ table: 'public.movie', put: values });
  setup.history.commit(change(1, 'bad one', 'first'), change(2, 'two', 'second'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], steps: [{ kind: 'reject-bad' }], table: 'w.movie' });
  await lands('w.movie', [{ ...row(2, 'two'), plot: 'second' }]);
  setup.history.commit(change(1, 'one', UNKNOWN));
  setup.history.commit(change(2, 'bad two', 'other'), change(2, 'two!', UNKNOWN));
  await lands('w.movie', [
    { ...row(1, 'one'), plot: 'first' },
    { ...row(2, 'two!'), plot: 'other' },
  ]);
  await vi.waitFor(async () => {
    expect(await setup.test.state.deadLetter.count({ where: { resolvedAt: null } })).toBe(0);
  }, waiting);
  expect(await setup.test.state.deadLetter.count()).toBe(2);
});

test('a shape that a step refuses stops the pipeline in front of it; resumed, it goes on where it stood', async () => {
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('strict', { from: ['s.public.movie'], steps: [{ kind: 'reject-bad' }], table: 'w.movie' });
  await setup.setPipeline('loose', { from: ['s.public.movie'], table: 'w2.movie' });
  setup.history.commit(put(1, 'one'));
  await lands('w.movie', [row(1, 'one')]);
  const [id, title] = movie.fields;
  if (!id || !title) throw new Error('no fields');
  setup.history.alter('public.movie', { fields: [id, { ...title, name: 'name' }], key: ['id'] }, (each) => each);
  setup.history.commit(put(2, 'two'));
  await reaches('strict', 'failed');
  expect((await setup.pipeline('strict')).lastError).toMatchObject({
    code: 'schema_incompatible',
    details: { step: 'reject-bad', table: 's.public.movie' },
  });
  await lands('w2.movie', [row(1, 'one'), { id: 2, name: 'two' }]);
  expect(await setup.rows('w.movie')).toEqual([row(1, 'one')]);
  await setup.setDesired('strict', 'running');
  await vi.waitFor(() => expect(setup.lines.filter((line) => line.includes('title is gone'))).toHaveLength(2), waiting);
  await setup.setPipeline('strict', {
    from: ['s.public.movie'],
    steps: [{ kind: 'reject-bad', field: 'name' }],
    table: 'w.movie',
  });
  await lands('w.movie', [
    { id: 1, name: 'one' },
    { id: 2, name: 'two' },
  ]);
  await reaches('strict', 'running');
});

test('a paused pipeline stands still and catches up; a removed one leaves no group behind', async () => {
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], table: 'w.movie' });
  setup.history.commit(put(1, 'one'));
  await lands('w.movie', [row(1, 'one')]);
  await setup.setDesired('all', 'paused');
  await reaches('all', 'paused');
  setup.history.commit(put(2, 'two'));
  await vi.waitFor(() => expect(setup.history.acknowledged).toBe(2), waiting);
  expect(await setup.rows('w.movie')).toEqual([row(1, 'one')]);
  await setup.setDesired('all', 'running');
  await lands('w.movie', [row(1, 'one'), row(2, 'two')]);
  await vi.waitFor(async () => expect((await setup.log.groups('s')).size).toBe(1), waiting);
  await setup.test.state.pipeline.delete({ where: { name: 'all' } });
  await setup.notify();
  await vi.waitFor(async () => expect((await setup.log.groups('s')).size).toBe(0), waiting);
});

test('a pipeline that comes later has the whole table, from the log or by a new snapshot', async () => {
  setup.history.commit(put(1, 'one'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('first', { from: ['s.public.movie'], table: 'w1.movie' });
  await lands('w1.movie', [row(1, 'one')]);
  setup.history.commit(put(2, 'two'));
  await setup.setPipeline('second', { from: ['s.public.movie'], table: 'w2.movie' });
  await lands('w2.movie', [row(1, 'one'), row(2, 'two')]);
  expect(setup.history.snapshots).toBe(1);

  await vi.waitFor(async () => expect((await setup.pipeline('second')).state).toBe('running'), waiting);
  await setup.restart({ maxBytes: 1 });
  await setup.log.trim('s');
  expect(await setup.log.snapshotOf('s', 's.public.movie')).toBeNull();
  await setup.setPipeline('third', { from: ['s.public.movie'], table: 'w3.movie' });
  await lands('w3.movie', [row(1, 'one'), row(2, 'two')]);
  expect(setup.history.snapshots).toBe(2);
  setup.history.commit({ table: 'public.movie', remove: 1 });
  for (const target of ['w1.movie', 'w2.movie', 'w3.movie']) await lands(target, [row(2, 'two')]);
});

test('other steps mean other rows: the table is taken anew through them', async () => {
  setup.history.commit(put(1, 'bad one'), put(2, 'two'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('all', { from: ['s.public.movie'], table: 'w.movie' });
  await lands('w.movie', [row(1, 'bad one'), row(2, 'two')]);
  await setup.setPipeline('all', { from: ['s.public.movie'], steps: [{ kind: 'reject-bad' }], table: 'w.movie' });
  await lands('w.movie', [row(2, 'two')]);
  expect(await setup.test.state.deadLetter.count()).toBe(1);
});

test('where the log had to give up a slow pipeline, it says so and is whole again once resumed', async () => {
  setup.history.commit(put(1, 'one'));
  await setup.start();
  await setup.addSource();
  await setup.setPipeline('slow', { from: ['s.public.movie'], table: 'w.movie' });
  await lands('w.movie', [row(1, 'one')]);
  await setup.setDesired('slow', 'paused');
  await reaches('slow', 'paused');
  setup.history.commit(put(2, 'two'), { table: 'public.movie', remove: 1 });
  await vi.waitFor(() => expect(setup.history.acknowledged).toBe(2), waiting);
  await setup.restart({ hardCapBytes: 1 });
  await setup.log.trim('s');
  await setup.setDesired('slow', 'running');
  await reaches('slow', 'failed');
  const failed = await setup.pipeline('slow');
  expect(failed.lastError).toMatchObject({ code: 'not_found', details: { table: 's.public.movie' } });
  expect(await setup.rows('w.movie')).toEqual([row(1, 'one')]);
  await setup.setDesired('slow', 'running');
  await lands('w.movie', [row(2, 'two')]);
  await reaches('slow', 'running');
});

test('a source that is removed leaves neither its topic nor what it made in the database', async () => {
  await setup.start();
  await setup.addSource();
  await vi.waitFor(() => expect(setup.log.topics()).toEqual(['s']), waiting);
  await setup.test.state.$transaction([
    setup.test.state.source.delete({ where: { name: 's' } }),
    setup.test.state.setting.create({
      data: { key: 'source-removed:s', value: { name: 's', kind: 'scripted', spec: { kind: 'scripted' } } },
    }),
  ]);
  await setup.notify();
  await vi.waitFor(() => expect([setup.log.topics(), setup.history.dropped]).toEqual([[], 1]), waiting);
  await vi.waitFor(async () => expect(await setup.test.state.setting.count()).toBe(0), waiting);
});
