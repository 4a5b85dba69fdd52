import { Worker } from 'node:worker_threads';

/**
 * Ends this process (SIGKILL) within 2 s of its parent's death, even while the main thread or DuckDB is busy: a thread of its
 * own looks whether the parent is still the same. Call once, at the start of a child process.
 */
export function watchParent(): void {
  const code = `
    const parent = ${process.ppid};
    setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, 1000);
  `;
  new Worker(code, { eval: true, stdin: false }).unref();
}
