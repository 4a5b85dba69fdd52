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

  /**
   * Counts an attempt before its password is looked at, so that many at once are no way past the limit. Throws `throttled`
   * with a sentence where there have been too many. The answer takes the attempt back: it was no wrong password.
   */
  begin(email: string, from: string): { takeBack(): void } {
    const ids = [`for ${email}`, `from ${from}`];
    const wait = Math.max(this.#waitFor(`for ${email}`, mostForOne), this.#waitFor(`from ${from}`, mostFromOne));
    if (wait > 0) {
      const minutes = Math.ceil(wait / 60_000);
      throw new DailiesError(
        'throttled',
        `Too many wrong passwords. Try again in ${minutes} minute${minutes === 1 ? '' : 's'}, or ask an admin for a new link.`,
        { details: { retryAfterSeconds: Math.ceil(wait / 1000) } },
      );
    }
    for (const id of ids) this.#count(id);
    if (this.#counts.size > mostKept) this.#forgetOld();
    return {
      takeBack: () => {
        for (const id of ids) {
          const known = this.#counts.get(id);
          if (known !== undefined && known.count > 0) known.count--;
        }
      },
    };
  }

  /** Their wrong ones before it no longer count. */
  right(email: string): void {
    this.#counts.delete(`for ${email}`);
  }

  #count(id: string): void {
    const known = this.#counts.get(id);
    const now = this.#now();
    if (known === undefined || known.until <= now) this.#counts.set(id, { count: 1, until: now + windowMs });
    else known.count++;
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
