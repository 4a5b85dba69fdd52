import { setTimeout as delay } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { describeServers, startServer, type TestServer, type TestServerDatabase } from '#test/fixtures/mysql-server.ts';
import { Mirror, never } from './mirror.ts';

/*
 * Between a transaction's place in the log and the moment when it can be seen lies its commit, which takes as long as the
 * disk does. A snapshot that is taken within it does not hold what the log already has.
 */
const commitMicros = 400_000;
const rounds = 4;
const waiting = { timeout: 120_000, interval: 200 };

describeServers('commits that take long', ['MariaDB 11.8', 'MySQL 9'], (name) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer(name, { 'sync-binlog': '1' });
    const settings =
      name === 'MySQL 9'
        ? [`binlog_group_commit_sync_delay = ${commitMicros}`]
        : ['binlog_commit_wait_count = 1000', `binlog_commit_wait_usec = ${commitMicros}`];
    for (const setting of settings) await server.query(`SET GLOBAL ${setting}`);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  test.each([
    ['without a key', 'CREATE TABLE t (id INT, title TEXT)'],
    ['with a key', 'CREATE TABLE t (id INT PRIMARY KEY, title TEXT)'],
  ])('a table %s that is changed while it is read', async (_, create) => {
    await using database = await server.createDatabase();
    await database.query(create);
    await database.query(`INSERT INTO t SELECT seq, 'film' FROM ${server.numbers(100)}`);
    for (let round = 0; round < rounds; round++) {
      let isDone = false;
      const busy = change(database, round, () => isDone);
      const mirror = new Mirror(server.url(), [`${database.name}.*`]);
      try {
        await mirror.start();
        await mirror.until(() => mirror.table(`${database.name}.t`).isWhole);
        isDone = true;
        await busy;
        await mirror.caughtUp();
        const rows = await database.query('SELECT id, title FROM t ORDER BY id');
        expect(mirror.rows(`${database.name}.t`).sort((a, b) => Number(a.id) - Number(b.id))).toEqual(rows);
      } finally {
        isDone = true;
        await busy;
        await mirror.stop();
      }
    }
  });

  test('a table without a key that never rests keeps no other waiting, and is told', async () => {
    await using database = await server.createDatabase();
    for (const table of ['busy', 'calm']) {
      await database.query(`CREATE TABLE ${table} (id INT)`);
      await database.query(`INSERT INTO ${table} VALUES (1), (2)`);
    }
    let isDone = false;
    // Each on a connection that stays: as long as one is made nothing is written.
    const writers = Array.from({ length: 6 }, async () => {
      const options = { socketPath: server.socketPath, user: 'root', database: database.name };
      const connection = await mysql.createConnection(options);
      while (!isDone) await connection.query('INSERT INTO busy VALUES (3)');
      await connection.end();
    });
    const mirror = new Mirror(server.url(), [`${database.name}.*`]);
    const warnings = () => mirror.source.warnings?.({ position: mirror.position, at: new Date() }, never);
    try {
      await mirror.start();
      await mirror.until(() => mirror.table(`${database.name}.calm`).isWhole);
      if (name === 'MySQL 9') {
        await vi.waitFor(async () => expect(await warnings()).toMatchObject([{ code: 'table_restless' }]), waiting);
        const statement = `ALTER TABLE \`${database.name}\`.\`busy\` ADD PRIMARY KEY`;
        expect((await warnings())?.[0]?.message).toContain(statement);
      }
      isDone = true;
      await Promise.all(writers);
      await mirror.until(() => mirror.table(`${database.name}.busy`).isWhole);
      await mirror.caughtUp();
      expect(await warnings()).toEqual([]);
      const [count] = await database.query('SELECT count(*) AS n FROM busy');
      expect(mirror.rows(`${database.name}.busy`)).toHaveLength(Number(count?.n));
    } finally {
      isDone = true;
      await Promise.all(writers);
      await mirror.stop();
    }
  });

  describe('handed out before they are waited for', () => {
    // As MySQL does with a log that it does not bring to the disk itself.
    beforeAll(() => server.query('SET GLOBAL sync_binlog = 0'));
    afterAll(() => server?.query('SET GLOBAL sync_binlog = 1'));

    test('tables that are altered and made, of which the catalog tells later than the log', async () => {
      await using database = await server.createDatabase();
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))');
      await database.query("INSERT INTO t VALUES (1, 'seven'), (2, 'eight')");
      await database.query('CREATE TABLE u (id INT PRIMARY KEY)');
      const mirror = new Mirror(server.url(), [`${database.name}.*`]);
      const table = (one: string) => mirror.table(`${database.name}.${one}`);
      try {
        await mirror.start();
        await mirror.caughtUp();
        await database.query('ALTER TABLE t MODIFY v VARCHAR(30)');
        await mirror.caughtUp();
        expect(table('t').snapshots).toBe(1);
        await database.query('ALTER TABLE t ADD x INT DEFAULT 5');
        await mirror.until(() => table('t').snapshots === 2);
        await database.query('DROP TABLE u');
        await database.query('CREATE TABLE u (id INT PRIMARY KEY, name VARCHAR(9))');
        await database.query("INSERT INTO u VALUES (1, 'other')");
        await mirror.until(() => mirror.rows(`${database.name}.u`)[0]?.name === 'other' && table('u').isWhole);
        await mirror.caughtUp();
        expect(mirror.rows(`${database.name}.t`)).toEqual([
          { id: 1, v: 'seven', x: 5 },
          { id: 2, v: 'eight', x: 5 },
        ]);
      } finally {
        await mirror.stop();
      }
    });

    test('a database that is dropped and made again, of which the catalog tells later than the log', async () => {
      await using database = await server.createDatabase();
      await database.query('CREATE TABLE t (id INT PRIMARY KEY)');
      await database.query('INSERT INTO t VALUES (1)');
      const mirror = new Mirror(server.url(), [`${database.name}.*`]);
      try {
        await mirror.start();
        await mirror.caughtUp();
        for (let id = 2; id < 5; id++) {
          await database.query(`DROP DATABASE ${database.name}`);
          await database.query(`CREATE DATABASE ${database.name}`);
          await database.query(`CREATE TABLE ${database.name}.t (id INT PRIMARY KEY)`);
          await database.query(`INSERT INTO ${database.name}.t VALUES (${id})`);
          const rows = () => mirror.rows(`${database.name}.t`);
          await mirror.until(() => rows().length === 1 && rows()[0]?.id === id);
          await mirror.caughtUp();
          expect(rows()).toEqual([{ id }]);
        }
      } finally {
        await mirror.stop();
      }
    });

    test.each([
      ['without a key', 'id INT'],
      ['with a key', 'id INT PRIMARY KEY'],
    ])('a table %s that is changed by a statement is read once that can be seen', async (_, id) => {
      await using database = await server.createDatabase();
      await database.query(`CREATE TABLE t (${id}, title TEXT, note TEXT)`);
      await database.query(`INSERT INTO t SELECT seq, 'film', 'as it was' FROM ${server.numbers(5)}`);
      const options = { socketPath: server.socketPath, user: 'root', database: database.name };
      const connection = await mysql.createConnection(options);
      const mirror = new Mirror(server.url(), [`${database.name}.*`]);
      try {
        await mirror.start();
        await mirror.caughtUp();
        await connection.query("SET SESSION binlog_format = 'STATEMENT'");
        await connection.query("UPDATE t SET title = 'changed' WHERE id = 2");
        await mirror.until(() => mirror.table(`${database.name}.t`).snapshots === 2);
        await mirror.caughtUp();
        const rows = await database.query('SELECT id, title, note FROM t ORDER BY id');
        expect(mirror.rows(`${database.name}.t`).sort((a, b) => Number(a.id) - Number(b.id))).toEqual(rows);
      } finally {
        await connection.end();
        await mirror.stop();
      }
    });

    test('a source that begins again before its last transaction can be seen goes on behind that', async () => {
      await using database = await server.createDatabase();
      await database.query('CREATE TABLE t (id INT PRIMARY KEY)');
      const mirror = new Mirror(server.url(), [`${database.name}.*`]);
      try {
        await mirror.start();
        await mirror.caughtUp();
        for (let id = 1; id <= 4; id++) {
          const written = database.query(`INSERT INTO t VALUES (${id})`);
          await mirror.until(() => mirror.rows(`${database.name}.t`).length === id);
          await mirror.stop();
          await mirror.start();
          await written;
        }
        await mirror.caughtUp();
        expect(mirror.rows(`${database.name}.t`)).toHaveLength(4);
        expect(mirror.table(`${database.name}.t`).snapshots).toBe(1);
      } finally {
        await mirror.stop();
      }
    });
  });

  /** One transaction after another, with as long between them as one takes: a snapshot of a table without a key must fit in there. */
  async function change(database: TestServerDatabase, round: number, isDone: () => boolean): Promise<void> {
    for (let turn = 0; !isDone(); turn++) {
      const id = 1_000 * (round + 1) + turn;
      await database.query(`INSERT INTO t VALUES (${id}, 'new')`);
      await database.query(`DELETE FROM t WHERE id = (SELECT least FROM (SELECT min(id) AS least FROM t) AS found)`);
      await delay(commitMicros / 1_000);
    }
  }
});
