import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorDatabase, type MajorServer, startMajor } from '#test/fixtures/postgres-majors.ts';
import { Follower, openSource, requestFor, sourceName } from './follower.ts';

const never = new AbortController().signal;

async function rowsOf(database: MajorDatabase, select: string): Promise<unknown[]> {
  return (await database.query(`${select} ORDER BY id::text COLLATE "C"`)).rows;
}

/** A runtime's next run of the source, after an error that passes. */
async function goOn(first: Follower, url: string, name: string): Promise<Follower> {
  await first.stop();
  await first.source.close();
  for (;;) {
    const source = openSource(url, name);
    const request = await requestFor(source, first.position, () => false, first.cursors);
    const next = new Follower(source, request);
    while (next.failure === null && next.position === null) await delay(5);
    if (next.failure === null) return next.goOnAfter(first);
    expect(next.failure).toMatchObject({ code: 'source_unreachable' });
    await source.close();
  }
}

describeWith('postgres-majors', 'row filters and column lists of our publications', (folder) => {
  describe.each([15, 16, 17, 18])('Postgres %i', (major) => {
    let server: MajorServer;
    beforeAll(async () => {
      server = await startMajor(folder, major);
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test('hold for snapshots as for the stream, are kept when tables join, and a change of them is followed', async () => {
      const database = await server.createDatabase();
      const name = sourceName();
      await database.query(`
        CREATE TABLE film (id int PRIMARY KEY, year int NOT NULL, title text, secret text);
        ALTER TABLE film ADD CONSTRAINT other UNIQUE (id, year);
        ALTER TABLE film REPLICA IDENTITY USING INDEX other;
        INSERT INTO film SELECT i, 1990 + i % 20, 'film ' || i, 'secret' FROM generate_series(1, 3000) i;
        CREATE TABLE plain (id int PRIMARY KEY, n int);
        INSERT INTO plain VALUES (1, 1);
        CREATE TABLE entry (id int, n int);
        INSERT INTO entry SELECT i, i % 2 FROM generate_series(1, 10) i;
        CREATE PUBLICATION dailies_${name} FOR TABLE ONLY film (id, year, title) WHERE (year >= 2000), ONLY plain
          WITH (publish_via_partition_root = true);
        CREATE PUBLICATION dailies_${name}_inserts FOR TABLE ONLY entry WHERE (n = 1) WITH (publish = 'insert, truncate');`);
      const source = openSource(database.url, name);
      const [film] = (await source.discover(never)).filter((table) => table.name === 'public.film');
      expect(film?.schema.fields.map((field) => field.name)).toEqual(['id', 'year', 'title']);
      expect(film?.notes).toEqual([
        expect.stringMatching(/^Column secret is left out, for it is not in the column list/),
        expect.stringMatching(/^Only rows that pass the row filter of the publication: .*year >= 2000/),
      ]);
      let follower = new Follower(source, await requestFor(source, null));
      await follower.until(() => follower.ended.length === 3);
      await database.query(`
        INSERT INTO film VALUES (5001, 2001, 'in', 's'), (5002, 1999, 'out', 's');
        UPDATE film SET year = 2005 WHERE id = 5002;
        UPDATE film SET year = 1950 WHERE id = 5001;
        UPDATE film SET title = 'changed', secret = 'other' WHERE id <= 100;
        DELETE FROM film WHERE id BETWEEN 200 AND 300;
        INSERT INTO entry VALUES (11, 1), (12, 0);`);
      await follower.caughtUp();
      const expectFilms = async (columns: string[], year: number) => {
        await follower.caughtUp();
        await follower.until(() => follower.isWhole('film'));
        expect(follower.eventsOf('film').at(-1)?.fields).toEqual(columns);
        // What an earlier shape had stays with the follower.
        const rows = follower.rowsOf('film').map((row) => Object.fromEntries(columns.map((name) => [name, row[name]])));
        expect(rows).toEqual(await rowsOf(database, `SELECT ${columns} FROM film WHERE year >= ${year}`));
      };
      await expectFilms(['id', 'year', 'title'], 2000);
      const entries = () => follower.eventsOf('entry').map(({ event }) => event.after?.[0]);
      expect(entries()).toEqual([1, 3, 5, 7, 9, 11]);

      // A table joins: what others were limited to stays.
      await database.query('CREATE TABLE joined (id int PRIMARY KEY)');
      await follower.stop();
      follower = await goOn(follower, database.url, name);
      const { rows: filters } = await database.query(
        `SELECT tablename, attnames::text[] AS columns, rowfilter FROM pg_publication_tables WHERE pubname LIKE 'dailies_${name}%' ORDER BY tablename`,
      );
      expect(filters).toMatchObject([
        { tablename: 'entry', rowfilter: '(n = 1)' },
        { tablename: 'film', columns: ['id', 'year', 'title'], rowfilter: '(year >= 2000)' },
        { tablename: 'joined', rowfilter: null },
        { tablename: 'plain', rowfilter: null },
      ]);
      await expectFilms(['id', 'year', 'title'], 2000);

      // Wider, while nothing is written: seen by itself.
      await database.query(
        `ALTER PUBLICATION dailies_${name} SET TABLE ONLY film (id, year, secret) WHERE (year >= 1995), ONLY plain, ONLY joined`,
      );
      expect(await follower.untilFailed()).toMatchObject({ code: 'source_protocol' });
      const ended = follower.ended.length;
      follower = await goOn(follower, database.url, name);
      await follower.until(() => follower.ended.length > ended);
      await expectFilms(['id', 'year', 'secret'], 1995);

      // Narrower, and the next row tells of it before anybody looks.
      await database.query(
        `ALTER PUBLICATION dailies_${name} SET TABLE ONLY film WHERE (year >= 2003), ONLY plain, ONLY joined;
         UPDATE film SET title = 'last' WHERE year = 2004 AND id < 500;`,
      );
      const before = follower.ended.length;
      while (follower.failure === null && follower.ended.length === before) await delay(5);
      if (follower.failure !== null) {
        expect(follower.failure).toMatchObject({ code: 'source_protocol' });
        follower = await goOn(follower, database.url, name);
        await follower.until(() => follower.ended.length > before);
      }
      await database.query(
        `UPDATE film SET year = 2009 WHERE year = 1992; UPDATE film SET year = 1901 WHERE year = 2005`,
      );
      await expectFilms(['id', 'year', 'title', 'secret'], 2003);
      expect(follower.rowsOf('plain')).toEqual([{ id: 1, n: 1 }]);
      await follower.stop();
      await follower.source.close();
    });
  });
});
