import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import type { SourceMemory } from '#ingest/source.ts';
import { postgres } from '#ingest/sources/postgres/postgres.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorDatabase, startMajor } from '#test/fixtures/postgres-majors.ts';
import { startStandby } from '#test/fixtures/postgres-standby.ts';
import { Follower, requestFor, sourceName } from './follower.ts';

const never = new AbortController().signal;

/** One source as the runtime runs it over several starts: with the same name and memory. */
class Studio {
  readonly name = sourceName();
  readonly memory: SourceMemory = passingMemory();
  follower: Follower | null = null;

  open(url: string) {
    return postgres.open({ url, tables: ['*'] }, { name: this.name, memory: this.memory, now: () => new Date() });
  }

  /** Starts from nothing. */
  async begin(url: string): Promise<Follower> {
    const source = this.open(url);
    this.follower = new Follower(source, await requestFor(source, null));
    return this.follower;
  }

  /** Goes on where the last follower was, tried again while connections are refused. */
  async goOn(url: string, needsSnapshot: (table: string) => boolean = () => false): Promise<Follower> {
    const first = this.follower;
    if (first === null) throw new Error('nothing was begun');
    await first.stop();
    await first.source.close();
    for (;;) {
      const source = this.open(url);
      const next = new Follower(source, await requestFor(source, first.position, needsSnapshot, first.cursors));
      while (next.failure === null && next.position === null) await delay(5);
      if (next.failure === null) {
        this.follower = next.goOnAfter(first);
        return next;
      }
      await source.close();
      expect(next.failure).toMatchObject({ code: 'source_unreachable' });
    }
  }

  async [Symbol.asyncDispose]() {
    await this.follower?.stop();
    await this.follower?.source.close();
  }
}

const tables = `
  CREATE TABLE film (id int PRIMARY KEY, title text, released date);
  INSERT INTO film SELECT i, 'film ' || i, '2020-01-01' FROM generate_series(1, 4000) i;
  CREATE TABLE part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
  CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (50);
  CREATE TABLE part_b PARTITION OF part FOR VALUES FROM (50) TO (1000);
  INSERT INTO part SELECT i, i FROM generate_series(1, 99) i;
  CREATE TABLE entry (id int, n int);
  INSERT INTO entry SELECT i, i FROM generate_series(1, 10) i;`;

/** Inserts rows from `id` on, and changes and deletes others. */
async function work(database: MajorDatabase, id: number, isDone: () => boolean): Promise<void> {
  for (let turn = 0; !isDone(); turn++) {
    await database.query('BEGIN');
    await database.query(`INSERT INTO film VALUES (${id + turn}, 'new', '2021-02-03')`);
    await database.query(`UPDATE film SET title = 'turn ${turn}' WHERE id = ${1 + ((turn * 37) % 4000)}`);
    await database.query(`DELETE FROM film WHERE id = ${1 + ((turn * 101) % 4000)}`);
    await database.query(turn % 5 === 3 ? 'ROLLBACK' : 'COMMIT');
  }
}

const select = {
  film: `SELECT id, title FROM film ORDER BY id::text COLLATE "C"`,
  part: `SELECT id, n FROM part ORDER BY id::text COLLATE "C"`,
};

function titlesOf(follower: Follower) {
  return follower.rowsOf('film').map(({ id, title }) => ({ id, title }));
}

describeWith('postgres-majors', 'standbys and other histories', (folder) => {
  test('a standby of Postgres 15 is refused with the reason', async () => {
    await using primary = await startMajor(folder, 15);
    const database = await primary.createDatabase();
    await database.query(tables);
    await using standby = await startStandby(folder, 15, primary);
    await standby.caughtUp();
    await using studio = new Studio();
    const follower = await studio.begin(standby.url('d1'));
    expect(await follower.untilFailed()).toMatchObject({
      code: 'source_not_ready',
      message: expect.stringMatching(
        /^This server is a standby, whose stream of changes can be read from Postgres 16 on only\./,
      ),
    });
  });

  describe.each([16, 17, 18])('Postgres %i', (major) => {
    test('a standby is followed from its snapshots on, and over its promotion, without loss', async () => {
      await using primary = await startMajor(folder, major);
      const database = await primary.createDatabase();
      await database.query(tables);
      await using standby = await startStandby(folder, major, primary);
      await standby.caughtUp();
      const url = standby.url('d1');
      await using studio = new Studio();

      // What is to be made on the primary is told, and does.
      const refused = await studio.begin(url);
      const failure = (await refused.untilFailed()) as {
        code: string;
        message: string;
        details: { statement: string };
      };
      expect(failure.code).toBe('source_not_ready');
      expect(failure.message).toMatch(/^This server is a standby, so its publications are made on the primary server/);
      expect(await refused.source.check(never)).toEqual([
        expect.objectContaining({ problem: expect.stringMatching(/^public.entry has no primary key/) }),
        expect.objectContaining({ statement: failure.details.statement }),
      ]);
      const deps = { name: 'check', memory: passingMemory(), now: () => new Date(), known: [] };
      const unnamed = postgres.open({ url, tables: ['*'] }, deps);
      expect((await unnamed.check(never)).map(({ statement }) => statement)).toContain(
        failure.details.statement.replaceAll(`dailies_${studio.name}`, 'dailies_NAME'),
      );
      await unnamed.close();
      await database.query(failure.details.statement);
      await standby.caughtUp();
      await refused.source.close();

      // The slot waits for the primary, and says so.
      await standby.query('postgres', 'SELECT pg_wal_replay_pause()');
      const follower = await studio.begin(url);
      const waits = async () => (await follower.source.warnings?.({ position: null, at: null }, never)) ?? [];
      for (;;) {
        if (follower.failure !== null) throw follower.failure;
        const [warning] = await waits();
        if (warning === undefined) continue;
        expect(warning).toMatchObject({
          code: 'slot_waits',
          message: expect.stringContaining('SELECT pg_log_standby_snapshot();'),
        });
        break;
      }
      await standby.query('postgres', 'SELECT pg_wal_replay_resume()');
      let isDone = false;
      const busy = work(database, 10_000, () => isDone);
      while (follower.batches.length === 0) {
        if (follower.failure !== null) throw follower.failure;
        await database.query('SELECT pg_log_standby_snapshot()');
        await delay(100);
      }
      await follower.until(() => follower.ended.length === 3);
      expect(await waits()).toEqual([]);
      isDone = true;
      await busy;
      await database.query('UPDATE part SET id = id + 500 WHERE id < 5; INSERT INTO entry VALUES (11, 11)');
      await standby.caughtUp();
      await follower.caughtUp();
      expect(titlesOf(follower)).toEqual((await database.query(select.film)).rows);
      expect(follower.rowsOf('part')).toEqual((await database.query(select.part)).rows);
      expect(follower.eventsOf('entry').map(({ event }) => event.after?.[0])).toEqual([
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
      ]);

      // What has to be remembered is kept with us while nothing can be written there.
      await database.query(`UPDATE film SET released = 'infinity' WHERE id = 4000 OR id = 3999`);
      await standby.caughtUp();
      await follower.caughtUp();
      const second = await studio.goOn(url);
      await database.query(`INSERT INTO film VALUES (9001, 'after', '2022-02-02')`);
      await standby.caughtUp();
      await second.caughtUp();
      expect(second.eventsOf('film').at(-1)?.fields).toEqual(['id', 'title', 'released', 'released__text']);

      // A table joins: it is told which statement the primary needs.
      await database.query('CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)');
      await standby.caughtUp();
      const source = studio.open(url);
      const joining = new Follower(
        source,
        await requestFor(source, second.position, (table) => table === 'public.late'),
      );
      expect(await joining.untilFailed()).toMatchObject({
        code: 'source_not_ready',
        details: { statement: `ALTER PUBLICATION "dailies_${studio.name}" ADD TABLE ONLY "public"."late";` },
      });
      await database.query(`ALTER PUBLICATION "dailies_${studio.name}" ADD TABLE ONLY "public"."late";`);
      await source.close();
      await standby.caughtUp();
      const third = await studio.goOn(url, (table) => table === 'public.late');
      await third.until(() => third.ended.length === 4);

      // The primary ends; its standby takes over under the stream.
      isDone = false;
      const last = work(database, 500_000, () => isDone);
      const seen = third.seen.length;
      await third.until(() => third.seen.length > seen + 50);
      isDone = true;
      await last;
      await primary.stop();
      await standby.promote();
      await standby.query('d1', `INSERT INTO film VALUES (9002, 'promoted', '2023-03-03')`);
      await third.until(() => titlesOf(third).some(({ title }) => title === 'promoted'));
      await third.caughtUp();
      expect(titlesOf(third)).toEqual(await standby.query('d1', select.film));
      const fourth = await studio.goOn(url);
      await standby.query('d1', `INSERT INTO film VALUES (9003, 'a primary by now', '2023-03-03')`);
      await fourth.caughtUp();
      expect(titlesOf(fourth)).toEqual(await standby.query('d1', select.film));
      expect(fourth.rowsOf('part')).toEqual(await standby.query('d1', select.part));
      expect(fourth.ended).toHaveLength(4);
      // By now it is where it belongs.
      const [comment] = await standby.query(
        'd1',
        `SELECT obj_description(oid, 'pg_publication') AS text FROM pg_publication WHERE pubname = 'dailies_${studio.name}'`,
      );
      expect(comment?.text).toContain('"public.film":["released"]');
      await studio.follower?.stop();
      await fourth.source.drop(never);
      expect(await standby.query('d1', `SELECT FROM pg_replication_slots`)).toEqual([]);
    });
  });

  describe.each([17, 18])('failover slots of Postgres %i', (major) => {
    const start = async (settings: Record<string, string>) => {
      const resources = new AsyncDisposableStack();
      const primary = resources.use(await startMajor(folder, major, settings));
      const database = await primary.createDatabase();
      await database.query(tables);
      const standby = resources.use(await startStandby(folder, major, primary, { sync_replication_slots: 'on' }));
      const studio = resources.use(new Studio());
      const follower = await studio.begin(primary.url('d1'));
      await follower.until(() => follower.ended.length === 3);
      const untilSynced = async () => {
        for (;;) {
          const [slot] = await standby.query(
            'postgres',
            `SELECT FROM pg_replication_slots WHERE slot_name = 'dailies_${studio.name}' AND synced AND NOT temporary`,
          );
          if (slot) return;
          // A slot is synchronised once the standby has what it needs, for which something has to be written.
          await database.query(`UPDATE part SET n = n + 1 WHERE id = 60; SELECT pg_log_standby_snapshot()`);
          await delay(100);
        }
      };
      const dispose = () => resources.disposeAsync();
      return { primary, database, standby, studio, follower, untilSynced, [Symbol.asyncDispose]: dispose };
    };

    test('a promoted standby with our slot goes on without another snapshot', async () => {
      await using setup = await start({ synchronized_standby_slots: 'standby' });
      const { primary, database, standby, studio, follower, untilSynced } = setup;
      await untilSynced();
      let isDone = false;
      const busy = work(database, 10_000, () => isDone);
      const seen = follower.seen.length;
      await follower.until(() => follower.seen.length > seen + 200);
      isDone = true;
      await busy;
      await standby.caughtUp();
      await primary.stop();
      await follower.untilFailed();
      await standby.promote();
      await standby.query('d1', `INSERT INTO film VALUES (9001, 'promoted', NULL)`);
      const second = await studio.goOn(standby.url('d1'));
      await second.caughtUp();
      expect(titlesOf(second)).toEqual(await standby.query('d1', select.film));
      expect(second.rowsOf('part')).toEqual(await standby.query('d1', select.part));
      expect(second.ended).toHaveLength(3);
    });

    test('one that was promoted before it had what we have read is another history, however far it has come since', async () => {
      await using setup = await start({});
      const { primary, database, standby, studio, follower, untilSynced } = setup;
      await untilSynced();
      await standby.caughtUp();
      await standby.query('postgres', `ALTER SYSTEM SET primary_conninfo = ''`);
      await standby.query('postgres', 'SELECT pg_reload_conf()');
      while ((await standby.query('postgres', 'SELECT FROM pg_stat_wal_receiver')).length > 0) await delay(20);
      await database.query(`INSERT INTO film VALUES (9001, 'only there', NULL)`);
      await follower.caughtUp();
      await primary.stop();
      await standby.promote();
      const fill = `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 40)`;
      await standby.query('d1', `INSERT INTO film VALUES (9002, 'only here', NULL)`);
      await standby.query('d1', fill);
      await follower.stop();
      await follower.source.close();
      const source = studio.open(standby.url('d1'));
      const lost = new Follower(source, await requestFor(source, follower.position));
      expect(await lost.untilFailed()).toMatchObject({
        code: 'source_slot_lost',
        message: expect.stringMatching(
          /was promoted, or restored, at a place before the last change that we have read/,
        ),
      });
      const again = new Follower(source, await requestFor(source, null));
      await again.until(() => again.ended.length === 3);
      expect(titlesOf(again)).toEqual(await standby.query('d1', select.film));
      await again.stop();
      await source.close();
    });
  });

  test('a server that is set back to a copy of its files, and another one at its address, are told', async () => {
    await using server = await startMajor(folder, 18);
    await using other = await startMajor(folder, 18);
    const database = await server.createDatabase();
    await database.query(tables);
    await using studio = new Studio();
    const first = await studio.begin(server.url('d1'));
    await first.until(() => first.ended.length === 3);
    await server.stop();
    await first.untilFailed();
    const copy = `${server.dataDir}.copy`;
    execFileSync('cp', ['-a', fs.realpathSync(server.dataDir), copy]);
    await server.restart();
    const second = await studio.goOn(server.url('d1'));
    await database.query(`INSERT INTO film VALUES (9001, 'lost', NULL)`);
    await second.caughtUp();
    await server.stop();
    await second.untilFailed();
    fs.rmSync(server.dataDir, { recursive: true });
    execFileSync('cp', ['-a', copy, server.dataDir]);
    await server.restart();
    const lost = async (url: string, why: RegExp) => {
      const source = studio.open(url);
      const follower = new Follower(source, await requestFor(source, second.position));
      expect(await follower.untilFailed()).toMatchObject({
        code: 'source_slot_lost',
        message: expect.stringMatching(why),
      });
      await source.close();
    };
    await lost(server.url('d1'), /history ends before what we hold/);

    const stranger = await other.createDatabase();
    await stranger.query(tables);
    await stranger.query(`SELECT pg_create_logical_replication_slot('dailies_${studio.name}', 'pgoutput')`);
    await stranger.query(
      `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 60)`,
    );
    await lost(other.url('d1'), /Another database server stands at the address/);
  });
});
