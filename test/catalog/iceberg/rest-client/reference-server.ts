import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface ReferenceServer extends AsyncDisposable {
  uri: string;
}

const program = path.resolve(import.meta.dirname, '../../../engines/rest-kit/reference-server');

/** Iceberg's own REST catalog server, empty, with its warehouse in a folder that goes with it. */
export async function startReferenceServer(): Promise<ReferenceServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'reference-catalog-'));
  const server = spawn(program, [folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  server.stderr.on('data', (text: Buffer) => {
    errors = `${errors}${text}`.slice(-4_000);
  });
  const ended = once(server, 'exit').then(() => {
    throw new Error(`The reference server has ended: ${errors}`);
  });
  ended.catch(() => undefined);
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) {
      const exit = once(server, 'exit');
      server.kill();
      await exit;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const port = await Promise.race([portOf(server.stdout), ended]);
    // Whoever reads lines leaves the rest where it is; a full pipe would stop the server.
    server.stdout.resume();
    return { uri: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

async function portOf(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: output })) {
    const port = /^listening on (\d+)$/.exec(line)?.[1];
    if (port !== undefined) return port;
  }
  // Its end, which is told with what it said, comes right after that of its output.
  return await new Promise<never>(() => undefined);
}
