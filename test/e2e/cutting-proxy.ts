import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';

export interface CuttingProxy extends AsyncDisposable {
  url: string;
  /** Connections that were cut. */
  cuts: number;
}

/**
 * Stands between a client and `port` of this machine and cuts every so many answers, by `chance` (0 to 1), as they begin: what
 * was asked has been done, and whoever asked does not know it. While nobody listens there, connections are refused.
 */
export async function startCuttingProxy(port: number, chance: () => boolean): Promise<CuttingProxy> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
      // What breaks on one side breaks the other; that is all there is to it.
      socket.on('error', () => socket.destroy());
    }
    client.pipe(upstream);
    upstream.on('data', (bytes: Buffer) => {
      if (chance()) {
        proxy.cuts += 1;
        client.resetAndDestroy();
      } else client.write(bytes);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: CuttingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cuts: 0,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
