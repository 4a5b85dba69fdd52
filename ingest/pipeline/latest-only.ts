/** Calls one at a time; of those that come meanwhile only the last is made. */
export function latestOnly<T>(call: (value: T) => Promise<void>): (value: T) => Promise<void> {
  let running: Promise<void> | null = null;
  let next: { value: T } | null = null;
  return (value) => {
    next = { value };
    running ??= (async () => {
      try {
        while (next) {
          const { value: latest } = next;
          next = null;
          await call(latest);
        }
      } finally {
        running = null;
      }
    })();
    return running;
  };
}
