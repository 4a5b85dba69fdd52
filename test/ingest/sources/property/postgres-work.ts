import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { triggerStatement } from '#ingest/sources/postgres/ddl-trigger.ts';
import { Random } from '#test/engines/matrix/random.ts';
import { randomDdl } from './postgres-ddl.ts';
import {
  createTable,
  nameOf,
  quoted,
  type RandomColumn,
  RandomNames,
  type RandomTable,
  type TableRow,
  tableOfRow,
  tablesQuery,
} from './postgres-tables.ts';
import { typeDefinitions } from './postgres-types.ts';

export interface WorkOptions {
  url: string;
  major: number;
  seed: number;
  /** True where the database has the event trigger that `check` offers. */
  withTrigger: boolean;
}

/** So that a statement which waits for another of our own sessions ends. */
const settings = `SET lock_timeout = '300ms'; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET extra_float_digits = 1; SET standard_conforming_strings = on`;

/**
 * Applications and migrations at work on random tables, by a seed: the statements are the same for it, whatever the product does
 * beside them. What the database refuses is undone and passed over. Nothing is updated or deleted where the stream could not
 * tell of it.
 */
export class PostgresWork {
  /** All that was run, with what was refused. */
  readonly done: string[] = [];
  readonly random: Random;
  readonly names: RandomNames;
  readonly major: number;
  readonly #url: string;
  readonly #withTrigger: boolean;
  #main: pg.Client | null = null;
  /** A transaction that stays open beside the others. */
  #long: pg.Client | null = null;
  #prepared: string[] = [];
  #tables: RandomTable[] = [];
  #firstNames: ReadonlySet<string> = new Set();

  constructor(options: WorkOptions) {
    this.random = new Random(options.seed);
    this.names = new RandomNames(this.random);
    this.major = options.major;
    this.#url = options.url;
    this.#withTrigger = options.withTrigger;
  }

  /** True if a table has a name that none had at first. */
  get hasNewNames(): boolean {
    return this.#tables.some((table) => !this.#firstNames.has(nameOf(table)));
  }

  get tables(): readonly RandomTable[] {
    return this.#tables;
  }

  async create(tables: number): Promise<void> {
    if (this.#withTrigger) await this.#must(triggerStatement);
    await this.#must(typeDefinitions);
    await this.#must(`CREATE TABLE public.anchor (id int PRIMARY KEY)`);
    for (let left = tables; left > 0; left--) {
      await this.createTable(`${this.names.next()}`);
    }
    await this.refresh();
    this.#firstNames = new Set(this.#tables.map(nameOf));
    for (const table of this.#tables) {
      for (let left = this.random.below(6); left > 0; left--) await this.#try(this.#insert(table, 100));
    }
  }

  async createTable(name: string): Promise<void> {
    const schema = this.random.chance(0.8) ? 'public' : 'Öther s';
    await this.#must(createTable(this.random, this.names, { major: this.major, schema, name }));
  }

  /**
   * Some transactions, and now and then a change of a table: `ddl` says how likely one is at each of them. `pauseMs`: longest pause
   * between two.
   */
  async some(transactions: number, ddl: number, pauseMs: number): Promise<void> {
    for (let left = transactions; left > 0; left--) {
      if (this.random.chance(ddl)) await this.#ddl();
      await this.#transaction();
      // The dice of the statements stay the same whatever the pauses are.
      if (pauseMs > 0) await delay(Math.random() * pauseMs);
    }
  }

  /** Ends what is open, and has a row of each table told, and its shape of now with it. */
  async settle(): Promise<void> {
    if (this.#long) {
      await this.#attempt(this.#long, 'COMMIT');
      await this.#endLong();
    }
    while (this.#prepared.length > 0) await this.#endPrepared();
    await this.refresh();
    for (const table of this.#tables) await this.#tellRow(table);
  }

  async #tellRow(table: RandomTable): Promise<void> {
    const client = await this.#client();
    // A row whose key is there already is passed over, and nothing is told.
    for (let tries = 0; tries < 20; tries++) {
      const rows = await this.#written(client, this.#insert(table, 1));
      if (rows !== null && rows > 0) return;
    }
    const [column] = this.#writable(table);
    if (column === undefined || !table.hasIdentity) return;
    const name = quoted(column.name);
    const all = `SELECT tableoid, ctid FROM ${nameOf(table)}`;
    await this.#try(`UPDATE ${nameOf(table)} SET ${name} = ${name} WHERE (tableoid, ctid) IN (${all} LIMIT 1)`);
  }

  async refresh(): Promise<void> {
    const client = await this.#client();
    const { rows } = await client.query<TableRow>(tablesQuery);
    this.#tables = rows.filter((row) => row.relname !== 'anchor').map((row) => tableOfRow(row, this.major));
  }

  async query(sql: string): Promise<pg.QueryResult> {
    return (await this.#client()).query(sql);
  }

  /** The server is about to end: its sessions with it, and what they had not committed. */
  async disconnect(): Promise<void> {
    await this.#endLong();
    await this.#main?.end();
    this.#main = null;
  }

  async #client(): Promise<pg.Client> {
    this.#main ??= await this.#connect();
    return this.#main;
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#url });
    // The server ends under it now and then.
    client.on('error', () => undefined);
    await client.connect();
    await client.query(settings);
    return client;
  }

  async #endLong(): Promise<void> {
    await this.#long?.end();
    this.#long = null;
  }

  async #endPrepared(): Promise<void> {
    const [id] = this.#prepared.splice(this.random.below(this.#prepared.length), 1);
    await this.#try(`${this.random.chance(0.7) ? 'COMMIT' : 'ROLLBACK'} PREPARED '${id}'`);
  }

  async #ddl(): Promise<void> {
    // Most changes of tables would only wait for what is open.
    if (this.#long && this.random.chance(0.7)) {
      await this.#attempt(this.#long, this.random.chance(0.7) ? 'COMMIT' : 'ROLLBACK');
      await this.#endLong();
    }
    if (this.#prepared.length > 0 && this.random.chance(0.7)) await this.#endPrepared();
    const { random, names, major } = this;
    const table = random.pick(this.#tables);
    const change = randomDdl({ random, names, major }, table);
    const isWithin = this.random.chance(0.3) && table.hasIdentity;
    const sql = isWithin ? `BEGIN; ${this.#insert(table, 3)}; ${change}; COMMIT` : change;
    if (change === 'drop and create again') {
      if (await this.#try(`DROP TABLE ${nameOf(table)}`)) await this.createTable(table.name);
    } else if (!(await this.#try(sql))) await this.#try('ROLLBACK');
    await this.refresh();
  }

  async #transaction(): Promise<void> {
    const dice = this.random.below(20);
    if (dice === 0) return this.#copy(this.random.pick(this.#tables));
    if (dice === 1) return this.#longOne();
    if (dice === 2 && this.#prepared.length > 0) return this.#endPrepared();
    const client = await this.#client();
    await this.#attempt(client, 'BEGIN');
    const isWhole = await this.#statements(client, 1 + this.random.below(5));
    if (isWhole && dice === 3) {
      const id = `p${this.done.length}`;
      if (await this.#attempt(client, `PREPARE TRANSACTION '${id}'`)) this.#prepared.push(id);
      return;
    }
    await this.#attempt(client, isWhole && !this.random.chance(0.1) ? 'COMMIT' : 'ROLLBACK');
  }

  /** False once a statement outside of a savepoint was refused. */
  async #statements(client: pg.Client, count: number): Promise<boolean> {
    for (let left = count; left > 0; left--) {
      const isGuarded = this.random.chance(0.4);
      const sql = this.#change(this.random.pick(this.#tables));
      if (!isGuarded) {
        if (!(await this.#attempt(client, sql))) return false;
        continue;
      }
      await this.#attempt(client, 'SAVEPOINT s');
      const isDone = await this.#attempt(client, sql);
      await this.#attempt(client, isDone && this.random.chance(0.7) ? 'RELEASE s' : 'ROLLBACK TO s');
    }
    return true;
  }

  /** Opens a second session's transaction, goes on with it, or ends it. */
  async #longOne(): Promise<void> {
    const isNew = this.#long === null;
    this.#long ??= await this.#connect();
    if (isNew) await this.#attempt(this.#long, 'BEGIN');
    const isWhole = await this.#statements(this.#long, 2 + this.random.below(4));
    if (isWhole && this.random.chance(0.6)) return;
    await this.#attempt(this.#long, isWhole ? 'COMMIT' : 'ROLLBACK');
    await this.#endLong();
  }

  async #copy(table: RandomTable): Promise<void> {
    const columns = this.#writable(table);
    if (columns.length === 0) return;
    const client = await this.#client();
    const cell = (value: string | null) => (value === null ? '' : `"${value.replaceAll('"', '""')}"`);
    const rows = Array.from({ length: 1 + this.random.below(30) }, () =>
      columns.map((column) => cell(this.#valueOf(column, table))).join(','),
    );
    const sql = `COPY ${nameOf(table)} (${columns.map(({ name }) => quoted(name)).join(', ')}) FROM STDIN (FORMAT csv)`;
    try {
      const stream: Writable = client.query(copyFrom(sql));
      stream.end(`${rows.join('\n')}\n`);
      await finished(stream);
      this.done.push(`${sql} -- ${rows.length} rows`);
    } catch (error) {
      this.done.push(`${sql} -- refused: ${error instanceof Error ? error.message : error}`);
    }
  }

  #change(table: RandomTable): string {
    const { random } = this;
    const dice = random.below(20);
    if (dice === 0) {
      const other = random.pick(this.#tables);
      const both = random.chance(0.3) && other.name !== table.name;
      return random.chance(0.4)
        ? `TRUNCATE ${nameOf(table)}${both ? `, ${nameOf(other)}` : ''}`
        : this.#insert(table, 5);
    }
    if (dice === 1) return this.#insert(table, random.chance(0.3) ? 300 : 40);
    if (dice < 8 || !table.hasIdentity) return this.#insert(table, 1 + random.below(4));
    const some = this.#someRows(table);
    if (dice < 11) return `DELETE FROM ${nameOf(table)} WHERE ${some}`;
    const isKeyChange = dice === 11;
    const free = this.#writable(table).filter(({ name }) => isKeyChange || !table.key.includes(name));
    const chosen = free.filter(() => random.chance(free.length > 5 ? 0.3 : 0.5));
    if (chosen.length === 0) return this.#insert(table, 1);
    const sets = chosen.map((column) => {
      const name = quoted(column.name);
      const value = random.chance(0.2) ? name : this.#literal(column, table);
      return `${name} = ${value}`;
    });
    return `UPDATE ${nameOf(table)} SET ${sets.join(', ')} WHERE ${some}`;
  }

  /** A few rows that stand together; a key change of several to one value is refused. */
  #someRows(table: RandomTable): string {
    const { random } = this;
    const limit = random.chance(0.1) ? 200 : 1 + random.below(4);
    return `(tableoid, ctid) IN (SELECT tableoid, ctid FROM ${nameOf(table)} OFFSET ${random.below(200)} LIMIT ${limit})`;
  }

  #insert(table: RandomTable, rows: number): string {
    const columns = this.#writable(table).filter(
      (column) => table.key.includes(column.name) || column.isNotNull || !this.random.chance(0.1),
    );
    if (columns.length === 0) return `INSERT INTO ${nameOf(table)} DEFAULT VALUES`;
    const values = Array.from(
      { length: rows },
      () => `(${columns.map((column) => this.#literal(column, table)).join(', ')})`,
    );
    const names = columns.map(({ name }) => quoted(name)).join(', ');
    return `INSERT INTO ${nameOf(table)} (${names}) VALUES ${values.join(', ')}${table.keyName === null ? '' : ' ON CONFLICT DO NOTHING'}`;
  }

  #writable(table: RandomTable): RandomColumn[] {
    return table.columns.filter((column) => !column.isGenerated);
  }

  #literal(column: RandomColumn, table: RandomTable): string {
    const value = this.#valueOf(column, table);
    return value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`;
  }

  /** Columns that may become a key hold no odd values either. */
  #valueOf(column: RandomColumn, table: RandomTable): string | null {
    const isKey = table.key.includes(column.name);
    if (!isKey && !column.isNotNull && this.random.chance(0.15)) return null;
    return column.type.text(this.random, isKey || column.isNotNull);
  }

  async #must(sql: string): Promise<void> {
    if (!(await this.#try(sql))) throw new Error(`The database refused: ${this.done.at(-1)}`);
  }

  async #try(sql: string): Promise<boolean> {
    return this.#attempt(await this.#client(), sql);
  }

  async #attempt(client: pg.Client, sql: string): Promise<boolean> {
    return (await this.#written(client, sql)) !== null;
  }

  /** How many rows the statement wrote; null where it was refused. */
  async #written(client: pg.Client, sql: string): Promise<number | null> {
    const who = client === this.#long ? 'long: ' : '';
    try {
      const { rowCount } = await client.query(sql);
      this.done.push(`${who}${sql}`);
      return rowCount ?? 0;
    } catch (error) {
      this.done.push(`${who}${sql} -- refused: ${error instanceof Error ? error.message : error}`);
      return null;
    }
  }
}
