import pg from 'pg';
import { expect, test } from 'vitest';
import type { Failpoint } from '#catalog/failpoint.ts';
import { schemaOf } from '#catalog/iceberg/metadata/table-metadata.ts';
import { triggerStatement } from '#ingest/sources/postgres/ddl-trigger.ts';
import { WorkerSetup } from '#test/faults/worker-setup.ts';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { Follower, follow, openSource, requestFor, sourceName } from './follower.ts';
import { Landing } from './landing.ts';

const never = new AbortController().signal;
const filmTable = `CREATE TABLE film (id int PRIMARY KEY, title text NOT NULL, year int); INSERT INTO film VALUES (1, 'Alien', 1979)`;

async function offers(database: TestDatabase): Promise<(string | null)[]> {
  const source = openSource(database.url, sourceName());
  const found = await source.offers?.(never);
  expect(await source.check(never)).toEqual([]);
  await source.close();
  return (found ?? []).map(({ statement }) => statement);
}

test('check offers the triggers until they are there, whole, of this version and switched on', async () => {
  await using database = await createDatabase();
  const [statement = null] = await offers(database);
  await database.query(statement ?? '');
  await database.query(statement ?? '');
  expect(await offers(database)).toEqual([null]);
  // As somebody might have it pasted.
  await database.query(statement?.replaceAll('\n', '\n    ') ?? '');
  expect(await offers(database)).toEqual([null]);
  for (const change of [
    'ALTER EVENT TRIGGER dailies_drop DISABLE',
    'DROP EVENT TRIGGER dailies_rewrite',
    statement?.replace("'gone'", "'went'") ?? '',
  ]) {
    await database.query(change);
    expect(await offers(database), change).toEqual([statement]);
    await database.query(statement ?? '');
    expect(await offers(database)).toEqual([null]);
  }
});

test('what is told stands in its place between the rows, and new tables are told without being looked for', async () => {
  await using database = await createDatabase();
  await database.query(`${triggerStatement}; ${filmTable}`);
  const name = sourceName();
  const source = openSource(database.url, name, ['public.film*']);
  let told = 0;
  const request = { ...(await requestFor(source, null)), onTables: () => void told++ };
  const follower = new Follower(source, request);
  await follower.until(() => follower.ended.length === 1);
  await database.query(`BEGIN; UPDATE film SET year = 1; ALTER TABLE film RENAME title TO name; UPDATE film SET year = 2;
    ALTER TABLE film ADD note text; ALTER TABLE film DROP year; UPDATE film SET note = 'x'; COMMIT`);
  await follower.caughtUp();
  const items = follower.batches
    .flatMap(({ items }) => items)
    .flatMap((item) => (item.kind === 'changes' ? [item.changes] : []));
  expect(
    items
      .slice(1)
      .map(
        ({ schema, events }) =>
          `${schema.fields.map(({ name, formerName }) => `${name}${formerName ? ` (${formerName})` : ''}`)}: ${events.length}`,
      ),
  ).toEqual([
    'id,title,year: 1',
    'id,name (title),year: 0',
    'id,name,year: 1',
    'id,name,year,note: 0',
    'id,name,note: 0',
    'id,name,note: 1',
  ]);
  expect(told).toBe(0);
  await database.query(
    'CREATE TABLE other (id int); CREATE TEMP TABLE film_temp (id int); ALTER TABLE film ALTER name SET STATISTICS 5',
  );
  await follower.caughtUp();
  expect(told).toBe(0);
  await database.query('CREATE TABLE film_cast (id int)');
  await follower.until(() => told === 1);
  expect(follower.ended).toHaveLength(1);
  await follower.stop();
  await source.close();
});

test('triggers that come while the source runs are noticed, and the stream begins again with them', async () => {
  await using database = await createDatabase();
  await database.query(filmTable);
  const first = await follow(database.url, sourceName(), ['public.film']);
  await database.query(triggerStatement);
  expect(await first.untilFailed()).toMatchObject({ code: 'source_protocol' });
  await first.source.close();
});

test('a step that consumes a renamed column stops its pipeline before the first row, and says what the column is called now', {
  timeout: 240_000,
}, async () => {
  await using database = await createDatabase();
  await database.query(`${triggerStatement}; ${filmTable}`);
  const fields = ['id', 'title'];
  await using landing = await Landing.open(
    await caseDatabase(database),
    sourceName(),
    ['public.film'],
    [{ kind: 'project', fields }],
  );
  await landing.hasColumns('film', fields);
  await database.query('ALTER TABLE film RENAME title TO name');
  await landing.until(async () => landing.lines.some((line) => line.includes('the source calls it "name" now')));
});

test('a column that takes the name of one that is dropped by the same statement has none of its texts', {
  timeout: 240_000,
}, async () => {
  await using database = await createDatabase();
  await database.query(`${triggerStatement}; CREATE TABLE film (id int PRIMARY KEY, day date);
    INSERT INTO film VALUES (1, 'infinity')`);
  await using landing = await Landing.open(await caseDatabase(database), sourceName(), ['public.film']);
  const hold = (rows: string[]) =>
    landing.until(async () => {
      await landing.hasColumns('film', ['id', 'day', 'day__text']);
      return (await landing.rows('film', ['id', 'day', 'day__text'])).join() === rows.join();
    });
  await hold(['["1",null,"infinity"]']);
  await database.query('ALTER TABLE film DROP day, ADD day timestamp; INSERT INTO film (id) VALUES (2)');
  await hold(['["1",null,null]', '["2",null,null]']);
  await database.query("UPDATE film SET day = '-infinity' WHERE id = 1");
  await hold(['["1",null,"-infinity"]', '["2",null,null]']);
});

test('a process that dies at any place between the change of a schema and its commit loses nothing of it', {
  timeout: 400_000,
}, async () => {
  await using setup = await WorkerSetup.open();
  await setup.source.query(`${triggerStatement}; ${filmTable}`);
  const name = sourceName();
  await setup.defineSource(name, { kind: 'postgres', url: setup.source.url, tables: ['public.film'] });
  setup.start();
  const isEqual = (column: string) => {
    const row = `id || '|' || ${column} || '|' || year`;
    return setup.becomesEqual(`${name}.film`, `SELECT ${row} FROM film`, row);
  };
  await isEqual('title');
  const idOf = async (column: string) => {
    const entry = await setup.catalog.load(`${name}.film`);
    return entry && schemaOf(entry.metadata).fields.find((field) => field.name === column)?.id;
  };
  const id = await idOf('title');
  const deaths: readonly `${Failpoint}:${number}`[] = [
    'before-log-append:3',
    'after-log-append:2',
    'before-ack:2',
    'after-table-commit:1',
  ];
  let column = 'title';
  for (const [index, death] of deaths.entries()) {
    const next = `title_${index}`;
    await setup.end('SIGKILL');
    setup.start(death);
    await setup.source.query(`ALTER TABLE film RENAME ${column} TO ${next}`);
    // The change of the schema may be all that there is to die on.
    await setup.source.query(
      `INSERT INTO film VALUES (${index + 2}, 'film ${index}', ${index}); UPDATE film SET year = year + 1`,
    );
    await setup.exited();
    setup.start();
    column = next;
    await isEqual(column);
    expect(await idOf(column), death).toBe(id);
  }
});

async function caseDatabase(database: TestDatabase) {
  const connect = async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    return client;
  };
  return { url: database.url, query: database.query, connect };
}
