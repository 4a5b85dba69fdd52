/** Items on their way from the stream to its reader, and their size. */
export class ItemQueue<T> {
  bytes = 0;
  #items: { item: T; bytes: number }[] = [];
  #wake: () => void = () => {};

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  push(item: T, bytes: number): void {
    this.#items.push({ item, bytes });
    this.bytes += bytes;
    this.#wake();
  }

  take(): T | undefined {
    const next = this.#items.shift();
    this.bytes -= next?.bytes ?? 0;
    return next?.item;
  }

  /** Until something is pushed, or `wake` is called. One at a time. */
  async wait(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    this.#wake();
  }

  clear(): void {
    this.#items = [];
    this.bytes = 0;
  }
}
