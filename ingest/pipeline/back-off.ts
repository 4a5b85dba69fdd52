/** Growing waits between attempts: doubled each time up to `maxMs`, with jitter so that neighbours don't try in step. */
export class BackOff {
  #attempts = 0;
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;

  constructor(options: { minMs: number; maxMs: number; random?: () => number }) {
    this.#minMs = options.minMs;
    this.#maxMs = options.maxMs;
    this.#random = options.random ?? Math.random;
  }

  /** Milliseconds to wait before the next attempt, between half and all of the current step. */
  next(): number {
    const step = Math.min(this.#maxMs, this.#minMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return step * (0.5 + this.#random() / 2);
  }

  reset(): void {
    this.#attempts = 0;
  }
}
