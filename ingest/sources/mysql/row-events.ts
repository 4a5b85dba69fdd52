import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { BinlogRows, BinlogTable } from './binlog/binlog-item.ts';
import type { ChangeBatch } from './change-batch.ts';
import type { Incomplete } from './complete-rows.ts';
import type { SourceTable } from './discovery.ts';
import { catalogShape, logShape, type ShapeContext, type TableShape } from './table-shape.ts';

/** Makes events of the rows that the log tells, each in the shape that its table had then. */
export class RowEvents {
  readonly #shapes = new Map<BinlogTable, TableShape>();
  readonly #context: ShapeContext;
  readonly #describe: (table: BinlogTable) => Promise<SourceTable | undefined>;
  readonly #isReadAgain: (table: string) => boolean;
  #incomplete: Incomplete[] = [];

  /** `describe` says what the catalog holds of a table now, `isReadAgain` whether one (database.table) is being read again. */
  constructor(
    context: ShapeContext,
    describe: (table: BinlogTable) => Promise<SourceTable | undefined>,
    isReadAgain: (table: string) => boolean,
  ) {
    this.#context = context;
    this.#describe = describe;
    this.#isReadAgain = isReadAgain;
  }

  /** The table's shape; asked of the catalog where the log tells a new one. */
  async shapeOf(table: BinlogTable): Promise<TableShape> {
    const known = this.#shapes.get(table);
    if (known) {
      known.refresh();
      return known;
    }
    const shape = logShape(table, await this.#describe(table), this.#context);
    shape.isReadAgain = this.#isReadAgain(shape.table);
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

  /** False where the log does not hold enough of rows without a key: the table is to be read again. */
  add(batch: ChangeBatch, { rows }: BinlogRows, shape: TableShape): boolean {
    let isTold = true;
    for (const { before, after } of rows) {
      // A row that becomes history is a row that is no more.
      const old = before !== null && shape.isCurrent(before) ? shape.fromLog(before) : null;
      const row = after !== null && shape.isCurrent(after) ? shape.fromLog(after) : null;
      if (old !== null && row !== null) {
        shape.widen(old);
        fillUnchanged(shape, row, old);
      }
      // Such rows are found by all that they hold.
      if (shape.key.length === 0 && (old?.includes(UNKNOWN) || row?.includes(UNKNOWN))) isTold = false;
      else if (old !== null && row !== null) this.#addUpdate(batch, shape, old, row);
      else if (old !== null) batch.add(shape, 'd', old, null);
      else if (row !== null) this.#addInsert(batch, shape, row);
    }
    return isTold;
  }

  /** Rows since the last call whose missing values only the server has. */
  takeIncomplete(): readonly Incomplete[] {
    const taken = this.#incomplete;
    this.#incomplete = [];
    return taken;
  }

  #addInsert(batch: ChangeBatch, shape: TableShape, row: OpenRow): void {
    this.#note(shape, row, row.includes(UNKNOWN));
    batch.add(shape, 'c', null, row);
  }

  /** A row that moved to another key is a delete and an insert. */
  #addUpdate(batch: ChangeBatch, shape: TableShape, old: OpenRow, row: OpenRow): void {
    if (shape.keyIndexes.some((index) => !isSame(old[index], row[index]))) {
      batch.add(shape, 'd', old, null);
      this.#addInsert(batch, shape, row);
      return;
    }
    const isLeftOut = shape.columns.some(({ isGenerated }, index) => isGenerated && row[index] === UNKNOWN);
    this.#note(shape, row, isLeftOut);
    batch.add(shape, 'u', old, row);
  }

  #note(shape: TableShape, row: OpenRow, isIncomplete: boolean): void {
    if (isIncomplete) this.#incomplete.push({ shape: { table: shape.table, schema: shape.schema }, row });
  }
}

type OpenRow = Incomplete['row'];

/** What an image after leaves out is as it was before; not what the server makes of other columns. */
function fillUnchanged(shape: TableShape, row: OpenRow, old: OpenRow): void {
  for (let index = 0; index < row.length; index++) {
    if (row[index] === UNKNOWN && !shape.isGenerated(index)) row[index] = old[index] as OpenRow[number];
  }
}

function isSame(a: Row[number] | undefined, b: Row[number] | undefined): boolean {
  if (a === b || b === UNKNOWN) return true;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return Number.isNaN(a) && Number.isNaN(b);
}
