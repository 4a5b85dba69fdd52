import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { PostgresSource } from '#ingest/sources/postgres/postgres-source.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { Follower, requestFor, sourceName } from './follower.ts';

const never = new AbortController().signal;

/**
 * Passes bytes on to a server until it is frozen: then connections stay open and nothing moves, as with a host that hangs.
 * `freezesAfter`: it freezes by itself once the server has said this.
 */
async function freezableProxy(target: URL, freezesAfter: string | null) {
  const sockets = new Set<Socket>();
  let isFrozen = false;
  const freeze = () => {
    isFrozen = true;
    for (const socket of sockets) socket.pause();
  };
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => {
        to.write(bytes);
        if (freezesAfter !== null && from === far && bytes.includes(freezesAfter)) freeze();
      });
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
    freeze,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function followed(freezesAfter: string | null) {
  const resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  await database.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  const proxy = resources.use(await freezableProxy(new URL(database.url), freezesAfter));
  const deps = { name: sourceName(), memory: passingMemory(), now: () => new Date() };
  const source = new PostgresSource({ url: proxy.url, tables: ['*'] }, deps, { silentMs: 5_000 });
  resources.defer(() => source.close());
  const follower = new Follower(source, await requestFor(source, null));
  resources.defer(() => follower.stop());
  return { proxy, source, follower, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

test('a server that freezes is told as unreachable, also within a statement; nothing waits for it', async () => {
  await using studio = await followed(null);
  const { proxy, source, follower } = studio;
  await follower.until(() => follower.ended.length === 1);
  await follower.caughtUp();
  proxy.freeze();
  await expect(source.discover(never)).rejects.toMatchObject({ code: 'source_unreachable' });
  expect(await follower.untilFailed()).toMatchObject({ code: 'source_unreachable' });
});

test('a server that freezes while a connection to it is being ended is told as unreachable', async () => {
  // The transaction that read the snapshot is over; its connection is ended next.
  await using studio = await followed('ROLLBACK');
  expect(await studio.follower.untilFailed()).toMatchObject({ code: 'source_unreachable' });
});
