import { afterAll, expect, test } from 'vitest';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { mountSmallDisk } from '#test/fixtures/small-disk.ts';
import { Follower, openSource, requestFor, sourceName } from './follower.ts';
import { LogProcess } from './log-process.ts';
import { streamingUrl } from './stream-cases.ts';

const MiB = 2 ** 20;

test('a transaction many times larger than what may be held goes into the log within bounds', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE film (id bigint PRIMARY KEY, n int, pad text)');
  await using child = new LogProcess(database.url, sourceName());
  await child.until(() => true);
  // Told while it is under way, for it is beyond the server's 64 MB; a third of it is rolled back.
  await database.query(`BEGIN;
    INSERT INTO film SELECT i, i % 7, repeat('x', 500) FROM generate_series(1, 300000) i;
    SAVEPOINT a; INSERT INTO film SELECT i, 0, repeat('y', 500) FROM generate_series(300001, 500000) i; ROLLBACK TO a;
    UPDATE film SET n = 8 WHERE id <= 1000; COMMIT`);
  const { events, peakBytes } = await child.until((report) => report.events >= 301_000);
  expect(events).toBe(301_000);
  // As rows and text it is more than 600 MiB.
  expect(peakBytes / MiB).toBeLessThan(400);
});

test('a value of 64 MiB is carried in memory of a few times its size', async () => {
  await using database = await createDatabase();
  await database.query(
    `CREATE TABLE script (id int PRIMARY KEY, body text); ALTER TABLE script ALTER body SET STORAGE EXTERNAL`,
  );
  await using child = new LogProcess(database.url, sourceName());
  const before = await child.until(() => true);
  await database.query(`INSERT INTO script VALUES (1, repeat('0123456789abcdef', ${4 * MiB}))`);
  const { peakBytes } = await child.until((report) => report.events >= 1);
  expect((peakBytes - before.peakBytes) / MiB).toBeLessThan(64 * 5);
});

const disk = mountSmallDisk(6 * MiB);
afterAll(() => disk?.[Symbol.dispose]());

test.skipIf(disk === null)(
  'a full disk under a transaction under way stops the source with a sentence, and nothing of it is told',
  async () => {
    await using database = await createDatabase();
    await database.query('CREATE TABLE film (id int PRIMARY KEY, pad text)');
    const name = sourceName();
    const url = streamingUrl(database.url);
    const insert = `INSERT INTO film SELECT i, repeat('x', 500) FROM generate_series(1, 40000) i`;
    let position = '';
    {
      await using child = new LogProcess(url, name, disk?.path);
      await child.until(() => true);
      await database.query(insert);
      const failed = await child.until((report) => report.failure !== null);
      expect(failed.failure).toMatchObject({ code: 'disk_full', message: expect.stringContaining(disk?.path ?? '') });
      expect(failed.events).toBe(0);
      position = failed.position;
    }
    // With room it goes on where it was.
    const source = openSource(url, name);
    const follower = new Follower(source, await requestFor(source, position));
    await follower.until(() => follower.eventsOf('film').length === 40_000);
    await follower.stop();
    await source.close();
  },
);
