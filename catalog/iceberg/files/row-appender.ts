import {
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBDataChunk,
  type DuckDBType,
  type DuckDBValue,
} from '@duckdb/node-api';
import type { FieldType, Value } from '../../schemas/schema.ts';
import { duckdbType, duckdbTypeName, identifier, toDuckdb } from './duckdb-values.ts';

const chunkRows = 2048;
let nextTable = 0;

/** Rows gathered in a temporary table of DuckDB's, in the order in which they come. `finish`, then `drop`. */
export class RowAppender {
  /** The table's name. */
  readonly table: string;
  readonly #connection: DuckDBConnection;
  readonly #appender: DuckDBAppender;
  readonly #types: DuckDBType[];
  readonly #convert: ((value: Value) => DuckDBValue)[];
  #columns: DuckDBValue[][];
  #buffered = 0;
  #isFinished = false;

  private constructor(
    connection: DuckDBConnection,
    table: string,
    appender: DuckDBAppender,
    types: readonly FieldType[],
  ) {
    this.#connection = connection;
    this.table = table;
    this.#appender = appender;
    this.#types = types.map(duckdbType);
    this.#convert = types.map(toDuckdb);
    this.#columns = types.map(() => []);
  }

  static async open(
    connection: DuckDBConnection,
    columns: readonly { name: string; type: FieldType }[],
  ): Promise<RowAppender> {
    const table = `rows_${nextTable++}`;
    const definitions = columns.map(({ name, type }) => `${identifier(name)} ${duckdbTypeName(type)}`);
    await connection.run(`CREATE TEMP TABLE ${table} (${definitions.join(', ')})`);
    const types = columns.map(({ type }) => type);
    return new RowAppender(connection, table, await connection.createAppender(table), types);
  }

  append(row: readonly Value[]): void {
    const at = this.#buffered;
    for (let index = 0; index < this.#columns.length; index++) {
      const column = this.#columns[index];
      const convert = this.#convert[index];
      if (column && convert) column[at] = convert(row[index] ?? null);
    }
    this.#buffered += 1;
    if (this.#buffered === chunkRows) this.#flushChunk();
  }

  /** The table holds all rows; no more are taken. */
  finish(): void {
    this.#flushChunk();
    this.#appender.closeSync();
    this.#isFinished = true;
  }

  async drop(): Promise<void> {
    if (!this.#isFinished) this.#appender.closeSync();
    await this.#connection.run(`DROP TABLE ${this.table}`);
  }

  #flushChunk(): void {
    if (this.#buffered === 0) return;
    const chunk = DuckDBDataChunk.create(this.#types, this.#buffered);
    chunk.setColumns(this.#columns);
    this.#appender.appendDataChunk(chunk);
    this.#columns = this.#types.map(() => []);
    this.#buffered = 0;
  }
}
