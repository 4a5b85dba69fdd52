import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  now(): number;
  /** Rejects with the signal's reason when aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const wallClock: Clock = {
  now: Date.now,
  sleep: (ms, signal) => delay(ms, undefined, { signal }),
};

/**
 * Keeps requests within a service's quota: never more than `count` begun in any window of `perMs`, counted by bucket (an
 * account, a base), and none at all while the service has locked the bucket out.
 */
export class Pace {
  readonly clock: Clock;
  readonly #begun = new Map<string, number[]>();
  readonly #closedUntil = new Map<string, number>();

  constructor(clock: Clock = wallClock) {
    this.clock = clock;
  }

  /** Resolves when a request of this bucket may begin. */
  async take(bucket: string, limit: { count: number; perMs: number }, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const now = this.clock.now();
      const begun = (this.#begun.get(bucket) ?? []).filter((at) => at > now - limit.perMs);
      this.#begun.set(bucket, begun);
      const oldest = begun[begun.length - limit.count];
      const openAt = Math.max(this.#closedUntil.get(bucket) ?? 0, oldest === undefined ? 0 : oldest + limit.perMs);
      if (openAt <= now) {
        begun.push(now);
        return;
      }
      await this.clock.sleep(openAt - now, signal);
    }
  }

  /** No request of this bucket begins for so long: the service asked for it. */
  close(bucket: string, ms: number): void {
    this.#closedUntil.set(bucket, Math.max(this.#closedUntil.get(bucket) ?? 0, this.clock.now() + ms));
  }
}
