import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { isWhole } from '#catalog/iceberg/write/staged-rows.ts';
import type { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import type { TableChanges } from '../event.ts';

/**
 * Indexes of the events that lack values of rows which the table, with what is staged and what these events say before, does
 * not hold, or holds from before the snapshot under way. Only while a chunked snapshot is.
 */
export async function lackingValues({ schema, events }: TableChanges, writer: TableWriter): Promise<number[]> {
  if (schema.key.length === 0 || !events.some(({ after }) => after !== null && !isWhole(after))) return [];
  const encode = keyEncoder(schema);
  const textOf = (row: Row) => encode(row).toString('latin1');
  const isHeld = new Map<string, boolean>();
  let isTruncated = false;
  /** A key change comes as a removal and an insert that takes its values. */
  let removed: { row: Row; wasHeld: boolean | undefined } | null = null;
  const holds = async (row: Row, known: boolean | undefined) =>
    known ?? (isTruncated ? false : await writer.holds(row));
  const lacking: number[] = [];
  for (const [index, { op, before, after }] of events.entries()) {
    if (op === 't') {
      isHeld.clear();
      isTruncated = true;
    }
    const last = removed;
    removed = null;
    if (op === 'd' && before) {
      const text = textOf(before);
      removed = { row: before, wasHeld: isHeld.get(text) };
      isHeld.set(text, false);
    }
    if (!after) continue;
    const text = textOf(after);
    if (!isWhole(after) && !(before && isWhole(before))) {
      const held = op === 'c' && last ? await holds(last.row, last.wasHeld) : await holds(after, isHeld.get(text));
      if (!held) lacking.push(index);
    }
    isHeld.set(text, true);
  }
  return lacking;
}
