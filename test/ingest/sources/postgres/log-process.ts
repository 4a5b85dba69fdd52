import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** What the child tells of each complete batch, and of its end. */
export interface LogChildReport {
  /** Changes that were appended since its start. */
  events: number;
  position: string;
  /** Most memory of its own that it had so far. */
  peakBytes: number;
  cpuSeconds: number;
  failure: { code?: string; message?: string; details?: Record<string, unknown> } | null;
}

/** `log-child.ts` over a database, on a log of its own. */
export class LogProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-log-'));
  #last: LogChildReport | null = null;
  #isEnded = false;
  #wake: () => void = () => {};

  constructor(url: string, name: string) {
    this.#child = fork(new URL('./log-child.ts', import.meta.url), [url, name, this.#folder], {
      serialization: 'advanced',
      execArgv: [],
    });
    this.#child.on('message', (message) => {
      this.#last = message as LogChildReport;
      this.#wake();
    });
    this.#child.on('exit', () => {
      this.#isEnded = true;
      this.#wake();
    });
  }

  /** The first report for which this holds; fails with the child's failure, or its end. */
  async until(isTrue: (report: LogChildReport) => boolean): Promise<LogChildReport> {
    for (;;) {
      const last = this.#last;
      if (last !== null && isTrue(last)) return last;
      if (last?.failure) throw new Error(`The source failed: ${last.failure.message}`, { cause: last.failure });
      if (this.#isEnded) throw new Error('The process that follows the source has ended.');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isEnded) {
      const exit = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exit;
    }
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }
}
