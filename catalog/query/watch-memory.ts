import { Worker } from 'node:worker_threads';

/**
 * Ends this process (SIGKILL) within a quarter of a second of its resident memory passing `maxBytes`, even while the main
 * thread is busy. For platforms whose kernel holds no process to a data limit.
 */
export function watchMemory(maxBytes: number): void {
  const code = `setInterval(() => { if (process.memoryUsage.rss() > ${maxBytes}) process.kill(process.pid, 'SIGKILL'); }, 200);`;
  new Worker(code, { eval: true, stdin: false }).unref();
}
