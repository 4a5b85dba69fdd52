import { UNKNOWN } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, TableChanges } from '../event.ts';
import type { ProcessorDeps } from '../processor.ts';
import { readMissingValues } from '../processors/read-missing-values.ts';
import type { Sink } from '../sink.ts';
import type { DeadLetters } from './dead-letters.ts';
import { keyOf } from './key-text.ts';

interface MissingValuesDeps {
  sink: Sink;
  deadLetters: DeadLetters;
  readRows: ProcessorDeps['readRows'];
}

/**
 * An event leaves out values that have not changed since an earlier event of its row. Where that one was rejected, or is in a
 * chunk that is yet to come, the target has older values or none, so the row is read again, as it is in the source now. One
 * that is gone is left to its own delete.
 */
export async function withMissingValues(
  changes: TableChanges,
  deps: MissingValuesDeps,
  isReplayed: boolean,
  abort: AbortSignal,
): Promise<TableChanges> {
  if (!changes.events.some(({ after }) => after?.includes(UNKNOWN))) return changes;
  const absent = new Set(await deps.sink.lacking(changes, abort, isReplayed));
  const lacking = lackingIn(changes, absent, (event) => deps.deadLetters.isOpen(changes.table, event, changes.schema));
  if (lacking.length === 0) return changes;
  const rows = await readMissingValues(changes, lacking, deps, abort);
  const events = changes.events.flatMap((event, index) => {
    const after = rows.get(index);
    if (after === undefined) return [event];
    return after === null ? [] : [{ ...event, after }];
  });
  return { ...changes, events };
}

/**
 * Indexes of the events to read again. One that is may turn out to be gone, so that whatever leaves values to it has to be
 * read as well: later events of its row, and what its row becomes under another key, which comes as a delete and an insert.
 */
function lackingIn(
  { schema, events }: TableChanges,
  absent: ReadonlySet<number>,
  isOpen: (event: ChangeEvent) => boolean,
): number[] {
  const lacking: number[] = [];
  const unsure = new Set<string>();
  /** The event in front removed a row that may not have been there. */
  let isRemovedUnsure = false;
  for (const [index, event] of events.entries()) {
    const text = JSON.stringify(keyOf(event, schema));
    const isUnsure: boolean = (event.op === 'c' && isRemovedUnsure) || unsure.has(text) || isOpen(event);
    isRemovedUnsure = event.op === 'd' && isUnsure;
    if (event.op === 't') unsure.clear();
    else unsure.delete(text);
    if (!event.after?.includes(UNKNOWN) || !(isUnsure || absent.has(index))) continue;
    lacking.push(index);
    unsure.add(text);
  }
  return lacking;
}
