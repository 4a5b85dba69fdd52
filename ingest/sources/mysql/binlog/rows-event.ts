import { UNKNOWN } from '#catalog/schemas/schema.ts';
import type { BinlogRow, BinlogRows, BinlogValue } from './binlog-item.ts';
import { ByteReader } from './byte-reader.ts';
import { type ReadValue, valueReader } from './column-value.ts';
import { jsonText, parseJsonText } from './json-binary.ts';
import { applyJsonDiffs } from './json-diff.ts';
import { malformed } from './protocol-error.ts';
import type { MappedTable } from './table-map.ts';

export type RowsOp = BinlogRows['op'];

export interface RowsHead {
  tableId: number;
  flags: number;
  /** The columns and the rows. */
  rest: ByteReader;
}

/** USE_SQL_FOREIGN_KEY_F of MySQL 9.6 and later: the server itself, not InnoDB, has done what foreign keys ask for. */
export const sqlForeignKeyFlag = 0x10;

/**
 * What rows events begin with (libs/mysql/binlog/event/rows_event.h, Rows_event), versions 1 and 2:
 *
 *     Int48 table's id · Int16 flags · [version 2: Int16 n · n − 2 bytes] · …
 *
 * The id 0xffffff and none (all bits set) belong to no table and end a statement.
 */
export function readRowsHead(reader: ByteReader, version: 1 | 2): RowsHead {
  const tableId = reader.u48();
  const flags = reader.u16();
  if (version === 2) reader.skip(reader.u16() - 2);
  return { tableId, flags, rest: reader };
}

/** Reads rows of one table, whose values' readers are made once. */
export class RowReader {
  readonly #readers: readonly ReadValue[];
  readonly #jsonColumns: readonly number[];
  readonly #width: number;

  constructor({ table, layouts }: MappedTable) {
    const name = `${table.database}.${table.name}`;
    this.#width = layouts.length;
    this.#readers = layouts.map((layout, index) => {
      const column = table.columns[index];
      if (column === undefined) throw malformed('a table has more types than columns');
      return valueReader(layout, column.type, `"${column.name}" of table ${name}`);
    });
    this.#jsonColumns = layouts.flatMap(({ type }, index) => (type === 245 ? [index] : []));
  }

  /**
   * What follows the head:
   *
   *     columns · bits: in the image [· bits: in the image after] · rows
   *     row        image before or after · [image after]
   *     image      [partial updates, after only: options · bits: JSON columns told by changes] · bits: NULL · values
   *
   * Bits from the lowest of the first byte on; `columns` and `options` length-encoded; NULL bits are of the columns in
   * the image alone.
   */
  read(
    rest: ByteReader,
    op: RowsOp,
    isPartial: boolean,
    unpack: ((rows: Buffer) => Buffer) | null,
  ): BinlogRows['rows'] {
    if (rest.lenenc() !== this.#width) throw malformed('a rows event has other columns than its table');
    const first = this.#image(rest);
    const second = op === 'update' ? this.#image(rest) : first;
    const reader = unpack === null ? rest : new ByteReader(unpack(rest.take(rest.left)));
    const rows: BinlogRows['rows'] = [];
    // An image without columns takes no bytes: there would be rows without end.
    if (first.columns.length === 0 && second.columns.length === 0) return rows;
    while (reader.left > 0) {
      if (op === 'insert') rows.push({ before: null, after: this.#row(reader, first) });
      else {
        const before = this.#row(reader, first);
        const changed = op === 'update' && isPartial ? this.#changedJson(reader, second) : null;
        rows.push({ before, after: op === 'update' ? this.#row(reader, second, changed, before) : null });
      }
    }
    return rows;
  }

  #image(reader: ByteReader): { columns: number[]; isWhole: boolean } {
    const bits = reader.take((this.#width + 7) >> 3);
    const columns: number[] = [];
    for (let index = 0; index < this.#width; index++) {
      if (((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0) columns.push(index);
    }
    return { columns, isWhole: columns.length === this.#width };
  }

  #row(
    reader: ByteReader,
    image: { columns: number[]; isWhole: boolean },
    changed: ReadonlySet<number> | null = null,
    before: BinlogRow | null = null,
  ): BinlogRow {
    const { columns, isWhole } = image;
    const { bytes } = reader;
    const nulls = reader.skip((columns.length + 7) >> 3);
    const row: BinlogRow = isWhole ? [] : new Array(this.#width).fill(UNKNOWN);
    for (let place = 0; place < columns.length; place++) {
      const index = columns[place] ?? 0;
      if (((bytes[nulls + (place >> 3)] ?? 0) & (1 << (place & 7))) !== 0) row[index] = null;
      else if (changed?.has(index)) row[index] = changedJson(reader, before?.[index]);
      else row[index] = this.#readers[index]?.(reader) ?? null;
    }
    return row;
  }

  /** Which JSON columns of the image after are told by their changes. */
  #changedJson(reader: ByteReader, image: { columns: number[] }): ReadonlySet<number> | null {
    if ((reader.lenenc() & 1) === 0) return null;
    const bits = reader.take((this.#jsonColumns.length + 7) >> 3);
    const changed = this.#jsonColumns.filter((_, place) => ((bits[place >> 3] ?? 0) & (1 << (place & 7))) !== 0);
    return new Set(changed.filter((index) => image.columns.includes(index)));
  }
}

/** The document before with the changes; unknown where the document before is. */
function changedJson(reader: ByteReader, before: BinlogValue | typeof UNKNOWN | undefined): string | typeof UNKNOWN {
  const diffs = reader.take(reader.u32());
  if (typeof before !== 'string') {
    if (before === UNKNOWN) return UNKNOWN;
    throw malformed('a partial JSON update has no document before it');
  }
  return jsonText(applyJsonDiffs(parseJsonText(before), diffs));
}
