import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { BinlogRow, BinlogRows, BinlogTable } from './binlog/binlog-item.ts';
import type { ChangeBatch } from './change-batch.ts';
import type { SourceTable } from './discovery.ts';
import { catalogShape, logShape, type ShapeContext, type TableShape } from './table-shape.ts';

/** Makes events of the rows that the log tells, each in the shape that its table had then. */
export class RowEvents {
  readonly #shapes = new Map<BinlogTable, TableShape>();
  readonly #context: ShapeContext;
  readonly #describe: (table: BinlogTable) => Promise<SourceTable | undefined>;

  /** `describe` says what the catalog holds of a table now. */
  constructor(context: ShapeContext, describe: (table: BinlogTable) => Promise<SourceTable | undefined>) {
    this.#context = context;
    this.#describe = describe;
  }

  /** The table's shape; asked of the catalog where the log tells a new one. */
  async shapeOf(table: BinlogTable): Promise<TableShape> {
    const known = this.#shapes.get(table);
    if (known) {
      known.refresh();
      return known;
    }
    const shape = logShape(table, await this.#describe(table), this.#context);
    for (const other of this.#shapes.keys()) {
      if (other.database === table.database && other.name === table.name) this.#shapes.delete(other);
    }
    this.#shapes.set(table, shape);
    return shape;
  }

  /** All rows of the table are gone. */
  truncate(batch: ChangeBatch, table: SourceTable): void {
    const known = [...this.#shapes.values()].findLast((shape) => shape.table === table.name);
    batch.add(known ?? catalogShape(table, this.#context), 't', null, null);
  }

  add(batch: ChangeBatch, { op, rows }: BinlogRows, shape: TableShape): void {
    for (const { before, after } of rows) {
      if (op === 'insert') batch.add(shape, 'c', null, shape.fromLog(after as BinlogRow));
      else if (op === 'delete') batch.add(shape, 'd', shape.fromLog(before as BinlogRow), null);
      else this.#addUpdate(batch, shape, before as BinlogRow, after as BinlogRow);
    }
  }

  /** A row that moved to another key is a delete and an insert. */
  #addUpdate(batch: ChangeBatch, shape: TableShape, before: BinlogRow, after: BinlogRow): void {
    const old = shape.fromLog(before);
    const row = shape.fromLog(after);
    shape.widen(old);
    if (shape.keyIndexes.some((index) => !isSame(old[index], row[index]))) {
      batch.add(shape, 'd', old, null);
      batch.add(shape, 'c', null, row);
    } else batch.add(shape, 'u', old, row);
  }
}

function isSame(a: Row[number] | undefined, b: Row[number] | undefined): boolean {
  if (a === b || b === UNKNOWN) return true;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return Number.isNaN(a) && Number.isNaN(b);
}
