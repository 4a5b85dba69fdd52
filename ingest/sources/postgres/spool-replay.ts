import { MessageFramer } from './message-framer.ts';
import { maxMessageBytes } from './oversized-change.ts';
import { isDoneBy } from './rolled-back.ts';
import type { TransactionSpool } from './transaction-spool.ts';

/** Reads the messages of a spool but for those of subtransactions that were rolled back, at the pace of whoever takes them. */
export class SpoolReplay {
  readonly #framer: MessageFramer;
  #rolledBack: ReadonlySet<number> = new Set();
  #isStopped = false;
  #wake: () => void = () => {};

  constructor(message: (bytes: Buffer, start: number, end: number) => void) {
    const sink = {
      message: (_code: number, bytes: Buffer, start: number, end: number) => {
        if (!isDoneBy(this.#rolledBack, bytes, start, end)) message(bytes, start, end);
        return true;
      },
      piece: () => undefined,
    };
    this.#framer = new MessageFramer(sink, maxMessageBytes);
  }

  pause(): void {
    this.#framer.pause();
  }

  resume(): void {
    this.#wake();
  }

  /** Ends `run` before its time. */
  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** True when all is read, false if it was stopped. `mustRest` is asked again after each `resume`. */
  async run(spool: TransactionSpool, rolledBack: ReadonlySet<number>, mustRest: () => boolean): Promise<boolean> {
    this.#rolledBack = rolledBack;
    for await (const chunk of spool.chunks()) {
      if (this.#isStopped) return false;
      this.#framer.push(chunk);
      while (this.#framer.isPaused) {
        const woken = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        if (!this.#isStopped) await woken;
        if (this.#isStopped) return false;
        if (!mustRest()) this.#framer.resume();
      }
    }
    return true;
  }
}
