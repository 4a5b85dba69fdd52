import { z } from 'zod';

/** How far a table's snapshot is that is under way. */
export interface TableSnapshot {
  rows: number;
  /** What the source takes the table to have; null where it cannot tell. */
  estimatedRows: number | null;
  rowsPerSecond: number;
  secondsLeft: number | null;
  /** ISO 8601 */
  startedAt: string;
}

const stored = z.object({
  rows: z.number(),
  estimatedRows: z.number().nullable(),
  rowsPerSecond: z.number(),
  secondsLeft: z.number().nullable(),
  startedAt: z.string(),
});

/** As the worker has stored it with the table; null where none is under way. */
export function readTableSnapshot(row: { state: string; snapshot: unknown }): TableSnapshot | null {
  if (row.state !== 'snapshotting' || row.snapshot === null) return null;
  const parsed = stored.safeParse(row.snapshot);
  return parsed.success ? parsed.data : null;
}
