import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import type { Source, SourceWarning } from '#ingest/source.ts';
import { connect } from '#ingest/sources/postgres/connection.ts';
import { postgres } from '#ingest/sources/postgres/postgres.ts';
import { heartbeat } from '#ingest/sources/postgres/server-head.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorDatabase, type MajorServer, majors, startMajor } from '#test/fixtures/postgres-majors.ts';
import { Follower, follow, openSource, requestFor, sourceName } from './follower.ts';

const never = new AbortController().signal;
const nowhere = { position: null, at: null };

/** Writes this much into the server's log, that is of this database and that nobody follows. */
async function fill(database: MajorDatabase, megabytes: number): Promise<void> {
  await database.query(
    `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1048576)) FROM generate_series(1, ${megabytes})`,
  );
}

async function warningsOf(source: Source): Promise<SourceWarning[]> {
  return (await source.warnings?.(nowhere, never)) ?? [];
}

async function untilWarned(source: Source, isRight: (warnings: SourceWarning[]) => boolean): Promise<SourceWarning[]> {
  for (;;) {
    const warnings = await warningsOf(source);
    if (isRight(warnings)) return warnings;
    await delay(50);
  }
}

async function slotOf(database: MajorDatabase, name: string) {
  const { rows } = await database.query(
    `SELECT wal_status, active, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 AS kept,
       pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::float8 AS behind
     FROM pg_replication_slots WHERE slot_name = $1`,
    [`dailies_${name}`],
  );
  return rows[0] as { wal_status: string; active: boolean; kept: number; behind: number };
}

async function setting(database: MajorDatabase, name: string, value: string): Promise<void> {
  await database.query(`ALTER SYSTEM SET ${name} = '${value}'`);
  await database.query('SELECT pg_reload_conf()');
  for (;;) {
    const { rows } = await database.query(`SELECT current_setting('${name}') AS value`);
    if (rows[0]?.value === value) return;
    await delay(20);
  }
}

async function films(server: MajorServer): Promise<MajorDatabase> {
  const database = await server.createDatabase();
  await database.query(`CREATE TABLE film (id int PRIMARY KEY, title text); INSERT INTO film VALUES (1, 'one')`);
  return database;
}

describeWith('postgres-majors', 'slots of each version', (folder) => {
  describe.each(majors)('Postgres %i', (major) => {
    let server: MajorServer;
    beforeAll(async () => {
      // Far from a checkpoint of its own accord, which would give a slot up at once.
      server = await startMajor(folder, major, { max_wal_size: '10GB', checkpoint_timeout: '1h' });
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test('an idle database beside a busy one keeps no log: its place follows without a change of its own', async () => {
      const database = await films(server);
      const neighbour = await server.createDatabase();
      await neighbour.query('CREATE TABLE busy (id serial PRIMARY KEY, pad text)');
      const name = sourceName();
      const follower = await follow(database.url, name);
      for (let round = 0; round < 5; round++) {
        await fill(neighbour, 45);
        await neighbour.query(`INSERT INTO busy (pad) SELECT repeat('x', 500) FROM generate_series(1, 10000)`);
        for (;;) {
          if (follower.failure !== null) throw follower.failure;
          const { behind } = await slotOf(database, name);
          if (behind < 2 ** 20) break;
          await delay(50);
        }
      }
      // Where decoding would begin moves on with the running transactions, which the server notes every 15 s.
      for (;;) {
        const { kept } = await slotOf(database, name);
        if (kept < 32 * 2 ** 20) break;
        await neighbour.query(`INSERT INTO busy (pad) VALUES ('again')`);
        await delay(250);
      }
      expect(follower.eventsOf('film')).toHaveLength(1);
      expect(await warningsOf(follower.source)).toEqual([]);
      await follower.stop();
      await follower.source.close();
    });

    test('a reader that falls behind is warned of before its slot is given up, and no more once it has caught up', async () => {
      const database = await films(server);
      const name = sourceName();
      const source = openSource(database.url, name);
      let isHeld = false;
      const held = Promise.withResolvers<void>();
      const follower = new Follower(source, await requestFor(source, null), () => (isHeld ? held.promise : undefined));
      await follower.until(() => follower.ended.length === 1);
      await setting(database, 'max_slot_wal_keep_size', '128MB');
      expect(await warningsOf(source)).toEqual([]);
      isHeld = true;
      await database.query(`UPDATE film SET title = 'two'`);
      await fill(database, 100);
      const [warning, ...others] = await warningsOf(source);
      expect(others).toEqual([]);
      expect(warning?.code).toBe('slot_behind');
      expect(warning?.message).toMatch(
        /^The server keeps \d+ MB of its log \(WAL\) for the slot dailies_\w+ and gives it up beyond 128 MB: \d+ MB are left, then .* Dailies has \d+ MB of it still to read.* To make room: ALTER SYSTEM SET max_slot_wal_keep_size = 1024; SELECT pg_reload_conf\(\);$/,
      );
      held.resolve();
      await untilWarned(source, (warnings) => !warnings.some(({ message }) => message.includes('still to read')));
      // A checkpoint notes the running transactions, and with them where decoding would begin.
      while ((await warningsOf(source)).length > 0) await database.query('CHECKPOINT');
      await follower.caughtUp();
      expect(follower.rowsOf('film')).toEqual([{ id: 1, title: 'two' }]);

      const lazy = await database.connect();
      await lazy.query(`BEGIN; INSERT INTO film VALUES (2, 'open')`);
      try {
        await fill(database, 100);
        await database.query('CHECKPOINT');
        const pid = (await lazy.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid;
        const isOfIt = ({ message }: SourceWarning) => message.includes(`(process ${pid})`);
        const open = (await untilWarned(source, (found) => found.some(isOfIt))).find(isOfIt);
        expect(open?.message).toMatch(
          /Dailies has read it, but the server keeps it for a transaction that is open since 20\d\d-/,
        );
      } finally {
        // Slots of other tests would wait for its end.
        await lazy.query('COMMIT');
      }
      await follower.caughtUp();
      while ((await warningsOf(source)).length > 0) await database.query('CHECKPOINT');
      await setting(database, 'max_slot_wal_keep_size', '-1');
      await follower.stop();
      await source.close();
    });

    test('a slot that the server has given up is told, with its reason, and the tables are read again', async () => {
      const database = await films(server);
      const name = sourceName();
      const first = await follow(database.url, name);
      await first.caughtUp();
      await first.stop();
      const { source } = first;
      while ((await slotOf(database, name)).active) await delay(20);
      if (major >= 18) {
        await setting(database, 'idle_replication_slot_timeout', '2s');
        const [idle] = await untilWarned(source, (found) => found.some(({ code }) => code === 'slot_idle'));
        expect(idle?.message).toMatch(
          /^Nobody has read the slot dailies_\w+ for \d+ s, and after 2 s .* To make room: ALTER SYSTEM SET idle_replication_slot_timeout = 0;/,
        );
      } else {
        await setting(database, 'max_slot_wal_keep_size', '64MB');
      }
      await database.query(`UPDATE film SET title = 'two'; INSERT INTO film VALUES (2, 'more')`);
      await fill(database, 130);
      while ((await slotOf(database, name)).wal_status !== 'lost') {
        await fill(database, 20);
        await database.query('CHECKPOINT');
      }
      const why =
        major >= 18 ? /for longer than idle_replication_slot_timeout allows/ : /max_slot_wal_keep_size allows/;
      expect(await warningsOf(source)).toMatchObject([{ code: 'slot_lost', message: expect.stringMatching(why) }]);
      await setting(
        database,
        major >= 18 ? 'idle_replication_slot_timeout' : 'max_slot_wal_keep_size',
        major >= 18 ? '0' : '-1',
      );
      const failed = new Follower(source, await requestFor(source, first.position));
      expect(await failed.untilFailed()).toMatchObject({
        code: 'source_slot_lost',
        message: expect.stringMatching(why),
      });
      const again = new Follower(source, await requestFor(source, null));
      await again.until(() => again.ended.length === 1);
      expect(again.rowsOf('film')).toEqual([
        { id: 1, title: 'two' },
        { id: 2, title: 'more' },
      ]);
      await again.stop();
      await source.close();
    });

    test('a user who may not write messages follows all the same, and check says what that costs', async () => {
      const database = await films(server);
      const user = sourceName();
      await database.query(`
        CREATE ROLE ${user} LOGIN REPLICATION PASSWORD 'pw';
        ALTER TABLE film OWNER TO ${user};
        DO $$ DECLARE f regprocedure; BEGIN
          FOR f IN SELECT oid FROM pg_proc WHERE proname = 'pg_logical_emit_message' LOOP
            EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || f || ' FROM PUBLIC'; END LOOP; END $$;
        DO $$ BEGIN EXECUTE 'GRANT CREATE ON DATABASE ' || current_database() || ' TO ${user}'; END $$;`);
      const url = new URL(database.url);
      url.username = user;
      url.password = 'pw';
      const source = openSource(url.toString(), sourceName());
      const [lack, ...others] = await source.check(never);
      expect(others).toEqual([]);
      expect(lack?.problem).toMatch(/may not write messages of its own into the log/);
      expect(lack?.statement).toMatch(
        /^GRANT EXECUTE ON FUNCTION pg_logical_emit_message\(boolean,text,text(,boolean)?\) TO /,
      );
      const client = await connect(url.toString(), 'query', never);
      const written = async () => {
        const { rows } = await database.query('SELECT pg_current_wal_insert_lsn() AS lsn');
        await heartbeat(client);
        const { rows: after } = await database.query('SELECT pg_current_wal_insert_lsn() > $1::pg_lsn AS is_further', [
          rows[0]?.lsn,
        ]);
        return after[0]?.is_further;
      };
      // Others may write at the same moment, but not each time.
      while (await written());
      const follower = new Follower(source, await requestFor(source, null));
      await follower.until(() => follower.ended.length === 1);
      await database.query(`UPDATE film SET title = 'seen'`);
      await follower.caughtUp();
      expect(follower.rowsOf('film')).toEqual([{ id: 1, title: 'seen' }]);
      await database.query(lack?.statement ?? '');
      expect(await written()).toBe(true);
      expect(await source.check(never)).toEqual([]);
      await client.end();
      await follower.stop();
      await source.close();
    });

    test('slots that earlier sources have left behind are told by check, those of known sources are not', async () => {
      const database = await films(server);
      const names = [sourceName(), sourceName(), sourceName()] as const;
      for (const name of names)
        await database.query(`SELECT pg_create_logical_replication_slot('dailies_${name}', 'pgoutput')`);
      const other = await server.createDatabase();
      await other.query(`SELECT pg_create_logical_replication_slot('dailies_${sourceName()}', 'pgoutput')`);
      const deps = { memory: passingMemory(), now: () => new Date() };
      const source = postgres.open(
        { url: database.url, tables: ['*'] },
        { name: names[0], known: [names[1]], ...deps },
      );
      expect(await source.check(never)).toEqual([
        {
          problem: expect.stringMatching(
            `^The slot dailies_${names[2]} belongs to no source of this Dailies and nobody reads it; the server keeps \\d+ MB`,
          ),
          statement: `SELECT pg_drop_replication_slot('dailies_${names[2]}');`,
        },
      ]);
      await source.close();
    });
  });
});
