import { chmod, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { SignIn } from '#catalog/access/sign-in.ts';
import { WrongPasswords } from '#catalog/access/wrong-passwords.ts';
import { CredentialVendor } from '#catalog/iceberg/storage/credential-vendor.ts';
import { CatalogIndex } from '#catalog/search/catalog-index.ts';
import { closeServer } from './close-server.ts';
import { createDispatcher } from './dispatch.ts';
import { listen, listenOnPort } from './listen.ts';
import type { ServerDeps, ServerOptions } from './server-deps.ts';
import { socketPath } from './socket-path.ts';

export interface WebServer {
  /** What it really listens on, where port 0 was asked for. */
  port: number;
  /** Lets requests in hand finish for up to 5 s, then ends. */
  close(): Promise<void>;
}

/**
 * Serves everything under one port, and the same on a socket in the home folder, where whoever may open it is admin.
 * Throws `port_in_use` or `environment_invalid` with one sentence. The caller holds the home's lock.
 */
export async function startServer(options: ServerOptions): Promise<WebServer> {
  const { environment, state, secretKey, now } = options;
  const closing = new AbortController();
  const deps: ServerDeps = {
    ...options,
    signIn: new SignIn({ state, secretKey, url: environment.url, now }),
    wrongPasswords: new WrongPasswords(() => now().getTime()),
    index: new CatalogIndex(state, () => now().getTime()),
    vendor: new CredentialVendor({
      settings: environment.s3,
      warehouse: environment.warehouse,
      nowMs: () => now().getTime(),
    }),
    closing: closing.signal,
  };
  const dispatch = createDispatcher(deps);
  // Its first load takes a second for 10,000 tables: nobody should wait for it.
  deps.index.search('').catch((error: unknown) => options.report(`search: ${describe(error)}`));
  const serve = (isSocket: boolean) =>
    // Engines send their next request on the same connection a while later: one that ends just then fails them.
    createServer({ keepAliveTimeout: 75_000 }, (message: IncomingMessage, response: ServerResponse) => {
      dispatch(message, response, isSocket).catch((error: unknown) => {
        options.report(`${message.method} ${message.url?.split('?', 1)[0]}: ${describe(error)}`);
        response.destroy();
      });
    });
  const [web, socket] = [serve(false), serve(true)];
  const path = socketPath(environment.home);
  try {
    await listenOnPort(web, environment.host, environment.port);
    // A socket that a killed process left behind refuses connections; the home's lock says that nobody is behind it.
    await rm(path, { force: true });
    await listen(socket, { path });
    await chmod(path, 0o600);
  } catch (error) {
    await Promise.all([closeServer(web), closeServer(socket)]);
    throw error;
  }
  const address = web.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : environment.port,
    async close() {
      closing.abort();
      await Promise.all([closeServer(web), closeServer(socket), deps.vendor.close()]);
      await rm(path, { force: true });
    },
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
