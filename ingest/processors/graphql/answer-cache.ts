/** Answers by id for a while, at most `capacity` of them; the oldest give way. */
export class AnswerCache<T> {
  readonly #ttlMs: number;
  readonly #capacity: number;
  readonly #entries = new Map<string, { answer: T; untilMs: number }>();

  constructor(ttlMs: number, capacity = 10_000) {
    this.#ttlMs = ttlMs;
    this.#capacity = capacity;
  }

  get(id: string, nowMs: number): T | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    if (entry.untilMs > nowMs) return entry.answer;
    this.#entries.delete(id);
    return undefined;
  }

  set(id: string, answer: T, nowMs: number): void {
    if (this.#ttlMs === 0) return;
    this.#entries.delete(id);
    this.#entries.set(id, { answer, untilMs: nowMs + this.#ttlMs });
    if (this.#entries.size <= this.#capacity) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
