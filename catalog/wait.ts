/** Resolves after `ms`, or at once when aborted. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** What `promise` gives, or 'late' where it takes longer than `ms`; the promise itself goes on. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | 'late'> {
  const stop = new AbortController();
  try {
    return await Promise.race([promise, wait(Math.max(0, ms), stop.signal).then(() => 'late' as const)]);
  } finally {
    stop.abort();
  }
}

/** What `promise` gives; rejects with the signal's reason once it is aborted. Only the waiting ends: the promise goes on. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
