import { DailiesError } from '#catalog/error.ts';
import { type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { fieldsWithTexts } from '../text-columns.ts';
import type { BinlogColumn, BinlogRow, BinlogTable, BinlogValue } from './binlog/binlog-item.ts';
import { decoderOf } from './binlog/charsets.ts';
import { type ColumnCodec, type ColumnType, codecOf } from './column-type.ts';
import type { SourceTable } from './discovery.ts';
import { quoteIdentifier, quoteTable } from './sql.ts';
import type { TableMemory } from './table-memory.ts';
import { OddText } from './temporal.ts';

export interface ShapeColumn extends ColumnCodec {
  name: string;
  isNullable: boolean;
  isGenerated: boolean;
  comment: string | null;
}

type Cell = Value | typeof UNKNOWN;

/** Where the log has the columns of a system-versioned table. */
export interface Period {
  /** The end of a row's time. */
  end: number;
  /** Of each of the table's own columns. */
  places: readonly number[];
}

/** A row that is there still ends with the last moment of a TIMESTAMP: in 2106 from MariaDB 11.5 on, in 2038 before. */
function isUnended(end: BinlogValue | typeof UNKNOWN | undefined): boolean {
  return end === UNKNOWN || end === 4_294_967_295_999_999n || end === 2_147_483_647_999_999n;
}

/**
 * One shape of one table, and the making of its rows, the same from the log and from a SELECT. The schema gains a
 * `<column>__text` at the first value that a column's type cannot carry; rows made before keep the schema they were made with.
 */
export class TableShape {
  /** database.table */
  readonly table: string;
  /** source.database.table */
  readonly fullName: string;
  readonly columns: readonly ShapeColumn[];
  readonly key: readonly string[];
  readonly keyIndexes: readonly number[];
  schema: Schema;
  /** The table is being read again: rows that have landed may not follow this shape, so it is announced before its first event. */
  isReadAgain = false;

  readonly #period: Period | null;
  readonly #memory: TableMemory;
  /** Index of the column that each field after the table's own columns holds the text of. */
  #textOf: number[] = [];
  readonly #oddText = new Map<number, string>();
  /** Columns that the catalog calls NOT NULL where a NULL came nevertheless. */
  readonly #nullable = new Set<number>();

  constructor(
    source: string,
    table: string,
    columns: readonly ShapeColumn[],
    key: readonly string[],
    memory: TableMemory,
    period: Period | null = null,
  ) {
    this.#period = period;
    this.table = table;
    this.fullName = `${source}.${table}`;
    this.columns = columns;
    this.key = key;
    this.keyIndexes = key.map((name) => columns.findIndex((column) => column.name === name));
    this.#memory = memory;
    this.schema = this.#makeSchema();
  }

  /** Takes over text columns that another reader of this table has needed meanwhile. */
  refresh(): void {
    if (this.#memory.textColumns(this.table).length > this.#textOf.length) this.schema = this.#makeSchema();
  }

  /** False for a row of a system-versioned table's history. */
  isCurrent(image: BinlogRow): boolean {
    return this.#period === null || isUnended(image[this.#period.end]);
  }

  /** A row image of the log; the schema of the row is `schema` once it is made. */
  fromLog(image: BinlogRow): Cell[] {
    const { columns } = this;
    const places = this.#period?.places;
    const row: Cell[] = new Array(columns.length);
    for (let index = 0; index < columns.length; index++) {
      const value = image[places === undefined ? index : (places[index] as number)] as BinlogValue | typeof UNKNOWN;
      if (value === null) row[index] = this.#null(index);
      else if (value === UNKNOWN) row[index] = UNKNOWN;
      else {
        const { fromLog } = columns[index] as ShapeColumn;
        row[index] = fromLog === null ? value : this.#plain(index, fromLog(value));
      }
    }
    if (this.#textOf.length > 0) this.#addTexts(row);
    return row;
  }

  /** A row as the server printed it for `selectList`, null for NULL. */
  fromTexts(texts: readonly (Buffer | null)[]): Cell[] {
    const { columns } = this;
    const row: Cell[] = new Array(columns.length);
    for (let index = 0; index < columns.length; index++) {
      const bytes = texts[index] ?? null;
      if (bytes === null) row[index] = this.#null(index);
      else row[index] = this.#plain(index, (columns[index] as ShapeColumn).fromText(bytes));
    }
    if (this.#textOf.length > 0) this.#addTexts(row);
    return row;
  }

  /** The columns for a SELECT, so that the server prints them as `fromTexts` reads them. */
  selectList(): string {
    return this.columns.map((column) => column.select(quoteIdentifier(column.name))).join(', ');
  }

  /** Gives a row that was made just before a text column was needed the fields it lacks. */
  widen(row: Cell[]): void {
    for (let field = row.length; field < this.schema.fields.length; field++) {
      const column = this.#textOf[field - this.columns.length] as number;
      row.push(row[column] === UNKNOWN ? UNKNOWN : null);
    }
  }

  /** Whether the server makes this field of others. */
  isGenerated(field: number): boolean {
    return this.columns[this.#textOf[field - this.columns.length] ?? field]?.isGenerated === true;
  }

  #plain(index: number, value: Value | OddText): Value {
    if (!(value instanceof OddText)) return value;
    this.#needText(index);
    this.#oddText.set(index, value.text);
    return null;
  }

  #null(index: number): null {
    if (!this.schema.fields[index]?.required) return null;
    this.#nullable.add(index);
    this.schema = this.#makeSchema();
    return null;
  }

  #needText(index: number): void {
    if (this.#textOf.includes(index)) return;
    const { name, type } = this.columns[index] as ShapeColumn;
    if (this.key.includes(name)) {
      throw new DailiesError(
        'value_unsupported',
        `A row of ${this.fullName} has a value in its key column ${name} that ${type.kind} cannot carry for every reader (a date of zeros, a day that no month has, a time of 24 hours or more or below zero); change it at the source.`,
        { details: { table: this.fullName, column: name } },
      );
    }
    this.#memory.addTextColumn(this.table, name);
    this.schema = this.#makeSchema();
  }

  #addTexts(row: Cell[]): void {
    for (const column of this.#textOf) {
      row.push(row[column] === UNKNOWN ? UNKNOWN : (this.#oddText.get(column) ?? null));
    }
    this.#oddText.clear();
  }

  #makeSchema(): Schema {
    this.#textOf = this.#memory
      .textColumns(this.table)
      .map((name) => this.columns.findIndex((column) => column.name === name))
      .filter((index) => index >= 0);
    const fields = fieldsWithTexts(this.columns, this.#textOf, (index) => {
      return this.columns[index]?.isNullable === false && !this.#nullable.has(index);
    });
    return { fields, key: this.key };
  }
}

export interface ShapeContext {
  source: string;
  memory: TableMemory;
}

/** The shape of a table as the catalog holds it now. Throws `type_unsupported` for a column of an unknown type. */
export function catalogShape(table: SourceTable, context: ShapeContext): TableShape {
  const columns = table.columns.map((column): ShapeColumn => {
    if (column.type === null) {
      throw new DailiesError('type_unsupported', unknownType(table.name, column), {
        details: { table: `${context.source}.${table.name}`, column: column.name },
      });
    }
    const { name, isNullable, isGenerated, comment } = column;
    return { name, isNullable, isGenerated, comment, ...codecOf(column.type) };
  });
  return new TableShape(context.source, table.name, columns, table.key, context.memory);
}

/**
 * The shape that the log tells: names, types, key and NULL as they were then; comments, which columns are generated, and which bytes are
 * MariaDB's UUIDs and addresses, from the catalog as it is now, where it still has the column. Without a system-versioned
 * table's period.
 */
export function logShape(logged: BinlogTable, now: SourceTable | undefined, context: ShapeContext): TableShape {
  const known = new Map(now?.columns.map((column) => [column.name, column]));
  const period = periodOf(logged, now);
  const own = period === null ? logged.columns : period.places.map((place) => logged.columns[place] as BinlogColumn);
  const columns = own.map((column): ShapeColumn => {
    const current = known.get(column.name);
    const { name, isNullable } = column;
    const { comment = null, isGenerated = false } = current ?? {};
    return { name, isNullable, isGenerated, comment, ...codecOf(loggedType(column, current?.type)) };
  });
  const key = logged.key.filter((index) => index !== period?.end).map((index) => nameOf(logged, index));
  return new TableShape(context.source, `${logged.database}.${logged.name}`, columns, key, context.memory, period);
}

function nameOf(table: BinlogTable, index: number): string {
  return (table.columns[index] as BinlogColumn).name;
}

/**
 * The log has the start and the end of each row's time as the two last columns where the table was declared without them, else
 * under the names they were given; the end is the last part of the key. Null for a table that was not versioned then.
 */
function periodOf(logged: BinlogTable, now: SourceTable | undefined): Period | null {
  const own = new Set(now?.columns.map(({ name }) => name));
  const isOfTime = ({ name, type }: BinlogColumn) => !own.has(name) && type.kind === 'timestamp' && type.scale === 6;
  const times = logged.columns.flatMap((column, index) => (isOfTime(column) ? [index] : []));
  const isVersioned = now?.versionedBy === 'time' || nameOf(logged, logged.columns.length - 1) === 'row_end';
  const inKey = times.filter((index) => logged.key.at(-1) === index && !now?.key.includes(nameOf(logged, index)));
  const [end] = inKey.length > 0 ? inKey : times.slice(-1);
  if (end === undefined || times.length < 2 || (inKey.length === 0 && !isVersioned)) return null;
  const start = times.filter((index) => index < end).at(-1) ?? times.find((index) => index !== end);
  return { end, places: logged.columns.map((_, index) => index).filter((index) => index !== end && index !== start) };
}

const hiddenBytes: Readonly<Record<string, number>> = { uuid: 16, inet6: 16, inet4: 4 };

function loggedType({ type }: BinlogColumn, now: ColumnType | null | undefined): ColumnType {
  if (type.kind !== 'bytes' || !type.isFixed || !now) return type;
  return hiddenBytes[now.kind] === type.maxBytes ? now : type;
}

/** Why a table cannot be followed at all, or null. */
export function refusalOf(table: SourceTable): string | null {
  if (table.versionedBy === 'transaction') {
    return `${table.name} is system-versioned by transactions, whose changes the server logs as statements alone; let its period be of TIMESTAMP(6) columns.`;
  }
  if (table.key.length === 0 && !table.isTransactional) {
    return `${table.name} has neither a primary key nor an engine that rolls back, so it cannot be read as of one moment; run: ALTER TABLE ${quoteTable(table.database, table.tableName)} ADD PRIMARY KEY (…); or ENGINE = InnoDB;`;
  }
  for (const column of table.columns) {
    if (column.type === null) return unknownType(table.name, column);
    if (column.type.kind !== 'text' || decoderOf(column.type.charset) !== null) continue;
    return `Column ${column.name} of ${table.name} has the character set ${column.type.charset}, which cannot be decoded exactly; run: ALTER TABLE ${quoteTable(table.database, table.tableName)} MODIFY … CHARACTER SET utf8mb4;`;
  }
  return null;
}

function unknownType(table: string, column: { name: string; columnType: string }): string {
  return `Column ${column.name} of ${table} has the type ${column.columnType}, which is not known here.`;
}

/** What a person should know of how a table is followed. */
export function notesOf(table: SourceTable, textColumns: readonly string[], isCascaded: boolean): string[] {
  const notes: string[] = [];
  if (isCascaded) {
    notes.push(
      'A foreign key changes its rows by itself, of which the server tells nothing: it is read again after changes of the table above.',
    );
  }
  if (table.versionedBy !== null) notes.push('System-versioned: rows as they are now, without their period.');
  if (table.key.length === 0) notes.push('Without a primary key: rows are matched whole.');
  for (const column of textColumns) {
    notes.push(
      `Column ${column} has held values that its type cannot carry for every reader; their text is in ${column}__text.`,
    );
  }
  return notes;
}
