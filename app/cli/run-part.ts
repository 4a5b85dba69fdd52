import { toDailiesError } from '#catalog/error.ts';
import { watchParent } from '#catalog/state/watch-parent.ts';
import { tellSupervisor } from './managed-process.ts';

export interface PartDeps {
  /** Address of the state database, already at the current version. */
  stateUrl: string;
  /** One line for the operator, with the time and the part's name. */
  report(line: string): void;
}

export interface Part {
  close(): Promise<void>;
}

/**
 * The life of a process that `up` supervises: starts, tells that it is ready or why it cannot be, closes on SIGTERM, and
 * dies with its parent.
 */
export async function runPart(name: string, start: (deps: PartDeps) => Promise<Part>): Promise<void> {
  watchParent();
  const report = (line: string) => void process.stderr.write(`${new Date().toISOString()} ${name}: ${line}\n`);
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  // Ctrl-C reaches the whole group of processes; when to end is for the supervisor to say.
  process.on('SIGINT', () => undefined);
  process.once('SIGTERM', ask);
  try {
    const part = await start({ stateUrl: process.env.DAILIES_STATE_URL ?? '', report });
    await tellSupervisor({ kind: 'ready' });
    await asked;
    await part.close();
    process.exit(0);
  } catch (thrown) {
    const error = toDailiesError(thrown);
    if (error.code === 'internal') report(error.stack ?? error.message);
    await tellSupervisor({ kind: 'failed', message: error.message });
    process.exit(1);
  }
}
