import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { triggerStatement } from '#ingest/sources/postgres/ddl-trigger.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorDatabase, type MajorServer, startMajor } from '#test/fixtures/postgres-majors.ts';
import { Follower, openSource, requestFor, sourceName } from './follower.ts';

async function expectEqual(follower: Follower, database: MajorDatabase, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    const { rows } = await database.query(`SELECT id::text, v::text FROM ${table} ORDER BY id::text COLLATE "C"`);
    const held = follower.rowsOf(table).map(({ id, v }) => ({ id: String(id), v: textOf(v) }));
    expect(
      held.sort((a, b) => (a.id < b.id ? -1 : 1)),
      table,
    ).toEqual(rows);
  }
}

const textOf = (value: unknown) => (Array.isArray(value) ? `{${value.join(',')}}` : String(value));

/** Runs of the source one after another, until nothing makes it begin anew. */
async function settle(follower: Follower, database: MajorDatabase, name: string, isDone: (f: Follower) => boolean) {
  let current = follower;
  for (;;) {
    await current.until(() => current.failure !== null || isDone(current));
    if (current.failure === null) return current;
    expect(current.failure).toMatchObject({ code: 'source_protocol' });
    await current.stop();
    await current.source.close();
    const source = openSource(database.url, name);
    const next = new Follower(source, await requestFor(source, current.position, () => false, current.cursors));
    current = next.goOnAfter(current);
  }
}

describeWith('postgres-majors', 'labels that are renamed and composites that grow', (folder) => {
  describe.each([14, 18])('Postgres %i', (major) => {
    let server: MajorServer;
    beforeAll(async () => {
      server = await startMajor(folder, major);
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test.each([false, true])('old rows are read again (event trigger: %s)', async (hasTrigger) => {
      const database = await server.createDatabase();
      const name = sourceName();
      if (hasTrigger) await database.query(triggerStatement);
      await database.query(`
        CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE DOMAIN moods AS mood[];
        CREATE TYPE pair AS (a int, m mood);
        CREATE TYPE point3 AS (x int, y int);
        CREATE TABLE plain (id int PRIMARY KEY, v mood);
        CREATE TABLE keyed (id mood PRIMARY KEY, v int);
        CREATE TABLE listed (id int PRIMARY KEY, v moods);
        CREATE TABLE nested (id int PRIMARY KEY, v pair);
        CREATE TABLE points (id int PRIMARY KEY, v point3);
        CREATE TABLE numbers (id int PRIMARY KEY, v int);
        INSERT INTO plain SELECT i, CASE WHEN i % 2 = 0 THEN 'sad' ELSE 'ok' END::mood FROM generate_series(1, 500) i;
        INSERT INTO keyed VALUES ('sad', 1), ('ok', 2);
        INSERT INTO listed VALUES (1, '{sad,ok}'), (2, '{}');
        INSERT INTO nested VALUES (1, (1, 'sad')), (2, (2, NULL));
        INSERT INTO points VALUES (1, (1, 2));
        INSERT INTO numbers VALUES (1, 1)`);
      const tables = ['plain', 'keyed', 'listed', 'nested', 'points', 'numbers'];
      const source = openSource(database.url, name);
      let follower = new Follower(source, await requestFor(source, null));
      await follower.until(() => follower.ended.length === tables.length);
      // A label that is added is none of what is there.
      await database.query(`ALTER TYPE mood ADD VALUE 'great' BEFORE 'ok'`);
      await database.query(`INSERT INTO plain VALUES (501, 'great')`);
      await follower.caughtUp();
      expect(follower.failure).toBe(null);

      await database.query(
        `ALTER TYPE mood RENAME VALUE 'sad' TO 'it''s "sad", {so}'; ALTER TYPE point3 ADD ATTRIBUTE z int`,
      );
      const begun = (f: Follower, table: string) => f.ended.filter((one) => one.table.endsWith(`.${table}`)).length;
      const before = new Map(tables.map((table) => [table, begun(follower, table)]));
      const isReadAgain = (f: Follower) =>
        ['plain', 'keyed', 'nested', 'points', 'listed'].every((table) => begun(f, table) > (before.get(table) ?? 0));
      follower = await settle(follower, database, name, isReadAgain);
      await database.query(`UPDATE plain SET v = 'ok' WHERE id = 2; DELETE FROM keyed WHERE v = 2`);
      await follower.caughtUp();
      expect(begun(follower, 'numbers')).toBe(before.get('numbers'));
      await expectEqual(follower, database, ['plain', 'keyed', 'nested', 'points', 'numbers']);
      await follower.stop();
      await follower.source.close();
    });
  });
});
