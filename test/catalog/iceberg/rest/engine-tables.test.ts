import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Principal } from '#catalog/access/principal.ts';
import { schemaOf } from '#test/catalog/iceberg/warehouse.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { type RestServer, startRestServer } from './rest-server.ts';

const analyst: Principal = { email: 'ana@studio.example', roles: ['analyst'], kind: 'person' };

async function landMovie({ state, catalog }: RestServer): Promise<void> {
  await state.pipeline.create({ data: { name: 'movies', spec: {} } });
  await state.pipelineSink.create({ data: { pipelineName: 'movies', kind: 'iceberg', target: 'production.movie' } });
  const sink = openSink({ state, catalog, indexDir: `${catalog.warehouse}-index` });
  await snapshot(sink, schemaOf({ id: 'long', title: 'string' }, ['id']), [[1n, 'First']]);
  await sink.commit(position(1), signal);
  await sink.close();
}

/** What a statement gives in our own SQL. */
async function sql({ queries }: RestServer, statement: string): Promise<unknown[][]> {
  const { id } = await queries.submit({ sql: statement, parameters: {}, origin: 'api' }, analyst);
  const done = await queries.wait(id, analyst);
  if (done.state !== 'succeeded') throw new Error(`${done.state}: ${done.error?.message}`);
  return await queries.rows(id, analyst, 0, 100);
}

async function columnsOf({ state }: RestServer, name: string): Promise<string[]> {
  const columns = await state.dataColumn.findMany({ where: { tableName: name }, orderBy: { ordinal: 'asc' } });
  return columns.map((column) => column.path);
}

describeWith('duckdb', 'tables that DuckDB writes', (python) => {
  test('are found and read here; several in one transaction; a pipeline’s table is refused to it', async () => {
    await using server = await startRestServer();
    await landMovie(server);
    const statements = [
      'CREATE SCHEMA dailies.duck',
      'CREATE TABLE dailies.duck.film (id BIGINT, title VARCHAR)',
      "INSERT INTO dailies.duck.film SELECT i, 'film ' || i FROM range(10) t(i)",
      'DELETE FROM dailies.duck.film WHERE id = 3',
      "UPDATE dailies.duck.film SET title = 'changed' WHERE id = 4",
      'CREATE TABLE dailies.duck.cast (film BIGINT)',
      'BEGIN',
      "INSERT INTO dailies.duck.film VALUES (100, 'both')",
      'INSERT INTO dailies.duck.cast VALUES (100)',
      'COMMIT',
      'SELECT count(*), sum(id) FROM dailies.duck.film',
      'SELECT title FROM dailies.production.movie',
      "INSERT INTO dailies.production.movie VALUES (2, 'Foreign')",
    ];
    const running = promisify(execFile)(python, [
      join(import.meta.dirname, 'duckdb_writes.py'),
      server.uri,
      'owner',
      server.tokens.owner,
    ]);
    running.child.stdin?.end(JSON.stringify(statements));
    const answers = JSON.parse((await running).stdout) as { rows?: string[][]; error?: string }[];
    const refusal = answers.pop();
    expect(answers.filter((answer) => answer.error !== undefined)).toEqual([]);
    expect(answers.slice(-2).map((answer) => answer.rows)).toEqual([[['10', '142']], [['First']]]);
    expect(refusal?.error).toContain('is written by the pipeline');

    expect(await sql(server, 'SELECT count(*), sum(id) FROM duck.film')).toEqual([['10', '142']]);
    expect(await sql(server, 'SELECT title FROM duck.film WHERE id IN (3, 4, 100) ORDER BY id')).toEqual([
      ['changed'],
      ['both'],
    ]);
    expect(await sql(server, 'SELECT film FROM duck.cast')).toEqual([['100']]);
    expect(await sql(server, 'SELECT title FROM production.movie')).toEqual([['First']]);
    expect(await server.state.dataTable.findUnique({ where: { name: 'duck.film' } })).toMatchObject({
      pipeline: null,
      rows: 10n,
    });
    expect(await columnsOf(server, 'duck.film')).toEqual(['id', 'title']);
  });
});

describeWith('pyiceberg', 'tables that PyIceberg writes', (python) => {
  test('are found and read here; a pipeline’s table takes its tags and refuses its rows', async () => {
    await using server = await startRestServer();
    await landMovie(server);
    const { stdout } = await promisify(execFile)(python, [
      join(import.meta.dirname, 'pyiceberg_writes.py'),
      server.uri,
      `owner:${server.tokens.owner}`,
    ]);
    const outcome = JSON.parse(stdout);
    expect(outcome).toMatchObject({
      tables: ['pie.film', 'pie.staged'],
      refs: ['kept', 'main'],
      rows: [
        { id: 1, title: 'a', year: null },
        { id: 3, title: 'c', year: null },
      ],
    });
    expect(outcome.refusal).toMatch(/^ForbiddenError: .*is written by the pipeline "movies"/);
    expect(await sql(server, 'SELECT id, title, year FROM pie.film ORDER BY id')).toEqual([
      ['1', 'a', null],
      ['3', 'c', null],
    ]);
    expect(await sql(server, 'SELECT id FROM pie.staged')).toEqual([['9']]);
    expect(await columnsOf(server, 'pie.film')).toEqual(['id', 'title', 'year']);
    const movie = await server.catalog.load('production.movie');
    expect(Object.keys(movie?.metadata.refs ?? {}).sort()).toEqual(['audited', 'main']);
  });
});
