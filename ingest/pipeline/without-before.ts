import { fillUnknown } from '#catalog/iceberg/write/staged-rows.ts';
import type { ChangeEvent } from '../event.ts';

/** An update by key alone: what it leaves out of the row is taken from the row before, which is told no more. */
export function withoutBefore(event: ChangeEvent): ChangeEvent {
  const { op, before, after } = event;
  return op === 'u' && before && after ? { ...event, before: null, after: fillUnknown(after, before) } : event;
}
