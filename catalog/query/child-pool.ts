import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DailiesError } from '../error.ts';
import type { Analysis, FromChild, ResultColumn, RunRequest, ToChild } from './child-protocol.ts';
import type { ChildSettings } from './query-child.ts';
import { StatementError } from './query-problem.ts';

const childFile = fileURLToPath(new URL('./query-child.ts', import.meta.url));

/** What Node, DuckDB and the writing of the result may occupy besides the memory that a query is given. */
const overheadBytes = 1.5 * 2 ** 30;
/** Node reserves as much for code, as writable memory that it never fills; the system's limit counts it all the same. */
const reservedBytes = 2 ** 30;

const refillDelayMs = 300;

export interface PoolOptions {
  /** Memory that DuckDB may use for one query before it spills to disk. */
  memoryBytes: number;
  threads: number;
  /** Children kept ready. */
  size: number;
  /** Absolute path of an existing folder that children start in. */
  cwd: string;
  /** Where children leave their compiled code for the next ones; nowhere if left out. */
  compiledDir?: string;
}

/** Keeps children started and ready, so that a query does not wait for a process to start. */
export class ChildPool {
  readonly #options: PoolOptions;
  readonly #idle: QueryChild[] = [];
  readonly #living = new Set<QueryChild>();
  #refilling: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#refill();
  }

  /** A ready child, the caller's own. It ends by `kill`, or goes back by `release` if it has only analysed. */
  async acquire(): Promise<QueryChild> {
    if (this.#isClosed) throw new DailiesError('cancelled', 'The product is stopping.');
    let child = this.#idle.shift();
    while (child?.isDead) child = this.#idle.shift();
    child ??= this.#start();
    this.#refillSoon();
    try {
      await child.ready;
    } catch (thrown) {
      child.kill();
      throw thrown;
    }
    return child;
  }

  release(child: QueryChild): void {
    if (child.isDead || this.#isClosed || this.#idle.length >= 2 * this.#options.size) child.kill();
    else this.#idle.unshift(child);
  }

  /** Ends all children; resolves when they are gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#living];
    for (const child of all) child.kill();
    await Promise.all(all.map((child) => child.gone));
  }

  /** Starting a process takes the same cores as the query that was just given one: let it have its first rows before. */
  #refillSoon(): void {
    this.#refilling ??= setTimeout(() => {
      this.#refilling = null;
      this.#refill();
    }, refillDelayMs).unref();
  }

  #refill(): void {
    while (!this.#isClosed && this.#idle.length < this.#options.size) this.#idle.push(this.#start());
  }

  #start(): QueryChild {
    const child = new QueryChild(this.#options);
    this.#living.add(child);
    void child.gone.then(() => this.#living.delete(child));
    return child;
  }
}

/** One child process and the talk with it. */
export class QueryChild {
  /** Resolves when the child can work; rejects if it dies before. */
  readonly ready: Promise<void>;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;
  readonly #process: ChildProcess;
  #receive: ((message: FromChild | 'died') => void) | null = null;
  #lastWords = '';
  #isKilled = false;

  constructor(options: PoolOptions) {
    const settings: ChildSettings = {
      memoryBytes: options.memoryBytes,
      processBytes: options.memoryBytes + overheadBytes,
      threads: options.threads,
    };
    this.#process = spawnLimited(settings, options);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    this.#process.once('error', () => resolve());
    this.#process.once('exit', () => resolve());
    void promise.then(() => this.#receive?.('died'));
    this.#process.on('message', (message) => this.#receive?.(message as FromChild));
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-2000);
    });
    this.ready = this.#untilReady();
    // A child of the pool may die unused: whoever acquires it finds out.
    this.ready.catch(() => undefined);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isDead(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null || this.#isKilled;
  }

  /** SIGKILL: DuckDB may be deaf to anything milder. */
  kill(): void {
    this.#isKilled = true;
    this.#process.kill('SIGKILL');
  }

  /** Parses and checks; executes nothing. Throws `StatementError`. */
  async analyse(sql: string): Promise<Analysis> {
    return await this.#talk({ kind: 'analyse', sql }, (message) =>
      message.kind === 'analysed' ? message.analysis : undefined,
    );
  }

  /** Executes; resolves when the result is complete in its folder. Throws `StatementError`. */
  async run(
    request: RunRequest,
    on: { columns(columns: ResultColumn[]): void; part(rows: number): void },
  ): Promise<void> {
    await this.#talk(request, (message) => {
      if (message.kind === 'columns') on.columns(message.columns);
      else if (message.kind === 'part') on.part(message.rows);
      return message.kind === 'done' ? true : undefined;
    });
  }

  async #untilReady(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#receive = (message) => {
      if (message === 'died')
        reject(new DailiesError('internal', `A query process could not start. ${this.#lastWords}`.trim()));
      else if (message.kind === 'ready') resolve();
    };
    await promise;
    this.#receive = null;
  }

  #talk<Answer>(request: ToChild, read: (message: FromChild) => Answer | undefined): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#receive = (message) => {
      if (message === 'died') return reject(this.#whyDead());
      if (message.kind === 'failed') {
        const { code, message: text, line, column } = message.error;
        return reject(
          new StatementError(code, text, line === undefined || column === undefined ? null : { line, column }),
        );
      }
      const answer = read(message);
      if (answer !== undefined) resolve(answer);
    };
    if (this.isDead) this.#receive('died');
    else this.#process.send(request, (error) => error && this.#receive?.('died'));
    return promise.finally(() => {
      this.#receive = null;
    });
  }

  /** Under the limit of the system an allocation fails where nothing can be told any more: the process ends by one of these. */
  #whyDead(): StatementError {
    if (this.#isKilled) return new StatementError('internal', 'The query was stopped.');
    const { signalCode, exitCode } = this.#process;
    if (signalCode !== null && ['SIGKILL', 'SIGABRT', 'SIGTRAP', 'SIGILL'].includes(signalCode)) {
      return new StatementError(
        'query_limit',
        'The query needs more memory than a query may use, and its process was ended. Read fewer rows or columns, or aggregate earlier.',
      );
    }
    return new StatementError(
      'internal',
      `The process of the query ended by itself (${signalCode ?? `exit ${exitCode}`}).`,
    );
  }
}

/**
 * `sh` sets the limits and becomes Node: data segments (all writable memory, touched or not; Linux holds any process to
 * it), no core files. The environment is empty but for the channel to us.
 */
function spawnLimited(settings: ChildSettings, { cwd, compiledDir }: PoolOptions): ChildProcess {
  const kilobytes = Math.ceil((settings.processBytes + reservedBytes) / 1024);
  const script = `ulimit -c 0; ulimit -d ${kilobytes} 2>/dev/null; exec "$0" "$@"`;
  const node = [process.execPath, '--max-old-space-size=256', '--disable-warning=ExperimentalWarning', childFile];
  return spawn('/bin/sh', ['-c', script, ...node, JSON.stringify(settings)], {
    cwd,
    env: { NODE_ENV: 'production', TZ: 'UTC', HOME: cwd, ...(compiledDir && { NODE_COMPILE_CACHE: compiledDir }) },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}
