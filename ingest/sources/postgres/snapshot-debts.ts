import type { BatchItem } from '../../event.ts';
import type { ShapeContext } from './table-shape.ts';

/**
 * Which debts of snapshots (`RowMemory.owed`) the snapshots pay that are handed out. A table may owe another one before the
 * end of the last is durable, or even handed out: that one stays owed.
 */
export class SnapshotDebts {
  readonly #context: Pick<ShapeContext, 'source' | 'memory'>;
  /** By table (schema.table), what it owed as the snapshot under way began. */
  readonly #underWay = new Map<string, string>();
  /** Whose snapshot is handed out, with its position: once what follows is durable it is paid. */
  readonly #ended = new Map<string, { debt: string; position: bigint }>();

  constructor(context: Pick<ShapeContext, 'source' | 'memory'>) {
    this.#context = context;
  }

  /** A snapshot of this table (schema.table) begins, or one of before goes on. */
  begin(table: string): void {
    const debt = this.#context.memory.owed.get(table);
    if (debt === undefined) this.#underWay.delete(table);
    else this.#underWay.set(table, debt);
  }

  /** Before a batch at `position` is handed out. True if a debt is paid as soon as something behind it is durable. */
  note(items: readonly BatchItem[], position: bigint): boolean {
    let isAwaited = false;
    for (const item of items) {
      if (item.kind !== 'snapshot-begin' && item.kind !== 'snapshot-end') continue;
      const table = item.table.slice(this.#context.source.length + 1);
      if (item.kind === 'snapshot-begin') {
        this.begin(table);
        continue;
      }
      const debt = this.#underWay.get(table);
      this.#underWay.delete(table);
      if (debt === undefined) continue;
      this.#ended.set(table, { debt, position });
      isAwaited = true;
    }
    return isAwaited;
  }

  /** Everything up to `upTo` is durable. Batches before a snapshot's end may have its position. */
  settle(upTo: bigint): void {
    for (const [table, { debt, position }] of this.#ended) {
      if (position >= upTo) continue;
      this.#ended.delete(table);
      this.#context.memory.settle(table, debt);
    }
  }
}
