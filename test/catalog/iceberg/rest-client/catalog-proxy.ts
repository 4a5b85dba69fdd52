import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface AskedOfCatalog {
  method: string;
  /** Path and query as sent. */
  path: string;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** What becomes of a request on its way. */
export type Fate =
  /** The server does as asked, and its answer arrives. */
  | 'pass'
  /** The server does as asked; the connection is cut before its answer arrives. */
  | 'cut after'
  /** The connection is cut, the server never sees the request. */
  | 'cut before'
  /** The server does as asked; what stands in front of it answers with this status. */
  | { after: number }
  /** Goes to this path of the server. */
  | { to: string }
  /** Answered in the server's place, which never sees the request. */
  | { status: number; json: unknown };

export interface CatalogProxy extends AsyncDisposable {
  uri: string;
  /** Asked for each request, before it goes on. */
  decide: (request: AskedOfCatalog) => Fate | Promise<Fate>;
  /** All requests that came, as "METHOD path". */
  readonly seen: string[];
}

/** Stands in front of a catalog and does to requests what networks, gateways and other servers do. */
export async function startCatalogProxy(target: string): Promise<CatalogProxy> {
  const server = http.createServer((request, response) => {
    void answer(request, response).catch(() => request.socket.destroy());
  });
  const answer = async (request: http.IncomingMessage, response: http.ServerResponse) => {
    const { method = 'GET', url = '/', headers } = request;
    const body = await text(request);
    proxy.seen.push(`${method} ${url}`);
    const fate = await proxy.decide({ method, path: url, headers, body });
    if (fate === 'cut before') {
      request.socket.destroy();
      return;
    }
    if (typeof fate === 'object' && 'json' in fate) {
      response.writeHead(fate.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(fate.json));
      return;
    }
    const etag = headers['if-none-match'];
    const from = await fetch(target + (typeof fate === 'object' && 'to' in fate ? fate.to : url), {
      method,
      headers: { 'content-type': 'application/json', ...(etag === undefined ? {} : { 'if-none-match': etag }) },
      ...(method === 'POST' ? { body } : {}),
    });
    const received = Buffer.from(await from.arrayBuffer());
    if (fate === 'cut after') {
      request.socket.destroy();
      return;
    }
    if (typeof fate === 'object' && 'after' in fate) {
      response.writeHead(fate.after, { 'content-type': 'text/html' });
      response.end('<h1>the gateway lost its patience</h1>');
      return;
    }
    const tag = from.headers.get('etag');
    response.writeHead(from.status, { 'content-type': 'application/json', ...(tag === null ? {} : { etag: tag }) });
    response.end(received);
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: CatalogProxy = {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    decide: () => 'pass',
    seen: [],
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
