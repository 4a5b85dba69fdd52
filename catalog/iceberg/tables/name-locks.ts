/** Work on the same names one after the other, within this process. */
export class NameLocks {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `work` once nothing before it works on any of the names. */
  async run<Result>(names: readonly string[], work: () => Promise<Result>): Promise<Result> {
    const before = names.map((name) => this.#last.get(name));
    const { promise: done, resolve } = Promise.withResolvers<void>();
    // Entered for all names at once: two that wait for each other cannot come about.
    for (const name of names) this.#last.set(name, done);
    try {
      await Promise.all(before);
      return await work();
    } finally {
      resolve();
      for (const name of names) if (this.#last.get(name) === done) this.#last.delete(name);
    }
  }
}
