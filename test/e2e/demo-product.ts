import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '#catalog/state/embedded-postgres.ts';

const run = promisify(execFile);
const cli = path.resolve(import.meta.dirname, '../../app/cli/dailies.ts');

/** The product as its users run it: `dailies …` on a home and a port of its own. */
export class CommandLine implements AsyncDisposable {
  readonly home: string;
  readonly url: string;
  readonly #env: NodeJS.ProcessEnv;
  #serving: ChildProcess | null = null;
  #output = '';

  private constructor(home: string, port: number, more: Record<string, string>) {
    this.home = home;
    this.url = `http://localhost:${port}`;
    const { DAILIES_URL: _url, DAILIES_TOKEN: _token, DATABASE_URL: _database, ...env } = process.env;
    this.#env = { ...env, DAILIES_HOME: home, DAILIES_PORT: String(port), ...more };
  }

  /** On a fresh home, with `more` in its environment; `port` is a free one if left out. */
  static async create(port?: number, more: Record<string, string> = {}): Promise<CommandLine> {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-e2e-'));
    fs.chmodSync(home, 0o755);
    return new CommandLine(path.join(home, 'home'), port ?? (await freePort()), more);
  }

  /** Starts `dailies up` or `demo` and resolves when it says that it is ready. Rejects with what it said if it ends before. */
  async serve(...args: string[]): Promise<void> {
    this.#output = '';
    const child = spawn(process.execPath, [cli, ...args], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#serving = child;
    const ready = new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        this.#output += chunk;
        if (this.#output.includes(`ready ${this.url}\n`)) resolve();
      });
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#output += chunk;
    });
    const ended = once(child, 'exit').then(() => {
      throw new Error(`dailies ${args.join(' ')} ended: ${this.#output}`);
    });
    await Promise.race([ready, ended]);
    ended.catch(() => undefined);
  }

  /** All that the serving process has written so far. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#serving?.pid ?? 0;
  }

  /** Runs a command; resolves with its exit code and output whatever they are. */
  async run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return this.runWith({}, ...args);
  }

  /** The same, with more in its environment. */
  async runWith(
    env: Record<string, string>,
    ...args: string[]
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    try {
      const { stdout, stderr } = await run(process.execPath, [cli, ...args], {
        env: { ...this.#env, ...env },
        maxBuffer: 64 * 2 ** 20,
      });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, stdout, stderr };
    }
  }

  /** Runs a command that prints JSON; throws with what it said where it fails. */
  async json<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run(...args);
    if (code !== 0) throw new Error(`dailies ${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Ends what serves with a signal and waits for its end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#serving;
    this.#serving = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    for (const name of ['postgres', 'studio/postgres']) {
      const target = path.join(this.home, name);
      if (fs.lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink())
        fs.rmSync(fs.realpathSync(target), { recursive: true });
    }
    fs.rmSync(path.dirname(this.home), { recursive: true, force: true });
  }
}

/** Asks until the answer is what is waited for; a test's own time-out bounds it. */
export async function until<T>(ask: () => Promise<T>, isIt: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isIt(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export interface StatusDocument {
  url: string;
  sources: Record<string, { state: string; rows: number; lag: { seconds: number; bytes: number }; lastError: unknown }>;
  pipelines: Record<
    string,
    { state: string; rows: number; lag: { seconds: number; bytes: number }; lastError: unknown }
  >;
  sinks: Record<string, { state: string; rows: number; lag: { seconds: number; bytes: number }; lastError: unknown }>;
  catalog?: { uri: string; commitsTogether: boolean };
  studio: {
    databases: { production: string; deals: string };
    edge: string;
    sheets: string;
    airtable: string;
    signIn: Record<'admin' | 'analyst' | 'owner' | 'staff', string>;
  };
}
