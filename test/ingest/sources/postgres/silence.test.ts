import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { PostgresSource } from '#ingest/sources/postgres/postgres-source.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { Follower, requestFor, sourceName } from './follower.ts';

const never = new AbortController().signal;

/** Passes bytes on to a server until it is frozen: then connections stay open and nothing moves, as with a host that hangs. */
async function freezableProxy(target: URL) {
  const sockets = new Set<Socket>();
  let isFrozen = false;
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => undefined);
      from.on('close', () => isFrozen || to.destroy());
      if (isFrozen) from.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String(typeof address === 'object' ? address?.port : '');
  return {
    url: url.toString(),
    freeze() {
      isFrozen = true;
      for (const socket of sockets) socket.pause();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('a server that freezes is told as unreachable, also within a statement; nothing waits for it', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  await using proxy = await freezableProxy(new URL(database.url));
  const name = sourceName();
  const source = new PostgresSource({ url: proxy.url, tables: ['*'] }, { name, now: () => new Date() }, 2_000);
  const follower = new Follower(source, await requestFor(source, null));
  await follower.until(() => follower.ended.length === 1);
  await follower.caughtUp();
  proxy.freeze();
  const discovery = source.discover(never);
  await expect(discovery).rejects.toMatchObject({ code: 'source_unreachable' });
  expect(await follower.untilFailed()).toMatchObject({ code: 'source_unreachable' });
  await follower.stop();
  await source.close();
});
