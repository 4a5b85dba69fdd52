import { toDailiesError } from '../error.ts';
import type { QueryLimits } from './query-limits.ts';
import type { QueryRecords } from './query-records.ts';
import type { ResultStore } from './result-store.ts';

/** Removes results and records beyond their retention, one piece of work after the other. */
export class Housekeeping {
  readonly #store: ResultStore;
  readonly #records: QueryRecords;
  readonly #limits: QueryLimits;
  /** Why something could not be done: whoever asks next is told, so that disks don't fill in silence. */
  #failure: unknown = null;
  #prunedMs = Number.NEGATIVE_INFINITY;
  #last: Promise<void> = Promise.resolve();

  constructor(store: ResultStore, records: QueryRecords, limits: QueryLimits) {
    this.#store = store;
    this.#records = records;
    this.#limits = limits;
  }

  /** Begins to remove what an earlier life left: results beyond the retention, queries that nobody runs any more. */
  cleanUp(): void {
    this.#next(async () => {
      await this.#store.prune();
      await this.#records.forgetBefore(this.#limits.kept.historyMs);
      await this.#records.giveUpOrphans(this.#store, this.#limits.timeMs + 3_600_000);
    });
  }

  /** Looking through all results takes longer than a small query: not after each. */
  pruneSometimes(): void {
    this.#next(async () => {
      const now = performance.now();
      if (now - this.#prunedMs < this.#limits.kept.everyMs) return;
      this.#prunedMs = now;
      await this.#store.prune();
    });
  }

  /** Does it now; a failure is kept for `throwFailure`. */
  async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#failure = thrown;
    }
  }

  /** Throws what failed since it was asked last. */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw toDailiesError(failure);
  }

  /** Resolves when all that was begun is done. */
  async close(): Promise<void> {
    await this.#last;
  }

  #next(work: () => Promise<void>): void {
    this.#last = this.#last.then(() => this.attempt(work));
  }
}
