import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { Follower, follow, openSource, requestFor, sourceName } from './follower.ts';
import { readPayloads, recordStream } from './raw-stream.ts';
import {
  type CaseDatabase,
  forgottenRollbackCase,
  publicationsCase,
  streamedCase,
  streamedCutCase,
  streamedShapesCase,
  streamingUrl,
  tableRows,
  truncateCase,
  untilStreamed,
  untoldRollbackCase,
} from './stream-cases.ts';

async function on(run: (database: CaseDatabase) => Promise<void>): Promise<void> {
  await using database: TestDatabase = await createDatabase();
  const clients: pg.Client[] = [];
  const connect = async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    clients.push(client);
    return client;
  };
  try {
    await run({ url: database.url, query: database.query, connect });
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

test('transactions under way wait for their commit, without what was rolled back within them', () => on(streamedCase));

test('what the server does not tell as rolled back is left out all the same', () => on(untoldRollbackCase));

test('what was rolled back before the server read it is nothing', () => on(forgottenRollbackCase));

test('a transaction of more subtransactions than are asked about at once, every third rolled back', () =>
  on(async (database) => {
    await database.query('CREATE TABLE film (id int PRIMARY KEY, title text)');
    const name = sourceName();
    const follower = await follow(streamingUrl(database.url), name);
    await database.query(`DO $$ BEGIN
      FOR i IN 1..60000 LOOP
        BEGIN
          INSERT INTO film VALUES (i, 'in a block');
          IF i % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
      END LOOP;
    END $$`);
    await follower.caughtUp();
    await untilStreamed(database, name, 1);
    expect(follower.eventsOf('film')).toHaveLength(40_000);
    expect(follower.rowsOf('film').every(({ id }) => Number(id) % 3 > 0)).toBe(true);
    await follower.stop();
    await follower.source.close();
  }));

test('a shape that only a rolled back subtransaction had does not outlive it', () => on(streamedShapesCase));

test('a connection that is cut while a transaction is under way or being told leaves no gap and no overlap', () =>
  on(streamedCutCase));

test('a table that is altered in a transaction under way so that its old rows read differently is read again', () =>
  on(async (database) => {
    await database.query(`CREATE TABLE film (id int PRIMARY KEY, title text NOT NULL, pad text);
      INSERT INTO film SELECT i, 'old', NULL FROM generate_series(1, 50) i`);
    const name = sourceName();
    const follower = await follow(streamingUrl(database.url), name);
    const client = await database.connect();
    await client.query(`BEGIN; INSERT INTO film SELECT i, 'new', repeat('x', 300) FROM generate_series(101, 900) i`);
    await client.query(`ALTER TABLE film ADD COLUMN votes int DEFAULT 7`);
    await client.query(`INSERT INTO film SELECT i, 'new', repeat('x', 300), i FROM generate_series(901, 1900) i`);
    await untilStreamed(database, name, 1);
    await client.query('COMMIT');
    await database.query(`UPDATE film SET votes = 8 WHERE id = 1; DELETE FROM film WHERE id = 901`);
    await follower.caughtUp();
    await follower.until(() => follower.ended.length === 2);
    await follower.caughtUp();
    expect(follower.rowsOf('film')).toEqual(await tableRows(database, 'film'));
    await follower.stop();
    await follower.source.close();
  }));

test('row filters, column lists, partitions by themselves, and messages of applications', () =>
  on((database) => publicationsCase(database, 18)));

test('a table that is described anew beside a transaction under way keeps its last description', () =>
  on(async (database) => {
    const name = sourceName();
    await database.query(`CREATE TABLE film (id int PRIMARY KEY, title text, pad text);
      CREATE PUBLICATION ${name} FOR TABLE film`);
    await database.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
    const client = await database.connect();
    await client.query(
      `BEGIN; INSERT INTO film SELECT i, 'under way', repeat('x', 300) FROM generate_series(1, 600) i`,
    );
    await database.query(`INSERT INTO film VALUES (1000, 'before', 'y')`);
    await database.query(`ALTER PUBLICATION ${name} SET TABLE film (id, title)`);
    await database.query(`INSERT INTO film VALUES (1001, 'beside', 'y')`);
    await client.query('COMMIT');
    await database.query(`INSERT INTO film VALUES (1002, 'after', 'y')`);
    const options = { slot: name, publications: [name], major: 18 };
    const payloads = await recordStream(streamingUrl(database.url), options);
    const told = await readPayloads(payloads, 10_000);
    expect(told.failure).toBeNull();
    expect(told.events.length).toBe(603);
    const small = told.events.filter(({ after }) => Number(after?.[0]) >= 1000);
    expect(small.map(({ after }) => after)).toEqual([
      [1000, 'before', 'y'],
      [1001, 'beside'],
      [1002, 'after'],
    ]);
    for (const { fields, after } of told.events) expect(after?.length).toBe(fields.length);
    // It was told while it was under way, and what came after it without a description of its own.
    const kinds = payloads.map((payload) => String.fromCharCode(payload[25] ?? 0)).join('');
    expect(kinds).toMatch(/S.*E.*c/);
  }));

test('a change that is too long to be held is refused by its column, unless it was rolled back', async () => {
  await using database = await createDatabase();
  const name = sourceName();
  await database.query(`
    CREATE TABLE script (id int PRIMARY KEY, body text, note text); ALTER TABLE script REPLICA IDENTITY FULL;
    CREATE PUBLICATION ${name} FOR TABLE script;
    ALTER TABLE script ALTER body SET STORAGE EXTERNAL, ALTER note SET STORAGE EXTERNAL;`);
  for (const slot of ['told', 'spooled']) {
    await database.query(`SELECT pg_create_logical_replication_slot('${name}_${slot}', 'pgoutput')`);
  }
  await database.query(`BEGIN; INSERT INTO script VALUES (1, 'a', 'b'); SAVEPOINT s;
    INSERT INTO script VALUES (2, repeat('x', 900000), 'b'); ROLLBACK TO s; INSERT INTO script VALUES (3, 'c', 'd'); COMMIT`);
  const record = (slot: string, setting: string) =>
    recordStream(`${database.url}?options=${encodeURIComponent(`-c debug_logical_replication_streaming=${setting}`)}`, {
      slot: `${name}_${slot}`,
      publications: [name],
      major: 18,
    });
  const limit = 500_000;
  for (const [slot, setting] of [
    ['told', 'buffered'],
    ['spooled', 'immediate'],
  ] as const) {
    const told = await readPayloads(await record(slot, setting), 70_000, limit);
    expect(told.failure).toBeNull();
    expect(told.events.map((event) => event.after?.[0])).toEqual([1, 3]);
  }
  await database.query(`INSERT INTO script VALUES (4, 'e', 'f')`);
  await database.query(`UPDATE script SET note = repeat('y', 700000) WHERE id = 4`);
  for (const [slot, setting] of [
    ['told', 'buffered'],
    ['spooled', 'immediate'],
  ] as const) {
    const told = await readPayloads(await record(slot, setting), 70_000, limit);
    expect(told.failure).toMatchObject({
      code: 'value_unsupported',
      details: { table: 's.public.script', column: 'note', bytes: 700_000 },
    });
    expect(told.failure?.message).not.toContain('yyy');
    // Once the table is set aside, its change goes by.
    const rest = await readPayloads(await record(slot, setting), 70_000, limit, (table) => table !== 'script');
    expect(rest.failure).toBeNull();
    expect(rest.events).toEqual([]);
  }
});

test('text that is not UTF-8 is refused by its column', async () => {
  await using database = await createDatabase();
  const name = `${database.name}_ascii`;
  await database.query(
    `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'`,
  );
  try {
    const url = database.url.replace(database.name, name);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(
      `CREATE TABLE film (id int PRIMARY KEY, title text); CREATE TABLE fine (id int PRIMARY KEY, title text)`,
    );
    const source = sourceName();
    const follower = await follow(url, source);
    await client.query(`INSERT INTO fine VALUES (1, '\uFFFD is itself')`);
    await follower.until(() => follower.eventsOf('fine').length === 1);
    await client.query(`INSERT INTO film VALUES (1, E'\\xff')`);
    expect(await follower.untilFailed()).toMatchObject({
      code: 'value_unsupported',
      details: { table: `${source}.public.film`, column: 'title' },
    });
    expect(follower.rowsOf('fine')).toEqual([{ id: 1, title: '\uFFFD is itself' }]);
    await follower.source.drop(new AbortController().signal);
    await follower.source.close();
    await client.end();
  } finally {
    await database.query(`DROP DATABASE ${name} WITH (FORCE)`);
  }
});

test('a slot that somebody made anew with two_phase is lost, for it tells what has not committed', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE film (id int PRIMARY KEY)');
  const name = sourceName();
  const follower = await follow(database.url, name);
  await follower.caughtUp();
  await follower.stop();
  const slot = `SELECT active FROM pg_replication_slots WHERE slot_name = 'dailies_${name}'`;
  while ((await database.query(slot)).rows[0]?.active) await delay(10);
  await database.query(`SELECT pg_drop_replication_slot('dailies_${name}')`);
  await database.query(`SELECT pg_create_logical_replication_slot('dailies_${name}', 'pgoutput', false, true)`);
  const source = openSource(database.url, name);
  const again = new Follower(source, await requestFor(source, follower.position));
  expect(await again.untilFailed()).toMatchObject({
    code: 'source_slot_lost',
    message: expect.stringContaining('two_phase'),
  });
  await source.close();
  await follower.source.close();
});

test('truncation of several tables, of those that refer to them, within a transaction', () => on(truncateCase));
