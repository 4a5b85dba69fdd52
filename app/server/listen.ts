import type { Server } from 'node:net';
import { DailiesError } from '#catalog/error.ts';

/** Resolves when the server listens; rejects with the system's own error. */
export function listen(server: Server, where: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** The same on a port. Throws `port_in_use` or `environment_invalid` with one sentence that names host and port. */
export async function listenOnPort(server: Server, host: string, port: number): Promise<void> {
  try {
    await listen(server, { host, port });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const details = { host, port };
    if (code === 'EADDRINUSE')
      throw new DailiesError(
        'port_in_use',
        `Port ${port} of ${host} is taken: stop what listens there, or set DAILIES_PORT to another.`,
        { cause, details },
      );
    throw new DailiesError(
      'environment_invalid',
      `Dailies cannot listen on ${host}:${port} (${code}): check DAILIES_HOST and DAILIES_PORT.`,
      { cause, details },
    );
  }
}
