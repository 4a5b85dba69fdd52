import type { UNKNOWN, Value } from '#catalog/schemas/schema.ts';
import type { Batch } from '../../event.ts';
import type { Relation } from './relation.ts';

export type Incomplete = { relation: Relation; row: (Value | typeof UNKNOWN)[] };

/** What a stream hands out. */
export type StreamItem =
  /** `incomplete`: rows under a new key whose unchanged TOAST values are still to be read. */
  | { kind: 'batch'; batch: Batch; incomplete: Incomplete[] }
  /** Everything before the barrier was handed out; nothing follows until `passBarrier`. */
  | { kind: 'barrier' };
