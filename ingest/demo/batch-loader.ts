/**
 * Gathers the keys that one level of a query asks for and loads them together. Lives for one request; a key is loaded
 * once.
 */
export class BatchLoader<T> {
  readonly #loadAll: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>;
  readonly #known = new Map<string, Promise<T | undefined>>();
  #waiting: { key: string; resolve: (value: T | undefined) => void; reject: (error: unknown) => void }[] = [];

  constructor(loadAll: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>) {
    this.#loadAll = loadAll;
  }

  load(key: string): Promise<T | undefined> {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const promise = new Promise<T | undefined>((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#dispatch());
      this.#waiting.push({ key, resolve, reject });
    });
    this.#known.set(key, promise);
    return promise;
  }

  async #dispatch(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      const found = await this.#loadAll(waiting.map(({ key }) => key));
      for (const { key, resolve } of waiting) resolve(found.get(key));
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}
