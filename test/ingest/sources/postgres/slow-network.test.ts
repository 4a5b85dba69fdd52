import { expect, test } from 'vitest';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { PostgresSource } from '#ingest/sources/postgres/postgres-source.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { startTcpProxy } from '#test/fixtures/tcp-proxy.ts';
import { Follower, requestFor, sourceName } from './follower.ts';

/*
 * 256 KiB a second with 60 ms each way: rows and changes come for much longer than the server waits for a sign of life, and than we
 * do. What the server has sent stands in the buffers between, its questions among it.
 */
const weather = { delayMs: 60, bytesPerSecond: 256 << 10 };
const silentMs = 4_000;

test('over a slow network nothing is given up, and the server has its answers', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE film (id int PRIMARY KEY, pad text);
    CREATE TABLE entry (n int, pad text);
    CREATE TABLE small (id int PRIMARY KEY);
    INSERT INTO film SELECT i, md5(i::text) || repeat(md5((-i)::text), 15) FROM generate_series(1, 3500) i;
    INSERT INTO entry SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 1500) i;`);
  const address = new URL(database.url);
  await using proxy = await startTcpProxy(Number(address.port), weather);
  address.port = String(proxy.port);
  address.searchParams.set('options', '-c wal_sender_timeout=4s');
  const deps = { name: sourceName(), memory: passingMemory(), now: () => new Date() };
  const source = new PostgresSource({ url: address.href, tables: ['*'] }, deps, { silentMs, chunkBytes: 300_000 });
  const follower = new Follower(source, await requestFor(source, null));
  const startedMs = performance.now();
  await follower.until(() => follower.ended.length === 3);
  await database.query(`
    UPDATE film SET pad = md5(pad) || repeat(md5(pad || 'x'), 15);
    DELETE FROM film WHERE id % 10 = 0;
    INSERT INTO small SELECT i FROM generate_series(1, 100) i`);
  await follower.caughtUp();
  expect(follower.failure).toBeNull();
  // It was slow indeed.
  expect(performance.now() - startedMs).toBeGreaterThan(3 * silentMs);
  expect(proxy.fromServer).toBeGreaterThan(4_000_000);
  const { rows } = await database.query('SELECT * FROM film ORDER BY id::text COLLATE "C"');
  expect(follower.rowsOf('film')).toEqual(rows);
  expect(follower.eventsOf('entry')).toHaveLength(1500);
  expect(follower.rowsOf('small')).toHaveLength(100);
  await follower.stop();
  await source.close();
});
