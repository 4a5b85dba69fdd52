import { expect, test, vi } from 'vitest';
import { describeWith } from '#test/fixtures/engine.ts';
import { startMariadb, type TestMariadb } from '#test/fixtures/mariadb.ts';
import { Mirror } from './mirror.ts';

describeWith('mariadb', 'a replica of MariaDB that is promoted', () => {
  const follow = async (replica: TestMariadb, primary: TestMariadb) => {
    await replica.query(
      `CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ${primary.port}, MASTER_USER = 'copy', MASTER_PASSWORD = 'copy', MASTER_SSL = 0, MASTER_USE_GTID = slave_pos`,
    );
    await replica.query('START SLAVE');
  };
  const gtids = async (server: TestMariadb) => (await server.query('SELECT @@gtid_binlog_pos AS gtids'))[0]?.gtids;
  const isSame = async (replica: TestMariadb, primary: TestMariadb) => {
    await vi.waitFor(async () => expect(await gtids(replica)).toBe(await gtids(primary)), {
      timeout: 120_000,
      interval: 20,
    });
  };

  test('is read on where the stream was, with no table read again; one that lags behind is told as lost', async () => {
    await using primary = await startMariadb('11.4');
    const options = { 'server-id': '2', 'log-slave-updates': 'ON', 'log-bin': 'other' };
    await using replica = await startMariadb('11.4', options);
    await primary.query("CREATE USER copy IDENTIFIED BY 'copy'");
    await primary.query('GRANT REPLICATION SLAVE ON *.* TO copy');
    await follow(replica, primary);
    await primary.query('CREATE DATABASE studio');
    await primary.query('CREATE TABLE studio.movie (id INT PRIMARY KEY, title VARCHAR(20))');
    await primary.query("INSERT INTO studio.movie VALUES (1, 'Roma'), (2, 'Mank')");
    const mirror = new Mirror(primary.url(), ['studio.*']);
    await mirror.start();
    await mirror.caughtUp();
    await primary.query("UPDATE studio.movie SET title = 'ROMA' WHERE id = 1");
    await isSame(replica, primary);
    await mirror.caughtUp();
    await primary.query("INSERT INTO studio.movie VALUES (3, 'seen by both')");
    await isSame(replica, primary);
    await primary.stop('SIGKILL');
    await mirror.untilFailed();
    await replica.query('STOP SLAVE');
    await replica.query('RESET SLAVE ALL');
    await replica.query("INSERT INTO studio.movie VALUES (4, 'of the new one')");
    mirror.url = replica.url();
    await mirror.start();
    await mirror.caughtUp();
    const movie = mirror.table('studio.movie');
    expect(movie.snapshots).toBe(1);
    expect(mirror.rows('studio.movie').map(({ title }) => title)).toEqual([
      'ROMA',
      'Mank',
      'seen by both',
      'of the new one',
    ]);
    await mirror.stop();
    await primary.start();
    mirror.url = primary.url();
    await mirror.start();
    expect(await mirror.untilFailed()).toMatchObject({ code: 'source_slot_lost' });
    await mirror.stop();
  });
});
