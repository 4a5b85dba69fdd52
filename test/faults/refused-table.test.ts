import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { resumePipeline } from '#catalog/services/pipeline/set-desired.ts';
import { WorkerSetup } from './worker-setup.ts';

/* One table of several is refused where it lands: by its shape, by the stream's, by what became of its target. */
vi.setConfig({ testTimeout: 1_200_000 });
const waiting = { timeout: 240_000, interval: 100 };
const columns = (names: string) => `concat_ws('|', ${names})`;

let setup: WorkerSetup;
beforeEach(async () => {
  setup = await WorkerSetup.open();
  await setup.source.query(`
    CREATE TABLE movie (id int PRIMARY KEY, title text);
    CREATE TABLE talent (id int PRIMARY KEY, title text);
    CREATE TABLE odd (id int PRIMARY KEY, title text);
    INSERT INTO movie SELECT i, 'film ' || i FROM generate_series(1, 50) i;
    INSERT INTO talent SELECT i, 'talent ' || i FROM generate_series(1, 50) i;
    INSERT INTO odd SELECT i, 'odd ' || i FROM generate_series(1, 50) i`);
});
afterEach(() => setup[Symbol.asyncDispose]());

const all = { from: ['production.public.*'], steps: [], to: [{ kind: 'iceberg', table: 'production.{table}' }] };
const sinkOf = (target: string) => setup.test.state.pipelineSink.findFirstOrThrow({ where: { target } });
const resume = () => resumePipeline({ state: setup.test.state, who: system }, 'all');

async function isEqual(table: string): Promise<void> {
  await setup.becomesEqual(`production.${table}`, `SELECT ${columns('id, title')} FROM ${table}`, columns('id, title'));
}

async function isSetAside(target: string, code: string): Promise<string> {
  await vi.waitFor(
    async () =>
      expect(await sinkOf(target), setup.lines.join('')).toMatchObject({ state: 'failed', lastError: { code } }),
    waiting,
  );
  const pipeline = await setup.test.state.pipeline.findUniqueOrThrow({ where: { name: 'all' } });
  expect(pipeline.state).not.toBe('failed');
  return ((await sinkOf(target)).lastError as { message: string }).message;
}

/** Each of the other tables takes a change, also by a worker that was killed in between. */
async function othersGoOn(note: string): Promise<void> {
  await setup.source.query(
    `UPDATE movie SET title = title || ' ${note}' WHERE id % 5 = 0; DELETE FROM talent WHERE id = (SELECT min(id) FROM talent)`,
  );
  await isEqual('movie');
  await isEqual('talent');
}

test('a shape that no table can have sets that table aside from its snapshot on; mended and resumed, it lands whole', async () => {
  await setup.source.query(`ALTER TABLE odd ADD COLUMN "Title" text`);
  setup.start();
  await setup.define(['public.*'], { all });
  const message = await isSetAside('production.odd', 'schema_incompatible');
  expect(message).toContain('production.public.odd');
  expect(message).toContain('"Title"');
  await othersGoOn('once');
  const { lastError } = await setup.test.state.pipeline.findUniqueOrThrow({ where: { name: 'all' } });
  expect(lastError).toMatchObject({ details: { table: 'production.public.odd' } });
  await setup.end('SIGKILL');
  setup.start();
  await othersGoOn('twice');
  await isSetAside('production.odd', 'schema_incompatible');
  await setup.source.query(`ALTER TABLE odd DROP COLUMN "Title"; UPDATE odd SET title = 'mended' WHERE id = 7`);
  await resume();
  await isEqual('odd');
  await vi.waitFor(async () => {
    expect(await sinkOf('production.odd')).toMatchObject({ state: 'running', lastError: null });
    const pipeline = await setup.test.state.pipeline.findUniqueOrThrow({ where: { name: 'all' } });
    expect(pipeline).toMatchObject({ state: 'running', lastError: null });
  }, waiting);
  await othersGoOn('again');
});

test('a column that the stream brings sets its table aside in front of it; mended and resumed, nothing is lost', async () => {
  setup.start();
  await setup.define(['public.*'], { all });
  for (const table of ['movie', 'talent', 'odd']) await isEqual(table);
  await setup.source.query(`ALTER TABLE odd ADD COLUMN file_row_number int; INSERT INTO odd VALUES (100, 'new', 1)`);
  await isSetAside('production.odd', 'schema_incompatible');
  // It stands as it was in front of the change.
  await setup.becomesEqual(
    'production.odd',
    `SELECT ${columns('id, title')} FROM odd WHERE id < 100`,
    columns('id, title'),
  );
  await setup.source.query(`DELETE FROM odd WHERE id < 10; UPDATE odd SET title = 'later' WHERE id = 20`);
  await othersGoOn('once');
  await setup.source.query(`ALTER TABLE odd DROP COLUMN file_row_number; INSERT INTO odd VALUES (101, 'after')`);
  await resume();
  await isEqual('odd');
  await othersGoOn('again');
});

test('a table whose type changes to one that landed rows cannot follow goes on with the rows that come anew, also after the worker died', async () => {
  setup.start();
  await setup.define(['public.*'], { all });
  for (const table of ['movie', 'talent', 'odd']) await isEqual(table);
  await setup.source.query(
    `ALTER TABLE odd ALTER title TYPE int USING length(title); UPDATE odd SET title = 7 WHERE id = 1`,
  );
  await isEqual('odd');
  await setup.source.query(
    `ALTER TABLE odd ALTER title TYPE date USING DATE '2026-01-01' + title; UPDATE odd SET title = title + 1`,
  );
  await setup.end('SIGKILL');
  setup.start();
  await isEqual('odd');
  await othersGoOn('once');
});

test('a target whose metadata is broken is set aside; put right and resumed, it goes on where it stood', async () => {
  setup.start();
  await setup.define(['public.*'], { all });
  for (const table of ['movie', 'talent', 'odd']) await isEqual(table);
  expect(await setup.end('SIGTERM')).toBe('0');
  const entry = await new IcebergCatalog(setup.test.state, tmpdir()).locate('production.odd');
  const location = (entry ?? '').replace('file://', '');
  const metadata = await readFile(location);
  await writeFile(location, '{ "format-version": 2,');
  setup.start();
  await setup.source.query(`UPDATE odd SET title = 'meanwhile' WHERE id = 3`);
  const message = await isSetAside('production.odd', 'table_corrupt');
  expect(message).toContain('production.public.odd');
  await othersGoOn('once');
  await writeFile(location, metadata);
  await resume();
  await isEqual('odd');
  const { generation } = await setup.test.state.sourceTable.findFirstOrThrow({ where: { name: 'public.odd' } });
  expect(generation).toBe(1);
});

test('one of two targets that refuses leaves the other; a table of changes keeps all that was told meanwhile', async () => {
  const both = { ...all, to: [...all.to, { kind: 'iceberg', table: 'changes.{table}', mode: 'changes' }] };
  setup.start();
  await setup.define(['public.*'], { all: both });
  for (const table of ['movie', 'talent', 'odd']) await isEqual(table);
  await setup.source.query(`ALTER TABLE odd ADD COLUMN op text; INSERT INTO odd VALUES (100, 'new', 'x')`);
  const message = await isSetAside('changes.odd', 'schema_incompatible');
  expect(message).toContain('"op"');
  await isEqual('odd');
  await setup.becomesEqual(
    'changes.odd',
    `SELECT ${columns('id, title')} FROM odd WHERE id < 100`,
    columns('id, title'),
  );
  await othersGoOn('once');
  // Its history is not given up for new rows: it stands where it stood.
  await resume();
  await setup.source.query(`DELETE FROM odd WHERE id = 100`);
  await isEqual('odd');
  await isSetAside('changes.odd', 'schema_incompatible');
  await othersGoOn('again');
  expect((await sinkOf('changes.movie')).state).toBe('running');
});
