import { DailiesError } from '#catalog/error.ts';
import { type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { fieldsWithTexts } from '../text-columns.ts';
import type { ColumnType } from './column-type.ts';
import { InvalidText, malformed, ODD } from './decode-value.ts';
import { maxMessageBytes } from './oversized-change.ts';
import type { RowMemory } from './row-memory.ts';

export interface RelationColumn extends ColumnType {
  name: string;
  isNotNull: boolean;
  /** What the database says of it. */
  comment: string | null;
}

type Cell = Value | typeof UNKNOWN;

const NEWLINE = 10;
const QUOTE = 34;
const COMMA = 44;

/**
 * One shape of one table, and the decoding of its rows, the same for the stream and for a snapshot. The schema gains a
 * `<column>__text` at the first value that a column's type cannot carry, and loses `required` at the first NULL of a
 * column that the catalogs call NOT NULL by now; rows decoded before keep the schema that they were made with.
 */
export class Relation {
  /** schema.table */
  readonly table: string;
  /** source.schema.table */
  readonly fullName: string;
  readonly columns: readonly RelationColumn[];
  readonly key: readonly string[];
  readonly keyIndexes: readonly number[];
  schema: Schema;
  /** The table is being read again: rows that have landed may not follow this shape, so it is announced before its first event. */
  isReadAgain = false;
  /** Where the last decoded tuple, or row of CSV, ended. */
  end = 0;

  readonly #memory: RowMemory;
  readonly #isKey: readonly boolean[];
  readonly #nullable = new Set<string>();
  #required: boolean[] = [];
  /** Index of the column that each field after the table's own columns holds the text of. */
  #textOf: number[] = [];
  readonly #oddText = new Map<number, string>();
  readonly #unchanged = new Set<number>();

  constructor(
    source: string,
    table: string,
    columns: readonly RelationColumn[],
    key: readonly string[],
    memory: RowMemory,
  ) {
    this.table = table;
    this.fullName = `${source}.${table}`;
    this.columns = columns;
    this.key = key;
    this.keyIndexes = key.map((name) => columns.findIndex((column) => column.name === name));
    this.#isKey = columns.map((column) => key.includes(column.name));
    this.#memory = memory;
    this.schema = this.#makeSchema();
  }

  /** Takes over text columns that another reader of this table has needed meanwhile. */
  refresh(): void {
    if (this.#memory.textColumns(this.table).length > this.#textOf.length) this.schema = this.#makeSchema();
  }

  /**
   * A TupleData of pgoutput at `at`: Int16 columns, then for each a byte `n` NULL, `u` unchanged TOAST, or `t` with Int32
   * length and text. `keyOnly`: the old key, where all else is sent as NULL and means unknown. `old` fills unchanged values.
   * Throws `source_protocol` where it has other columns than the table or goes beyond `limit`.
   */
  decodeTuple(bytes: Buffer, at: number, limit: number, keyOnly: boolean, old: Row | null): Cell[] {
    const row: Cell[] = [];
    const count = this.columns.length;
    if (at + 2 > limit || bytes.readUInt16BE(at) !== count) throw malformed();
    let position = at + 2;
    if (this.#unchanged.size > 0) this.#unchanged.clear();
    for (let index = 0; index < count; index++) {
      const tag = bytes[position++];
      if (tag === 116) {
        const start = position + 4;
        position = start + bytes.readUInt32BE(position);
        if (position > limit) throw malformed();
        row.push(this.#value(index, bytes, start, position));
      } else if (tag === 110) {
        row.push(keyOnly && !this.#isKey[index] ? UNKNOWN : this.#null(index));
      } else if (tag === 117) {
        this.#unchanged.add(index);
        row.push(old === null ? UNKNOWN : (old[index] as Cell));
      } else {
        throw new DailiesError('source_protocol', `The stream of ${this.fullName} holds a value in an unknown form.`, {
          details: { table: this.fullName, tag },
        });
      }
    }
    if (position > limit) throw malformed();
    this.end = position;
    if (this.#textOf.length > 0) this.#addTexts(row, old);
    return row;
  }

  /**
   * One row at `at` as COPY TO STDOUT (FORMAT csv) writes it: values between commas, quoted where they need it, with quotes
   * doubled; nothing at all for NULL; a newline at its end.
   */
  decodeCsvRow(bytes: Buffer, at: number): Cell[] {
    const row: Cell[] = [];
    const count = this.columns.length;
    let position = at;
    for (let index = 0; index < count; index++) {
      let start = position;
      if (bytes[position] === QUOTE) {
        start += 1;
        let hasQuotes = false;
        for (position = start; bytes[position] !== QUOTE || bytes[position + 1] === QUOTE; position++) {
          if (bytes[position] !== QUOTE) continue;
          hasQuotes = true;
          position += 1;
        }
        if (hasQuotes) {
          const plain = Buffer.from(bytes.toString('latin1', start, position).replaceAll('""', '"'), 'latin1');
          row.push(this.#value(index, plain, 0, plain.length));
        } else {
          row.push(this.#value(index, bytes, start, position));
        }
        position += 1;
      } else {
        while (bytes[position] !== COMMA && bytes[position] !== NEWLINE) position += 1;
        row.push(position === start ? this.#null(index) : this.#value(index, bytes, start, position));
      }
      position += 1;
    }
    this.end = position;
    if (this.#textOf.length > 0) this.#addTexts(row, null);
    return row;
  }

  /** A row from the server's text of each column, null for NULL. */
  decodeTexts(texts: readonly (string | null)[]): Cell[] {
    const row = this.columns.map((_, index): Cell => {
      const text = texts[index] ?? null;
      if (text === null) return this.#null(index);
      const bytes = Buffer.from(text);
      return this.#value(index, bytes, 0, bytes.length);
    });
    if (this.#textOf.length > 0) this.#addTexts(row, null);
    return row;
  }

  /** Why a row with so long a value in that column is refused. */
  tooLong(index: number, bytes: number): DailiesError {
    const column = this.columns[index]?.name ?? String(index);
    return new DailiesError(
      'value_unsupported',
      `A row of ${this.fullName} has a value of ${Math.round(bytes / 2 ** 20)} MiB in its column ${column}, and a change of over ${maxMessageBytes / 2 ** 20} MiB cannot be carried; leave the table out, or keep such values elsewhere.`,
      { details: { table: this.fullName, column, bytes } },
    );
  }

  /** Name of the field with the text of a column's odd values; null where it has needed none. */
  textFieldOf(column: number): string | null {
    const at = this.#textOf.indexOf(column);
    return at < 0 ? null : (this.schema.fields[this.columns.length + at]?.name ?? null);
  }

  /** Gives a row that was decoded just before a text column was needed the fields it lacks. */
  widen(row: Cell[]): void {
    for (let field = row.length; field < this.schema.fields.length; field++) {
      const column = this.#textOf[field - this.columns.length] as number;
      row.push(row[column] === UNKNOWN ? UNKNOWN : null);
    }
  }

  #value(index: number, bytes: Buffer, start: number, end: number): Cell {
    const column = this.columns[index] as RelationColumn;
    let value: ReturnType<typeof column.decode>;
    try {
      value = column.decode(bytes, start, end);
    } catch (error) {
      throw error instanceof InvalidText ? this.#notUtf8(column.name) : error;
    }
    if (value !== ODD) return value;
    this.#needText(index);
    this.#oddText.set(index, bytes.toString('utf8', start, end));
    return null;
  }

  #notUtf8(column: string): DailiesError {
    return new DailiesError(
      'value_unsupported',
      `A row of ${this.fullName} has bytes in its column ${column} that are no UTF-8 text, as a database of encoding SQL_ASCII lets in; mend them at the source, or make the column bytea.`,
      { details: { table: this.fullName, column } },
    );
  }

  #null(index: number): null {
    if (this.#required[index]) {
      this.#nullable.add((this.columns[index] as RelationColumn).name);
      this.schema = this.#makeSchema();
    }
    return null;
  }

  #needText(index: number): void {
    if (this.#textOf.includes(index)) return;
    const { name, type } = this.columns[index] as RelationColumn;
    if (this.#isKey[index]) {
      throw new DailiesError(
        'value_unsupported',
        `A row of ${this.fullName} has a value in its key column ${name} that ${type.kind} cannot carry for every reader (an infinity, a year before 1 or after 9999, 24:00, NaN); change it at the source, or choose another replica identity.`,
        { details: { table: this.fullName, column: name } },
      );
    }
    this.#memory.addTextColumn(this.table, name);
    this.schema = this.#makeSchema();
  }

  #addTexts(row: Cell[], old: Row | null): void {
    const count = this.columns.length;
    for (let extra = 0; extra < this.#textOf.length; extra++) {
      const column = this.#textOf[extra] as number;
      if (row[column] === UNKNOWN) row.push(UNKNOWN);
      else if (this.#unchanged.has(column)) row.push((old?.[count + extra] as Cell) ?? null);
      else row.push(this.#oddText.get(column) ?? null);
    }
    this.#oddText.clear();
  }

  #makeSchema(): Schema {
    const remembered = this.#memory.textColumns(this.table);
    this.#textOf = remembered
      .map((name) => this.columns.findIndex((column) => column.name === name))
      .filter((index) => index >= 0);
    const fields = fieldsWithTexts(this.columns, this.#textOf, (index) => {
      const column = this.columns[index] as RelationColumn;
      return column.isNotNull && !this.#nullable.has(column.name);
    });
    this.#required = fields.map((field) => field.required);
    return { fields, key: this.key };
  }
}
