import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { readEnvironment } from '#catalog/environment.ts';
import { DailiesError } from '#catalog/error.ts';
import { allocatorSettings } from './allocator.ts';

/** What a process of ours tells its supervisor. */
export type ChildMessage = { kind: 'ready'; detail?: string } | { kind: 'failed'; message: string };

export interface ManagedProcess {
  /** What the process said when it was ready the first time. Rejects with its own sentence if it never was. */
  ready: Promise<string | undefined>;
  /** Asks it to end; after `graceMs` it is killed. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Runs a module in a process of its own and starts it anew when it ends without being asked, after a pause that doubles up
 * to 10 s while it keeps ending. A process that says why it cannot start is not started again.
 */
export function startProcess(
  module: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  report: (line: string) => void,
): ManagedProcess {
  const name = path.basename(module, '.ts');
  // Compiled once and kept: half of the work of a start is TypeScript's.
  const compiled = path.join(readEnvironment(env).home, 'compiled');
  const { promise: ready, resolve, reject } = Promise.withResolvers<string | undefined>();
  let child: ChildProcess;
  let isStopping = false;
  let wasReady = false;
  let pauseMs = 100;
  let restart: NodeJS.Timeout | undefined;

  const start = () => {
    const startedAt = Date.now();
    let refusal: string | undefined;
    child = fork(module, [...args], {
      env: { ...allocatorSettings, NODE_COMPILE_CACHE: compiled, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.on('message', (message: ChildMessage) => {
      if (message.kind === 'ready') {
        wasReady = true;
        resolve(message.detail);
      } else refusal = message.message;
    });
    child.once('exit', (code, signal) => {
      if (isStopping) return;
      if (refusal !== undefined && !wasReady) {
        reject(new DailiesError('internal', refusal));
        return;
      }
      if (Date.now() - startedAt > 60_000) pauseMs = 100;
      report(`${name} ended (${refusal ?? signal ?? `code ${code}`}); it is started again in ${pauseMs} ms`);
      restart = setTimeout(start, pauseMs);
      pauseMs = Math.min(pauseMs * 2, 10_000);
    });
  };
  start();

  return {
    ready,
    stop: async (graceMs) => {
      isStopping = true;
      clearTimeout(restart);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(kill);
    },
  };
}

/** In a child: tells the supervisor, if there is one. */
export function tellSupervisor(message: ChildMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, () => resolve());
  });
}
