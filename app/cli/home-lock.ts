import fs from 'node:fs';
import net from 'node:net';
import { DailiesError } from '#catalog/error.ts';
import { socketPath } from '../server/socket-path.ts';

/**
 * Claims a home for this process until it ends, by whatever cause: a socket that somebody listens on is taken, one that
 * nobody listens on is a leftover. Throws `home_in_use`.
 */
export async function lockHome(home: string, name: string): Promise<() => void> {
  const file = socketPath(home, `${name}.lock`);
  for (let attempt = 0; ; attempt++) {
    const server = await listen(file);
    if (server !== null) {
      server.unref();
      return () => server.close();
    }
    if (attempt > 2 || (await isAlive(file))) {
      const message = `Dailies already runs on ${home}: stop that one first, or set DAILIES_HOME to another folder.`;
      throw new DailiesError('home_in_use', message, { details: { home } });
    }
    fs.rmSync(file, { force: true });
  }
}

function listen(file: string): Promise<net.Server | null> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    );
    server.listen(file, () => resolve(server));
  });
}

function isAlive(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(file);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
