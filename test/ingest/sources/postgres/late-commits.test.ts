import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { triggerStatement } from '#ingest/sources/postgres/ddl-trigger.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorDatabase, type MajorServer, startMajor } from '#test/fixtures/postgres-majors.ts';
import { Follower, openSource, requestFor, sourceName } from './follower.ts';

/* The stream tells of a commit that waits for a standby before anybody can see it, as nobody sees the new columns. */

describeWith('postgres-majors', 'commits that are seen late', (folder) => {
  describe.each([14, 18])('Postgres %i', (major) => {
    let server: MajorServer;
    let database: MajorDatabase;
    let name: string;
    let follower: Follower;
    let rows = 0;
    let labels = 1;

    beforeAll(async () => {
      server = await startMajor(folder, major);
    });
    afterAll(() => server[Symbol.asyncDispose]());
    beforeEach(async () => {
      database = await server.createDatabase();
      name = sourceName();
      labels = 1;
      await database.query('SET synchronous_commit = local');
      await database.query(`
        CREATE TABLE t (id int PRIMARY KEY, n text);
        CREATE TYPE mood AS ENUM ('0');
        CREATE TABLE u (id int PRIMARY KEY, mood mood);
        INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 100) i`);
    });
    afterEach(async () => {
      await setStandbys('');
      await follower.stop();
      await follower.source.close();
    });

    async function begin(): Promise<void> {
      const source = openSource(database.url, name);
      follower = new Follower(source, await requestFor(source, null));
      await follower.until(() => follower.ended.length === 2);
      await database.query('INSERT INTO t VALUES (101, NULL)');
      await follower.caughtUp();
    }

    async function setStandbys(names: string): Promise<void> {
      await database.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
      await database.query('SELECT pg_reload_conf()');
      const shown = async () =>
        (await database.query('SHOW synchronous_standby_names')).rows[0].synchronous_standby_names;
      while ((await shown()) !== names) await delay(10);
    }

    /** Begins what an application does whose commits wait for standbys. */
    async function begun(sql: string): Promise<{ done: Promise<unknown> }> {
      const application = await database.connect();
      await application.query('SET synchronous_commit = on');
      return { done: application.query(sql) };
    }

    async function untilWaiting(): Promise<void> {
      const waits = `SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%INTO t%'`;
      while ((await database.query(waits)).rows.length === 0) await delay(10);
      // The stream goes on, and has come to that commit with this one.
      rows += 1;
      await database.query(`INSERT INTO u VALUES (${rows})`);
      await follower.until(() => follower.rowsOf('u').some(({ id }) => id === rows));
    }

    /** Until the source has looked at what the stream does not tell, which is how many labels an enum has, too. */
    async function untilLooked(): Promise<void> {
      await database.query(`ALTER TYPE mood ADD VALUE '${labels++}'`);
      const kept = `SELECT obj_description(oid, 'pg_publication') AS note FROM pg_publication WHERE pubname = 'dailies_${name}'`;
      while (!(await database.query(kept)).rows[0].note.includes(`=${labels}=`)) {
        // What it knows is kept as the stream goes on.
        rows += 1;
        await database.query(`INSERT INTO u VALUES (${rows})`);
        await delay(50);
      }
    }

    /** Runs of the source one after another, until the table was read so often. */
    async function untilRead(times: number): Promise<void> {
      const reads = () => follower.ended.filter(({ table }) => table.endsWith('.t')).length;
      for (;;) {
        await follower.until(() => follower.failure !== null || reads() >= times);
        if (follower.failure === null) return;
        expect(follower.failure).toMatchObject({ code: 'source_protocol' });
        await follower.stop();
        await follower.source.close();
        const source = openSource(database.url, name);
        const request = await requestFor(source, follower.position, () => false, follower.cursors);
        follower = new Follower(source, request).goOnAfter(follower);
      }
    }

    async function expectEqual(): Promise<void> {
      await follower.caughtUp();
      const { rows: there } = await database.query('SELECT to_jsonb(t) AS row FROM t ORDER BY id');
      const columns = Object.keys(there[0].row);
      const held = follower
        .rowsOf('t')
        .map((row) => Object.fromEntries(columns.map((column) => [column, row[column]])));
      expect(held.sort((a, b) => Number(a.id) - Number(b.id))).toEqual(there.map(({ row }) => row));
    }

    const altering = `BEGIN; ALTER TABLE t ADD five int DEFAULT 5, ALTER n TYPE text USING upper(n);
      INSERT INTO t VALUES (200, 'x'); COMMIT`;

    test.each([false, true])(
      'an altered table is read again once that can be seen (event trigger: %s)',
      async (hasTrigger) => {
        if (hasTrigger) await database.query(triggerStatement);
        await begin();
        await setStandbys('nobody');
        const altered = await begun(altering);
        await untilWaiting();
        await setStandbys('');
        await altered.done;
        await untilRead(2);
        await expectEqual();
      },
    );

    test('also by a run of the source that begins meanwhile', async () => {
      await begin();
      await setStandbys('nobody');
      const altered = await begun(altering);
      await untilWaiting();
      await follower.stop();
      await follower.source.close();
      const source = openSource(database.url, name);
      follower = new Follower(source, await requestFor(source, follower.position)).goOnAfter(follower);
      await untilWaiting();
      await setStandbys('');
      await altered.done;
      await untilRead(2);
      await expectEqual();
    });

    test('rows alone, of a table that is announced anew, are no reason to read it', async () => {
      await begin();
      await database.query('ALTER TABLE t SET (fillfactor = 50)');
      await setStandbys('nobody');
      const inserted = await begun(`INSERT INTO t VALUES (300, 'plain')`);
      await untilWaiting();
      await untilLooked();
      await setStandbys('');
      await inserted.done;
      await untilLooked();
      await untilLooked();
      await expectEqual();
      expect(follower.failure).toBe(null);
      expect(follower.ended).toHaveLength(2);
    });

    test('a table that is being altered for a long time holds no other up', async () => {
      await begin();
      const application = await database.connect();
      await application.query('BEGIN; ALTER TABLE t ADD five int DEFAULT 5; INSERT INTO t VALUES (200)');
      await database.query('ALTER TABLE u ADD n int; INSERT INTO u (id, n) VALUES (1001, 1)');
      await follower.until(() => follower.rowsOf('u').some(({ n }) => n === 1));
      await application.query('COMMIT');
      await untilRead(2);
      await expectEqual();
    });

    test('an application may wait for this very stream', async () => {
      await begin();
      await setStandbys('*');
      await (await begun(`INSERT INTO t VALUES (300, 'plain')`)).done;
      await (await begun(altering)).done;
      await untilRead(2);
      await expectEqual();
    });
  });
});
