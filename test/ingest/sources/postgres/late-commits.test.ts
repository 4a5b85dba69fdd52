import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { triggerStatement } from '#ingest/sources/postgres/ddl-trigger.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorServer, startMajor } from '#test/fixtures/postgres-majors.ts';
import { Follower, openSource, requestFor, sourceName } from './follower.ts';

/* The stream tells of a commit that waits for a standby before anybody can see it, as nobody sees the new columns. */

describeWith('postgres-majors', 'commits that are seen late', (folder) => {
  describe.each([14, 18])('Postgres %i', (major) => {
    let server: MajorServer;
    beforeAll(async () => {
      server = await startMajor(folder, major);
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test.each([
      { hasTrigger: false, heldMs: 1_500 },
      { hasTrigger: true, heldMs: 1_500 },
      { hasTrigger: false, heldMs: 6_500 },
    ])(
      'an altered table is looked at once it can be seen (event trigger: $hasTrigger, after $heldMs ms)',
      async ({ hasTrigger, heldMs }) => {
        const database = await server.createDatabase();
        const name = sourceName();
        if (hasTrigger) await database.query(triggerStatement);
        await database.query(`
        CREATE TABLE t (id int PRIMARY KEY, n text);
        INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 100) i`);
        const source = openSource(database.url, name);
        const follower = new Follower(source, await requestFor(source, null));
        await follower.until(() => follower.ended.length === 1);
        await database.query('INSERT INTO t VALUES (101, NULL)');
        await follower.caughtUp();

        const setStandbys = async (names: string) => {
          await database.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
          await database.query('SELECT pg_reload_conf()');
          while ((await database.query('SHOW synchronous_standby_names')).rows[0].synchronous_standby_names !== names)
            await delay(10);
        };
        const application = await database.connect();
        await application.query('SET synchronous_commit = on');
        await database.query('SET synchronous_commit = local');
        await setStandbys('nobody');
        const altered = application.query(
          `BEGIN; ALTER TABLE t ADD five int DEFAULT 5, ALTER n TYPE text USING upper(n); INSERT INTO t VALUES (200, 'x'); COMMIT`,
        );
        const waits = `SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'BEGIN; ALTER%'`;
        while ((await database.query(waits)).rows.length === 0) await delay(10);
        // Long enough for the stream to come there; nothing waits for it if it does not.
        await delay(heldMs);
        await setStandbys('');
        await altered;
        await follower.caughtUp();
        await follower.until(() => follower.ended.length >= 2);
        await follower.caughtUp();
        const { rows } = await database.query('SELECT id, n, five FROM t ORDER BY id');
        const held = follower.rowsOf('t').map(({ id, n, five }) => ({ id, n, five }));
        expect(held.sort((a, b) => Number(a.id) - Number(b.id))).toEqual(rows);
        await follower.stop();
        await source.close();
      },
    );
  });
});
