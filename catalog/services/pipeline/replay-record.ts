import { z } from 'zod';
import type { ErrorCode, ErrorRecord } from '../../error.ts';

const stored = z.object({
  /** Tells this replay from the one before. */
  id: z.string(),
  /** From when on changes are applied again, ISO 8601; null for all that the log keeps. */
  from: z.string().nullable(),
  /** The one key whose changes are applied again, as it was asked for; null for every key. */
  key: z.string().nullable(),
  /** It waits until the worker takes it up: a paused pipeline until it is resumed. */
  state: z.enum(['waiting', 'running', 'done', 'failed']),
  askedAt: z.string(),
  endedAt: z.string().nullable(),
  /** Changes that were applied again, once for each target. */
  events: z.number(),
  error: z
    .object({
      code: z.string().transform((code) => code as ErrorCode),
      message: z.string(),
      details: z.record(z.string(), z.unknown()),
    })
    .nullable(),
});

/** A replay of a pipeline as the state keeps it. */
export type ReplayRecord = z.infer<typeof stored> & { error: ErrorRecord | null };

/** Null where none was ever asked for. */
export function readReplay(value: unknown): ReplayRecord | null {
  return value === null || value === undefined ? null : stored.parse(value);
}

/** True until it has ended, well or not. */
export function isOpenReplay(replay: ReplayRecord | null): replay is ReplayRecord {
  return replay !== null && (replay.state === 'waiting' || replay.state === 'running');
}
