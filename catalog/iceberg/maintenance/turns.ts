import { DailiesError } from '../../error.ts';

interface Waiting {
  isReady: () => boolean;
  run: () => Promise<void>;
  drop: (reason: Error) => void;
}

/**
 * Who may use the writers of one sink: its own calls, one after the other, and between them whoever waits for a moment at
 * which a table has nothing staged. Such a moment is right after a commit, or whenever the sink is idle.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  readonly #waiting = new Set<Waiting>();
  /** What made the writers useless in a turn between calls: the sink's next call tells it. */
  #failure: { thrown: unknown } | null = null;
  #isClosed = false;

  /** A call of the sink's own. Throws what went wrong between calls, too. */
  own<T>(call: () => Promise<T>): Promise<T> {
    return this.#next(async () => {
      if (this.#failure) throw this.#failure.thrown;
      return await call();
    });
  }

  /** At the end of a call of its own: who waits for such a moment is let in. Throws what goes wrong there. */
  async letIn(): Promise<void> {
    for (const waiting of [...this.#waiting]) {
      if (!waiting.isReady()) continue;
      this.#waiting.delete(waiting);
      await waiting.run();
    }
  }

  /**
   * Runs `work` in a moment at which `isReady` holds. What it throws is thrown here and makes the writers useless. Rejects
   * with `cancelled` if the sink closes, or `signal` is aborted, before that moment.
   */
  between<T>(isReady: () => boolean, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (this.#isClosed || signal.aborted) {
      reject(closed());
      return promise;
    }
    const leave = () => {
      if (this.#waiting.delete(waiting)) reject(closed());
    };
    const waiting: Waiting = {
      isReady,
      drop: reject,
      run: async () => {
        signal.removeEventListener('abort', leave);
        try {
          resolve(await work());
        } catch (thrown) {
          reject(thrown);
          this.#failure = { thrown };
          throw thrown;
        }
      },
    };
    this.#waiting.add(waiting);
    signal.addEventListener('abort', leave, { once: true });
    // The failure is told to who waits and to the sink's next call.
    this.#next(() => this.letIn()).catch(() => undefined);
    return promise;
  }

  /** Waits for the turn in hand; who still waits is sent away. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const waiting of this.#waiting) waiting.drop(closed());
    this.#waiting.clear();
    await this.#last.catch(() => undefined);
  }

  #next<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(call, call);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

function closed(): DailiesError {
  return new DailiesError('cancelled', 'The writer of the table was closed meanwhile.');
}
