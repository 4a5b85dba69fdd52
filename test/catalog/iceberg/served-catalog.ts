import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { icebergRest } from '#catalog/iceberg/rest/iceberg-rest.ts';
import type { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { restDeps } from './rest-deps.ts';

export interface ServedCatalog extends AsyncDisposable {
  uri: string;
  token: string;
}

/** The REST catalog alone on a port of its own, open to everybody. */
export async function serveCatalog(catalog: IcebergCatalog): Promise<ServedCatalog> {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', async () => {
      const hasBody = incoming.method !== 'GET' && incoming.method !== 'HEAD';
      const request = new Request(`http://localhost${incoming.url}`, {
        method: incoming.method ?? 'GET',
        headers: incoming.headers as Record<string, string>,
        ...(hasBody ? { body: Buffer.concat(chunks) } : {}),
      });
      const response = await icebergRest(request, restDeps(catalog));
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      outgoing.end(Buffer.from(await response.arrayBuffer()));
    });
  });
  // An engine that thinks for a while finds its connection as it left it.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/iceberg`,
    token: 'secret-of-the-test',
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
