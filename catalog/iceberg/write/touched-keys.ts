import type { DuckDBAppender, DuckDBConnection } from '@duckdb/node-api';
import { DuckDBDataChunk } from '@duckdb/node-api';
import { isNested, type Row, type Schema, type Value } from '../../schemas/schema.ts';
import { duckdbType, duckdbTypeName, fromDuckdb, identifier, toDuckdb } from '../files/duckdb-values.ts';
import { dataFileSource, type ReadSchema } from '../files/read-data-file.ts';

const maxKeys = 200_000;
const chunkRows = 2_048;
let nextTable = 0;

/**
 * Keys of rows that changes have touched, to be looked for among the rows of whole files. Kept in a DuckDB table that is
 * joined with a file, for a file may have millions of rows and few of these keys.
 */
export class TouchedKeys {
  readonly #connection: DuckDBConnection;
  readonly #columns: ReadSchema;
  readonly #indexes: readonly number[];
  readonly #table = `touched_${nextTable++}`;
  #waiting: Value[][] = [];
  #isMade = false;
  #size = 0;

  /** `columns` are the key's, in key order, which stand at `indexes` of a row. */
  constructor(connection: DuckDBConnection, columns: ReadSchema, indexes: readonly number[]) {
    this.#connection = connection;
    this.#columns = columns;
    this.#indexes = indexes;
  }

  /** False for keys that cannot be compared here. */
  static canHold({ fields, key }: Schema): boolean {
    return fields.every((field) => !key.includes(field.name) || !isNested(field.type));
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** True where more keys were touched than are kept. */
  get isOverflown(): boolean {
    return this.#size > maxKeys;
  }

  add(row: Row): void {
    this.#size += 1;
    if (!this.isOverflown) this.#waiting.push(this.#indexes.map((index) => (row[index] ?? null) as Value));
  }

  /** Those of the keys, each as a row of the key's columns, that rows of the data file have. */
  async in(location: string): Promise<Row[]> {
    await this.#store();
    const source = await dataFileSource(location, this.#columns);
    const { fields } = this.#columns.schema;
    const isSame = fields.map(({ name }) => `f.${identifier(name)} IS NOT DISTINCT FROM t.${identifier(name)}`);
    const reader = await this.#connection.runAndReadAll(
      `SELECT DISTINCT t.* FROM ${this.#table} t SEMI JOIN (SELECT * FROM ${source}) f ON ${isSame.join(' AND ')}`,
    );
    const convert = fields.map((field) => fromDuckdb(field.type));
    return reader.getRows().map((values) => convert.map((read, index) => read(values[index] ?? null)));
  }

  async close(): Promise<void> {
    this.#waiting = [];
    if (this.#isMade) await this.#connection.run(`DROP TABLE ${this.#table}`);
    this.#isMade = false;
  }

  async #store(): Promise<void> {
    const { fields } = this.#columns.schema;
    if (!this.#isMade) {
      const columns = fields.map((field) => `${identifier(field.name)} ${duckdbTypeName(field.type)}`);
      await this.#connection.run(`CREATE TEMP TABLE ${this.#table} (${columns.join(', ')})`);
      this.#isMade = true;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.length === 0) return;
    const appender = await this.#connection.createAppender(this.#table);
    for (let start = 0; start < waiting.length; start += chunkRows) {
      appendRows(appender, this.#columns.schema, waiting.slice(start, start + chunkRows));
    }
    appender.closeSync();
  }
}

function appendRows(appender: DuckDBAppender, { fields }: Schema, rows: readonly Value[][]): void {
  const chunk = DuckDBDataChunk.create(
    fields.map((field) => duckdbType(field.type)),
    rows.length,
  );
  chunk.setColumns(
    fields.map((field, index) => {
      const convert = toDuckdb(field.type);
      return rows.map((row) => convert(row[index] ?? null));
    }),
  );
  appender.appendDataChunk(chunk);
}
