import { Worker } from 'node:worker_threads';

/**
 * Ends this process (SIGKILL) with its parent: at once where the two have a channel, and within 2 s even while the main
 * thread or DuckDB is busy: a thread of its own looks whether the parent is still the same. Call once, at the start of a
 * child process.
 */
export function watchParent(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  const code = `
    const parent = ${process.ppid};
    setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, 1000);
  `;
  new Worker(code, { eval: true, stdin: false }).unref();
}
