import { z } from 'zod';
import type { Schema } from '#catalog/schemas/schema.ts';
import type { BatchItem } from '../../event.ts';
import type { PartitionExtent } from './topic-reader.ts';

const offsets = z.record(z.string(), z.number().int().nonnegative());
const stored = z.object({
  /** Of the next record, by partition. */
  at: offsets,
  /** Where the snapshot ends, by partition. */
  ends: offsets,
  rows: z.number(),
});

/**
 * A snapshot of one table: what its topic holds, from its first record to where it ended when the snapshot began. Its chunks
 * are changes as they were; what no record has touched since its beginning is no row of the table.
 */
export class TableSnapshot {
  readonly #table: string;
  readonly #generation: number;
  readonly #ends: ReadonlyMap<number, number>;
  readonly #total: number;
  #rows: number;
  #hasBegun: boolean;

  private constructor(
    table: string,
    generation: number,
    stand: { ends: ReadonlyMap<number, number>; total: number; rows: number; hasBegun: boolean },
  ) {
    this.#table = table;
    this.#generation = generation;
    this.#ends = stand.ends;
    this.#total = stand.total;
    this.#rows = stand.rows;
    this.#hasBegun = stand.hasBegun;
  }

  /** `table`: source.schema.table. `extents`: its partitions as they are now. */
  static begin(table: string, generation: number, extents: readonly PartitionExtent[]): TableSnapshot {
    const ends = new Map(extents.map(({ partition, next }) => [partition, next]));
    return new TableSnapshot(table, generation, { ends, total: countOf(extents), rows: 0, hasBegun: false });
  }

  /** One that a cursor goes on with, and the offsets it stands at; null for a cursor of another form. */
  static resume(
    table: string,
    generation: number,
    cursor: string,
    extents: readonly PartitionExtent[],
  ): { snapshot: TableSnapshot; at: Map<number, number> } | null {
    const parsed = stored.safeParse(parseJson(cursor));
    if (!parsed.success) return null;
    const { at, ends, rows } = parsed.data;
    const snapshot = new TableSnapshot(table, generation, {
      ends: numbered(ends),
      total: countOf(extents),
      rows,
      hasBegun: true,
    });
    return { snapshot, at: numbered(at) };
  }

  /** Before the table's first records; nothing if it has begun. */
  begin(schema: Schema, isChunked: boolean): BatchItem[] {
    if (this.#hasBegun) return [];
    this.#hasBegun = true;
    return [{ kind: 'snapshot-begin', table: this.#table, schema, generation: this.#generation, isChunked }];
  }

  isEnd(at: ReadonlyMap<number, number>): boolean {
    return [...this.#ends].every(([partition, end]) => (at.get(partition) ?? 0) >= end);
  }

  /** Behind the changes of a batch: what closes the chunk, and the snapshot if it ends with it. */
  chunk(at: ReadonlyMap<number, number>, addedRows: number): BatchItem[] {
    this.#rows = Math.max(0, this.#rows + addedRows);
    const cursor = JSON.stringify({
      at: Object.fromEntries(at),
      ends: Object.fromEntries(this.#ends),
      rows: this.#rows,
    });
    const item = { table: this.#table, generation: this.#generation, rows: this.#rows };
    const items: BatchItem[] = [
      { ...item, kind: 'snapshot-chunk', cursor, estimatedRows: Math.max(this.#total, this.#rows) },
    ];
    return this.isEnd(at) ? [...items, { ...item, kind: 'snapshot-end' }] : items;
  }

  /** A table without a key begins empty, and its records are changes. */
  whole(schema: Schema): BatchItem[] {
    return [
      ...this.begin(schema, false),
      { kind: 'snapshot-end', table: this.#table, generation: this.#generation, rows: 0 },
    ];
  }
}

function countOf(extents: readonly PartitionExtent[]): number {
  return extents.reduce((sum, { first, next }) => sum + next - first, 0);
}

function numbered(record: Readonly<Record<string, number>>): Map<number, number> {
  return new Map(Object.entries(record).map(([partition, offset]) => [Number(partition), offset]));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
