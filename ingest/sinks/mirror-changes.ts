import { DailiesError } from '#catalog/error.ts';
import { fillUnknown, isWhole } from '#catalog/iceberg/write/staged-rows.ts';
import type { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import type { ChangeEvent, TableChanges } from '../event.ts';

/** Within a snapshot that replaces the table. Throws `source_protocol` for anything but its rows. */
export async function appendSnapshotRows(writer: TableWriter, changes: TableChanges): Promise<void> {
  for (const { op, after } of changes.events) {
    if (op !== 'r' || !after) {
      throw new DailiesError('source_protocol', `A change of ${changes.table} came within its snapshot.`);
    }
    await writer.snapshots.appendReplacement(after);
  }
}

/** Brings a table with a key up to one change. Throws `source_protocol` where the change carries no row. */
export async function applyKeyed(writer: TableWriter, event: ChangeEvent, table: string): Promise<void> {
  switch (event.op) {
    case 'r':
      if (!event.after) throw missingRow(table, event.op);
      if (writer.snapshots.chunkedGeneration === null) await writer.upsert(event.after, false);
      else await writer.snapshots.appendChunk(event.after);
      return;
    case 'c':
    case 'u': {
      if (!event.after) throw missingRow(table, event.op);
      const row = event.before && !isWhole(event.after) ? fillKnown(event.after, event.before) : event.after;
      await writer.upsert(row, event.op === 'c');
      return;
    }
    case 'd':
      if (!event.before) throw missingRow(table, event.op);
      await writer.remove(event.before);
      return;
    case 't':
      await writer.truncate();
      return;
  }
}

/** Rows without a key are matched whole; where the source tells no whole old row, only inserts are followed. */
export async function applyKeyless(writer: TableWriter, event: ChangeEvent): Promise<void> {
  switch (event.op) {
    case 'c':
    case 'r':
      if (event.after) await writer.upsert(event.after, true);
      return;
    case 'u':
      if (!event.before || !event.after || !isWhole(event.before)) return;
      await writer.remove(event.before);
      await writer.upsert(fillUnknown(event.after, event.before), true);
      return;
    case 'd':
      if (event.before && isWhole(event.before)) await writer.remove(event.before);
      return;
    case 't':
      await writer.truncate();
      return;
  }
}

// An old row may itself lack values; those stay unknown.
function fillKnown(row: Row, before: Row): Row {
  return row.map((value, index) => (typeof value === 'symbol' ? (before[index] ?? null) : value));
}

function missingRow(table: string, op: string): DailiesError {
  return new DailiesError('source_protocol', `An event (${op}) of ${table} carries no row.`, {
    details: { table, op },
  });
}
