/**
 * Runs `write` soon after `touch`, at most once in `everyMs`, never twice at a time. `flush` runs it at once if touched.
 * Where it throws, it is tried again at the next interval and `onError` is told.
 */
export class Throttled {
  readonly #write: () => Promise<void>;
  readonly #everyMs: number;
  readonly #onError: (error: unknown) => void;
  #isTouched = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | null = null;
  #lastMs = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: { write: () => Promise<void>; everyMs: number; onError: (error: unknown) => void }) {
    this.#write = options.write;
    this.#everyMs = options.everyMs;
    this.#onError = options.onError;
  }

  touch(): void {
    this.#isTouched = true;
    if (this.#timer || this.#isClosed) return;
    const wait = Math.max(0, this.#lastMs + this.#everyMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, wait);
  }

  flush(): Promise<void> {
    this.#running = this.#running.then(async () => {
      if (!this.#isTouched) return;
      this.#isTouched = false;
      this.#lastMs = performance.now();
      try {
        await this.#write();
      } catch (thrown) {
        this.#onError(thrown);
        this.touch();
      }
    });
    return this.#running;
  }

  /** Writes what is left; nothing is written after it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    await this.flush();
  }
}
