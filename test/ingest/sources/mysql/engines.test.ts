import { afterAll, beforeAll, expect, test } from 'vitest';
import { isMysql } from '#test/fixtures/mysql-programs.ts';
import { describeServers, startServer, type TestServer } from '#test/fixtures/mysql-server.ts';
import { Mirror } from './mirror.ts';

/* Engines that do not roll back and read from no snapshot. */

describeServers('engines without transactions', ['MariaDB 10.5', 'MariaDB 11.8', 'MySQL 9'], (name) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer(name);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  test.each(isMysql(name) ? ['MyISAM'] : ['MyISAM', 'Aria'])(
    'a table of %s that is changed while it is read in chunks lands as it is',
    async (engine) => {
      await using database = await server.createDatabase();
      await database.query(`CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(60)) ENGINE = ${engine}`);
      await database.query(`INSERT INTO t SELECT seq, seq, REPEAT('x', 60) FROM ${server.numbers(8_000)}`);
      const mirror = new Mirror(server.url(), [`${database.name}.*`]);
      await mirror.start();
      let next = 10_000;
      for (let n = 0; !mirror.table(`${database.name}.t`).isWhole && mirror.failure === null; n++) {
        await database.query(`UPDATE t SET a = a + 1 WHERE id % 800 = ${n % 800}`);
        await database.query(`DELETE FROM t WHERE id % 800 = ${(n * 7 + 3) % 800} LIMIT 2`);
        await database.query(`UPDATE IGNORE t SET id = id + 100000 WHERE id = ${(n * 13) % 8_000}`);
        await database.query(`INSERT INTO t VALUES (${next++}, 0, 'new'), (${next++}, 0, 'new')`);
      }
      await mirror.caughtUp();
      const now = await database.query('SELECT id, a, b FROM t');
      const sorted = (list: readonly Record<string, unknown>[]) => list.map(({ id, a, b }) => `${id} ${a} ${b}`).sort();
      expect(sorted(mirror.rows(`${database.name}.t`))).toEqual(sorted(now));
      await mirror.stop();
    },
  );
});
