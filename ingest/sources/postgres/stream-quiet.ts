import type { BatchBuilder } from './batch-builder.ts';

const idleMs = 900;
const heartbeatAfterMs = 1_500;

export interface QuietOptions {
  /** Where the server's history ends, and the server's time just before that was asked. */
  head(): Promise<{ position: bigint; timeMicros: bigint }>;
  /** Writes something into the server's history that the stream will pass. */
  heartbeat(): Promise<void>;
  fail(error: unknown): void;
}

/**
 * What a stream without events can say: that everything until a time is known, once the place where the history ended at that
 * time is passed. Where it is not passed in a while, something is written that moves the stream on.
 */
export class StreamQuiet {
  readonly #builder: BatchBuilder;
  readonly #options: QuietOptions;
  #probe: { position: bigint; timeMicros: bigint; atMs: number } | null = null;
  /** Ends of the history that somebody waits for. */
  #expected: { position: bigint; timeMicros: bigint }[] = [];
  #isProbing = false;
  #lastBatchMs = performance.now();
  #lastHeartbeatMs = performance.now();

  constructor(builder: BatchBuilder, options: QuietOptions) {
    this.#builder = builder;
    this.#options = options;
  }

  batchTaken(): void {
    this.#lastBatchMs = performance.now();
  }

  /** A batch should come once `head`, an end of the history as `head()` tells it, is passed. */
  expect(head: { position: bigint; timeMicros: bigint }): void {
    this.#expected.push(head);
  }

  /** True where the stream has passed an end that was asked for: the builder's time is then the time of that. */
  hasPassed(): boolean {
    const { position } = this.#builder;
    const asked = this.#probe === null ? this.#expected : [this.#probe, ...this.#expected];
    const passed = asked.filter((head) => head.position <= position);
    if (passed.length === 0) return false;
    for (const { timeMicros } of passed)
      if (timeMicros > this.#builder.timeMicros) this.#builder.timeMicros = timeMicros;
    if (this.#probe !== null && this.#probe.position <= position) this.#probe = null;
    this.#expected = this.#expected.filter((head) => head.position > position);
    return true;
  }

  /** To be called every half second or so while nothing waits; true where an empty batch is due. `isQuiet`: no events are gathered. */
  tick(isQuiet: boolean): boolean {
    const now = performance.now();
    if (this.#probe === null) void this.#findHead();
    else if (isQuiet && now - Math.max(this.#probe.atMs, this.#lastHeartbeatMs) >= heartbeatAfterMs) {
      this.#lastHeartbeatMs = now;
      this.#options.heartbeat().catch((error) => this.#options.fail(error));
    }
    return isQuiet && this.#builder.timeMicros > 0n && now - this.#lastBatchMs >= idleMs;
  }

  async #findHead(): Promise<void> {
    if (this.#isProbing) return;
    this.#isProbing = true;
    try {
      const atMs = performance.now();
      this.#probe = { ...(await this.#options.head()), atMs };
    } catch (error) {
      this.#options.fail(error);
    } finally {
      this.#isProbing = false;
    }
  }
}
