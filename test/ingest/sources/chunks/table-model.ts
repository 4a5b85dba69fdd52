import type { Row } from '#catalog/schemas/schema.ts';
import type { Batch } from '#ingest/event.ts';
import { eventsOf } from '#ingest/snapshot-rows.ts';

/** A sink in memory, by the contract of `event.ts`: applies complete batches, keyed by the first field. */
export class TableModel {
  readonly rows = new Map<string, Map<string, Row>>();
  readonly cursors = new Map<string, string>();
  readonly ended = new Set<string>();
  /** Changes that came within a table's snapshot. */
  beside = 0;
  readonly #touched = new Map<string, Set<string>>();
  #cut: Batch[] = [];

  async apply(batch: Batch): Promise<void> {
    this.#cut.push(batch);
    if (!batch.isComplete) return;
    const whole = this.#cut;
    this.#cut = [];
    for (const part of whole) await this.#apply(part);
  }

  /** What was not complete is lost. */
  crash(): void {
    this.#cut = [];
  }

  tableOf(table: string): Map<string, Row> {
    const rows = this.rows.get(table) ?? new Map<string, Row>();
    this.rows.set(table, rows);
    return rows;
  }

  async #apply(batch: Batch): Promise<void> {
    for (const item of batch.items) {
      switch (item.kind) {
        case 'snapshot-begin':
          this.cursors.delete(item.table);
          this.#touched.set(item.table, new Set());
          break;
        case 'snapshot-rows': {
          const transaction = { id: '0', position: batch.position, timeMicros: batch.timeMicros };
          for await (const { events } of eventsOf(item.snapshotRows, transaction)) {
            for (const { after } of events) if (after) this.#put(item.snapshotRows.table, after);
          }
          break;
        }
        case 'snapshot-chunk':
          this.cursors.set(item.table, item.cursor);
          break;
        case 'snapshot-end': {
          const touched = this.#touched.get(item.table);
          const rows = this.tableOf(item.table);
          for (const key of rows.keys()) if (!touched?.has(key)) rows.delete(key);
          this.#touched.delete(item.table);
          this.cursors.delete(item.table);
          this.ended.add(item.table);
          break;
        }
        case 'changes':
          for (const { op, before, after } of item.changes.events) {
            const { table } = item.changes;
            if (this.#touched.has(table)) this.beside += 1;
            if (op === 't') this.tableOf(table).clear();
            else if (after) this.#put(table, after);
            else if (before) this.tableOf(table).delete(String(before[0]));
          }
      }
    }
  }

  #put(table: string, row: Row): void {
    const key = String(row[0]);
    this.tableOf(table).set(key, row);
    this.#touched.get(table)?.add(key);
  }
}
