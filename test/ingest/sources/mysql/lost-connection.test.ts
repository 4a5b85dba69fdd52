import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAddress } from '#ingest/sources/mysql/address.ts';
import type { ServerAddress } from '#ingest/sources/mysql/binlog/binlog-stream.ts';
import { PacketSocket } from '#ingest/sources/mysql/binlog/packet-socket.ts';
import { connectServer } from '#ingest/sources/mysql/binlog/server-connection.ts';
import { connect, cut } from '#ingest/sources/mysql/connection.ts';
import { describeServers, startServer, type TestServer } from '#test/fixtures/mysql-server.ts';
import { never } from './mirror.ts';

/** Both kinds of connection: each is made, and closed. */
const kinds: Readonly<Record<string, (address: ServerAddress) => Promise<void>>> = {
  'for statements': async (address) => cut(await connect(address, never)),
  'for the log': async (address) => (await connectServer(address, never)).socket.close(),
};

describeServers('connections that are lost while they are made', ['MariaDB 11.8', 'MySQL 9'], (name) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer(name, name === 'MySQL 9' ? {} : { ssl: 'ON' });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const through = (port: number, mode: string) =>
    parseAddress(`${server.url().replace(`:${server.port}`, `:${port}`)}?ssl-mode=${mode}`);

  describe.each(['REQUIRED', 'PREFERRED', 'DISABLED'])('ssl-mode %s', (mode) => {
    test.each(Object.entries(kinds))('%s, whatever byte of either side is the last', async (_, open) => {
      await using whole = await startCuttingProxy(server.port, { from: 'server', after: Number.POSITIVE_INFINITY });
      await open(through(whole.port, mode));
      for (const from of ['server', 'client'] as const) {
        const all = whole.carried[from];
        const step = Math.max(1, Math.floor(all / 40));
        // The last bytes may be of what follows the login, which nobody waits for.
        for (let after = 0; after < all * 0.8; after += step) {
          for (const isReset of [false, true]) {
            await using proxy = await startCuttingProxy(server.port, { from, after, isReset });
            const outcome = await open(through(proxy.port, mode)).catch((error: unknown) => error);
            const where = `${after} of ${all} bytes of the ${from}, ${isReset ? 'reset' : 'ended'}`;
            expect(outcome, where).toMatchObject({ code: 'source_unreachable' });
          }
        }
      }
    });
  });

  test.each(Object.entries(kinds))('%s: a refusal of encryption is none of them', async (_, open) => {
    await expect(open(through(server.port, 'VERIFY_CA'))).rejects.toMatchObject({
      code: 'source_refused',
      message: expect.stringContaining('No encrypted connection'),
    });
    // An alert of TLS in place of its hello: no protocol in common (RFC 5246, 7.2).
    await using proxy = await startCuttingProxy(server.port, {
      ...{ from: 'client', after: 36, answer: Buffer.from([21, 3, 3, 0, 2, 2, 70]) },
    });
    await expect(open(through(proxy.port, 'REQUIRED'))).rejects.toMatchObject({
      code: 'source_refused',
      message: expect.stringContaining('No encrypted connection'),
    });
  });

  test('a server that falls silent while encryption is agreed on', async () => {
    await using proxy = await startCuttingProxy(server.port, { from: 'client', after: 36, isSilent: true });
    const to = { host: '127.0.0.1', port: proxy.port };
    const socket = await PacketSocket.connect(to, { timeoutMs: 15_000, highBytes: 1 << 20 }, never);
    await socket.next(15_000);
    await expect(socket.encrypt({ rejectUnauthorized: false }, 50)).rejects.toMatchObject({
      code: 'source_unreachable',
    });
    socket.close();
  });
});

interface Cut {
  /** Whose bytes are counted. */
  from: 'server' | 'client';
  /** How many of them pass before the connection ends. */
  after: number;
  /** By RST rather than by FIN. */
  isReset?: boolean;
  /** Nothing passes any more, and nothing ends. */
  isSilent?: boolean;
  /** Sent to the client as if by the server, before it ends. */
  answer?: Buffer;
}

/** A way to `target` of this machine whose connections end after so many bytes of one side. */
async function startCuttingProxy(target: number, { from, after, isReset, isSilent, answer }: Cut) {
  const carried = { server: 0, client: 0 };
  const sockets = new Set<net.Socket>();
  const proxy = net.createServer((client) => {
    const server = net.connect(target, '127.0.0.1');
    const both = { client, server };
    let isOver = false;
    const end = () => {
      isOver = true;
      if (isSilent) return;
      server.destroy();
      if (answer !== undefined) client.end(answer);
      else if (isReset) client.resetAndDestroy();
      else client.destroySoon();
    };
    for (const [side, socket, other] of [
      ['client', client, server],
      ['server', server, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        if (!isOver) for (const one of Object.values(both)) one.destroy();
      });
      socket.on('data', (bytes: Buffer) => {
        if (isOver) return;
        const passing = side === from ? bytes.subarray(0, Math.max(0, after - carried[side])) : bytes;
        carried[side] += bytes.length;
        other.write(passing);
        if (side === from && carried[side] > after) end();
      });
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    port: (proxy.address() as AddressInfo).port,
    carried,
    [Symbol.asyncDispose]: async () => {
      proxy.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
