import type { SourceTable } from './discovery.ts';
import type { RowMemory } from './row-memory.ts';
import { imprintOf, isReadingOutdated } from './table-imprint.ts';

/** Where the reading of a table in chunks goes on, and whether what was read before still holds. */
export interface ChunkCursor {
  /** Names of the key's columns, in key order. */
  columns: readonly string[];
  /** The last row's key, each value as the server printed it. */
  key: readonly string[];
  /** What the table looked like when that row was read. */
  imprint: string;
  /** The debt that this snapshot settles, by its name in the memory; null where it was asked for. */
  debt: string | null;
}

export function cursorText(cursor: ChunkCursor): string {
  return JSON.stringify([cursor.columns, cursor.key, cursor.imprint, cursor.debt]);
}

export function parseCursor(text: string): ChunkCursor {
  const [columns, key, imprint, debt] = JSON.parse(text);
  return { columns, key, imprint, debt };
}

/** True if the rows up to the cursor would be read as they were, in the same order, and for the same reason. */
export function isCursorValid(cursor: ChunkCursor, table: SourceTable, memory: RowMemory): boolean {
  return (
    cursor.columns.length === table.key.length &&
    cursor.columns.every((name, index) => name === table.key[index]) &&
    cursor.debt === (memory.owed.get(table.name) ?? null) &&
    !isReadingOutdated(cursor.imprint, table)
  );
}

/** A cursor behind the row with this key. */
export function cursorAfter(key: readonly string[], table: SourceTable, memory: RowMemory): string {
  return cursorText({
    columns: table.key,
    key,
    imprint: imprintOf(table),
    debt: memory.owed.get(table.name) ?? null,
  });
}
