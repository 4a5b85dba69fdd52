import os from 'node:os';

export interface QueryLimits {
  /** Memory of one query before it spills to disk. The process may take 1.5 GiB more, then the system ends it. */
  memoryBytes: number;
  /** Temporary files of one query. */
  tempBytes: number;
  /** Files of one result. */
  resultBytes: number;
  /** From the first row read to the last row written. */
  timeMs: number;
  /** Queries that run at once; others wait in order. */
  concurrent: number;
  /** Queries that may wait. */
  queued: number;
  /** Processes kept started. */
  warm: number;
  threads: number;
  sqlLength: number;
  /** Results beyond these are removed, oldest first, when they are looked through; the history is longer. */
  kept: { count: number; bytes: number; ageMs: number; everyMs: number; historyMs: number };
}

export const defaultLimits: QueryLimits = {
  memoryBytes: 2 ** 30,
  tempBytes: 4 * 2 ** 30,
  resultBytes: 2 * 2 ** 30,
  timeMs: 5 * 60_000,
  concurrent: 4,
  queued: 100,
  warm: 2,
  threads: Math.min(4, os.availableParallelism()),
  sqlLength: 200_000,
  kept: { count: 500, bytes: 10 * 2 ** 30, ageMs: 7 * 24 * 3_600_000, everyMs: 30_000, historyMs: 90 * 24 * 3_600_000 },
};
