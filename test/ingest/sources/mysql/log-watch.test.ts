import { expect, test } from 'vitest';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { MysqlSource } from '#ingest/sources/mysql/mysql-source.ts';
import { serverNames } from '#test/fixtures/mysql-programs.ts';
import { describeServers, startServer } from '#test/fixtures/mysql-server.ts';
import { Mirror, never } from './mirror.ts';

/** MariaDB 10.5 counts in whole days. */
const inSeconds = serverNames.filter((name) => name !== 'MariaDB 10.5');

describeServers('a log that is about to be purged', inSeconds, (name) => {
  test('is told while there is time, by age and by size, and no more once all of it was read', async () => {
    await using server = await startServer(name, { binlog_expire_logs_seconds: '7200' });
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE film (id int PRIMARY KEY, title mediumtext)');
    await database.query(`INSERT INTO film VALUES (1, 'one')`);
    const mirror = new Mirror(server.url(), [`${database.name}.*`]);
    await mirror.start();
    await mirror.caughtUp();
    const { position } = mirror;
    await mirror.stop();
    const start = Date.now();
    let passedMs = 0;
    const deps = { name: 's', memory: passingMemory(), now: () => new Date(start + passedMs) };
    const source = new MysqlSource({ url: server.url(), tables: ['*.*'] }, deps);
    const reached = { position, at: new Date(start) };
    expect(await source.warnings({ position: null, at: null }, never)).toEqual([]);
    expect(await source.warnings(reached, never)).toEqual([]);
    passedMs = 3_500_000;
    expect(await source.warnings(reached, never)).toEqual([]);
    passedMs = 5_400_000;
    expect(await source.warnings(reached, never)).toEqual([
      {
        code: 'log_expiring',
        message: expect.stringMatching(
          /^Dailies last had all .* 90 minutes ago, and the server purges it after 2 hours: 30 minutes are left, .*binlog_expire_logs_seconds = 604800/,
        ),
      },
    ]);
    expect(await source.warnings({ position, at: deps.now() }, never)).toEqual([]);

    const [limit] = await database.query("SHOW GLOBAL VARIABLES LIKE 'max_binlog_total_size'");
    if (limit !== undefined) {
      await database.query('SET GLOBAL max_binlog_total_size = 8388608');
      const now = { position, at: deps.now() };
      expect(await source.warnings(now, never)).toEqual([]);
      for (let row = 2; row < 8; row++) await database.query(`INSERT INTO film VALUES (${row}, repeat('x', 1000000))`);
      expect(await source.warnings(now, never)).toEqual([
        {
          code: 'log_expiring',
          message: expect.stringMatching(/^Dailies has [56] MB .* beyond 8 MB \(max_binlog_total_size\)/),
        },
      ]);
    }
    await source.close();
  });
});
