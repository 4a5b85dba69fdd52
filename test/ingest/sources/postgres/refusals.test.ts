import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { Follower, follow, openSource, requestFor, sourceName } from './follower.ts';

const signal = new AbortController().signal;

async function refusalOf(url: string, tables = ['*']): Promise<unknown> {
  const source = openSource(url, sourceName(), tables);
  try {
    await source.discover(signal);
  } catch (error) {
    return error;
  } finally {
    await source.close();
  }
  return null;
}

test('an address that leads nowhere is told in one sentence, without the password', async () => {
  await using database = await createDatabase();
  const change = (edit: (url: URL) => void) => {
    const url = new URL(database.url);
    edit(url);
    return url.toString();
  };
  // No port that is handed out to whoever asks for one.
  const nobody = '1';
  const cases: [string, string, RegExp][] = [
    [
      change((url) => {
        url.password = 'swordfish';
      }),
      'source_refused',
      /^127\.0\.0\.1:\d+ refused the password of user "dailies"; check/,
    ],
    [
      change((url) => {
        url.username = 'nobody';
      }),
      'source_refused',
      /user "nobody"/,
    ],
    [
      change((url) => {
        url.pathname = '/missing';
      }),
      'source_refused',
      /has no database "missing"/,
    ],
    [
      change((url) => {
        url.port = nobody;
      }),
      'source_unreachable',
      new RegExp(`Nothing answers at 127\\.0\\.0\\.1:${nobody}`),
    ],
    [
      change((url) => {
        url.hostname = 'no-such-host.invalid';
      }),
      'source_unreachable',
      /The host "no-such-host\.invalid" is not known/,
    ],
    ['mysql://root:swordfish@localhost/x', 'source_refused', /is not a Postgres URL/],
    [
      change((url) => {
        url.searchParams.set('sslmode', 'require');
      }),
      'source_refused',
      /No encrypted connection.*does not support SSL/,
    ],
  ];
  for (const [url, code, message] of cases) {
    const refusal = await refusalOf(url);
    expect(refusal).toMatchObject({ code, message: expect.stringMatching(message) });
    const said = JSON.stringify(refusal);
    expect(said).not.toContain('swordfish');
    expect(said).not.toContain(new URL(database.url).password);
  }
});

test('a table that is not there is told with the name that was meant', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE movie (id int PRIMARY KEY); CREATE VIEW films AS SELECT * FROM movie');
  expect(await refusalOf(database.url, ['public.mvoie'])).toMatchObject({
    code: 'table_unknown',
    message: 'The source has no table public.mvoie; did you mean public.movie?',
    details: { table: 'public.mvoie', nearest: 'public.movie' },
  });
  expect(await refusalOf(database.url, ['public.films'])).toMatchObject({
    code: 'table_unknown',
    message: expect.stringContaining('a view'),
  });
  expect(await refusalOf(database.url, ['public.no*'])).toBeNull();
});

test('check names what is missing, each with the statement that mends it; each statement does', async () => {
  await using database = await createDatabase();
  const user = sourceName();
  await database.query(`
    CREATE ROLE ${user} LOGIN PASSWORD 'pw';
    CREATE SCHEMA studio; CREATE TABLE studio."Deal" (id int PRIMARY KEY); CREATE TABLE studio.log (line text);
    CREATE TABLE studio.secret (id int PRIMARY KEY); ALTER TABLE studio.secret ENABLE ROW LEVEL SECURITY;`);
  const url = new URL(database.url);
  url.username = user;
  url.password = 'pw';
  const source = openSource(url.toString(), user, ['studio.*']);
  const requirements = await source.check(signal);
  const statements = requirements.map(({ statement }) => statement);
  expect(statements).toEqual([
    `ALTER ROLE "${user}" REPLICATION;`,
    `GRANT CREATE ON DATABASE "${database.name}" TO "${user}";`,
    `GRANT USAGE ON SCHEMA "studio" TO "${user}";`,
    `GRANT SELECT ON "studio"."Deal" TO "${user}";`,
    `GRANT "dailies" TO "${user}";`,
    `GRANT SELECT ON "studio"."log" TO "${user}";`,
    `GRANT "dailies" TO "${user}";`,
    'ALTER TABLE "studio"."log" REPLICA IDENTITY FULL;',
    `GRANT SELECT ON "studio"."secret" TO "${user}";`,
    `GRANT "dailies" TO "${user}";`,
    `ALTER ROLE "${user}" BYPASSRLS;`,
  ]);
  const refused = new Follower(source, await requestFor(source, null));
  expect(await refused.untilFailed()).toMatchObject({
    code: 'source_not_ready',
    message: expect.stringContaining(`Run: ALTER ROLE "${user}" REPLICATION;`),
  });
  for (const statement of new Set(statements)) await database.query(statement);
  await source.close();
  const ready = openSource(url.toString(), user, ['studio.*']);
  expect(await ready.check(signal)).toEqual([]);
  const follower = new Follower(ready, await requestFor(ready, null));
  await follower.until(() => follower.ended.length === 3);
  await follower.stop();
  await ready.drop(signal);
  await ready.close();
  await database.query(`DROP OWNED BY ${user}; DROP ROLE ${user}`);
});

test('a value that a key cannot carry is refused by its column, without the value', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE t (day date PRIMARY KEY)');
  const follower = await follow(database.url, sourceName());
  await database.query(`INSERT INTO t VALUES ('2024-01-01'), ('0044-03-15 BC')`);
  const failure = await follower.untilFailed();
  expect(failure).toMatchObject({
    code: 'value_unsupported',
    message: expect.stringMatching(/public\.t .*column day/),
  });
  expect(JSON.stringify(failure)).not.toContain('BC');
  await follower.source.close();
});

test('a server with the wrong wal_level, without free slots, or restarted', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-source-'));
  fs.chmodSync(dir, 0o755);
  const start = (settings: Record<string, string>) =>
    startEmbeddedPostgres({ dir: path.join(dir, 'pg'), isThrowaway: true, settings });
  let server = await start({ wal_level: 'replica' });
  const name = sourceName();
  const source = openSource(server.url('postgres'), name);
  expect(await source.check(signal)).toEqual([
    {
      problem: expect.stringContaining('wal_level is replica'),
      statement: expect.stringContaining(`ALTER SYSTEM SET wal_level = 'logical'`),
    },
  ]);
  const refused = new Follower(source, await requestFor(source, null));
  expect(await refused.untilFailed()).toMatchObject({
    code: 'source_not_ready',
    message: expect.stringContaining('wal_level'),
  });
  await source.close();
  await server.close();

  server = await start({ wal_level: 'logical', max_replication_slots: '1' });
  const { default: pg } = await import('pg');
  const own = new pg.Client({ connectionString: server.url('postgres') });
  own.on('error', () => {});
  await own.connect();
  await own.query('CREATE TABLE t (id int PRIMARY KEY)');
  await own.query(`SELECT pg_create_logical_replication_slot('other', 'pgoutput')`);
  const full = openSource(server.url('postgres'), name);
  expect(await full.check(signal)).toEqual([
    {
      problem: expect.stringContaining('max_replication_slots is 1'),
      statement: expect.stringContaining('ALTER SYSTEM SET max_replication_slots = 3'),
    },
  ]);
  await own.query(`SELECT pg_drop_replication_slot('other')`);
  await own.query('INSERT INTO t VALUES (1)');
  const first = new Follower(full, await requestFor(full, null));
  await first.until(() => first.ended.length === 1);
  await own.query('INSERT INTO t VALUES (2)');
  await own.end();
  const ended = server.close();
  expect(await first.untilFailed()).toMatchObject({ code: 'source_unreachable' });
  await full.close();
  await ended;
  server = await start({ wal_level: 'logical' });
  const again = openSource(server.url('postgres'), name);
  const second = new Follower(again, await requestFor(again, first.position));
  await second.caughtUp();
  expect([...first.eventsOf('t'), ...second.eventsOf('t')].map(({ event }) => event.after?.[0])).toEqual([1, 2]);
  await second.stop();
  await again.close();
  await server.close();
  fs.rmSync(dir, { recursive: true, force: true });
});
