import { DailiesError } from '../error.ts';

const windowMs = 5 * 60_000;
const mostForOne = 5;
const mostFromOne = 30;
const mostKept = 10_000;

/** Counts wrong passwords, for an e-mail address and from a network address, and refuses more of them for five minutes. */
export class WrongPasswords {
  readonly #now: () => number;
  readonly #counts = new Map<string, { count: number; until: number }>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Throws `throttled` with a sentence where there have been too many. */
  check(email: string, from: string): void {
    const wait = Math.max(this.#waitFor(`for ${email}`, mostForOne), this.#waitFor(`from ${from}`, mostFromOne));
    if (wait === 0) return;
    const minutes = Math.ceil(wait / 60_000);
    throw new DailiesError(
      'throttled',
      `Too many wrong passwords. Try again in ${minutes} minute${minutes === 1 ? '' : 's'}, or ask an admin for a new link.`,
      { details: { retryAfterSeconds: Math.ceil(wait / 1000) } },
    );
  }

  wrong(email: string, from: string): void {
    for (const id of [`for ${email}`, `from ${from}`]) {
      const known = this.#counts.get(id);
      const now = this.#now();
      if (known === undefined || known.until <= now) this.#counts.set(id, { count: 1, until: now + windowMs });
      else known.count++;
    }
    if (this.#counts.size > mostKept) this.#forgetOld();
  }

  right(email: string): void {
    this.#counts.delete(`for ${email}`);
  }

  #waitFor(id: string, most: number): number {
    const known = this.#counts.get(id);
    return known === undefined || known.count < most ? 0 : Math.max(0, known.until - this.#now());
  }

  #forgetOld(): void {
    const now = this.#now();
    for (const [id, { until }] of this.#counts) if (until <= now) this.#counts.delete(id);
  }
}
