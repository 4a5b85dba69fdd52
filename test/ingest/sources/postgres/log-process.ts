import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ErrorRecord } from '#catalog/error.ts';

/** What the child tells of each complete batch, and of its end. */
export interface LogChildReport {
  /** Changes that were appended since its start. */
  events: number;
  /** Of the last complete batch. */
  position: string;
  /** Most memory of its own that it had so far. */
  peakBytes: number;
  cpuSeconds: number;
  failure: ErrorRecord | null;
}

/** `log-child.ts` over a database, on a log of its own. */
export class LogProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-log-'));
  #last: LogChildReport | null = null;
  #isEnded = false;
  #wake: () => void = () => {};

  /** `scratch`: where its scratch files are, the system's folder where not given. */
  constructor(url: string, name: string, scratch?: string) {
    this.#child = fork(new URL('./log-child.ts', import.meta.url), [url, name, this.#folder], {
      serialization: 'advanced',
      execArgv: [],
      env: { ...process.env, ...(scratch === undefined ? {} : { TMPDIR: scratch }) },
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
