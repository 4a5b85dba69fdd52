import mysql from 'mysql2/promise';
import { Random } from '#test/engines/matrix/random.ts';
import type { TestServer } from '#test/fixtures/mysql-server.ts';

type Cell = string | null;

/** People, applications and migrations at work on a database, by a seed. */
export class RandomWork {
  readonly server: TestServer;
  readonly database: string;
  readonly done: string[] = [];
  readonly #random: Random;
  #next = 1;
  #columns = 0;
  #connection: mysql.Connection | null = null;

  constructor(server: TestServer, database: string, seed: number) {
    this.server = server;
    this.database = database;
    this.#random = new Random(seed);
  }

  async run(sql: string): Promise<mysql.RowDataPacket[]> {
    this.#connection ??= await mysql.createConnection({
      ...{ socketPath: this.server.socketPath, user: 'root', database: this.database },
      typeCast: (field) => field.string(),
    });
    this.done.push(sql);
    const [rows] = await this.#connection.query(sql);
    return rows as mysql.RowDataPacket[];
  }

  async close(): Promise<void> {
    this.#connection?.destroy();
    this.#connection = null;
  }

  async create(rows: number): Promise<void> {
    await this.run('CREATE TABLE movie (id INT PRIMARY KEY, title VARCHAR(40), n INT NOT NULL DEFAULT 0)');
    await this.run('CREATE TABLE pair (a INT, b VARCHAR(10), n INT, PRIMARY KEY (b, a))');
    await this.run('CREATE TABLE entry (movie INT, what VARCHAR(20))');
    await this.run(`INSERT INTO movie SELECT seq, CONCAT('film ', seq), seq FROM ${this.server.numbers(rows)}`);
    await this.run(`INSERT INTO pair SELECT seq, CONCAT('p', seq % 7), seq FROM ${this.server.numbers(rows)}`);
    await this.run(`INSERT INTO entry SELECT seq, 'made' FROM ${this.server.numbers(rows)}`);
    this.#next = rows + 1;
  }

  /** One transaction of a few statements, of which some are taken back. */
  async transaction(): Promise<void> {
    const count = 1 + this.#random.below(5);
    await this.run('START TRANSACTION');
    for (let at = 0; at < count; at++) {
      const isTakenBack = this.#random.below(8) === 0;
      if (isTakenBack) await this.run('SAVEPOINT s');
      await this.run(this.#change());
      if (isTakenBack) await this.run('ROLLBACK TO s');
    }
    await this.run(this.#random.below(10) === 0 ? 'ROLLBACK' : 'COMMIT');
  }

  #change(): string {
    const id = () => 1 + this.#random.below(this.#next);
    const from = id();
    const to = from + this.#random.below(30);
    switch (this.#random.below(9)) {
      case 0:
      case 1:
        return `INSERT INTO movie (id, title) VALUES (${this.#next}, 'new ${this.#next++}'), (${this.#next}, NULL), (${this.#next++ + 100_000_000}, 'far')`.replace(
          /\((\d+), NULL\)/,
          `(${this.#next++}, NULL)`,
        );
      case 2:
        return `UPDATE movie SET n = n + ${this.#random.below(100)}, title = CONCAT(LEFT(IFNULL(title, ''), 20), '+') WHERE id BETWEEN ${from} AND ${to}`;
      case 3:
        return `DELETE FROM movie WHERE id BETWEEN ${from} AND ${from + this.#random.below(5)}`;
      case 4:
        return `UPDATE IGNORE movie SET id = id + 200000000 WHERE id = ${from}`;
      case 5:
        return `REPLACE INTO pair (a, b, n) VALUES (${from}, 'p${this.#random.below(7)}', ${this.#random.below(1000)})`;
      case 6:
        return `UPDATE pair SET n = n * 2 % 1000 WHERE a BETWEEN ${from} AND ${to}`;
      case 7:
        return `INSERT INTO entry (movie, what) VALUES (${from}, 'seen'), (${from}, 'seen')`;
      default:
        return `DELETE FROM entry WHERE movie = ${from} LIMIT 1`;
    }
  }

  /** A migration of a table with a key, or of the one without. */
  async alter(): Promise<void> {
    const table = ['movie', 'pair', 'entry'][this.#random.below(3)];
    const columns = (await this.columnsOf(table ?? '')).filter((name) => /^c\d+$/.test(name));
    const column = columns[this.#random.below(columns.length)];
    const fresh = `c${this.#columns++}`;
    switch (this.#random.below(column === undefined ? 5 : 10)) {
      case 0:
        await this.run(`ALTER TABLE ${table} ADD COLUMN ${fresh} INT NULL`);
        return;
      case 1:
        await this.run(`ALTER TABLE ${table} ADD COLUMN ${fresh} INT NOT NULL DEFAULT ${this.#random.below(9)}`);
        return;
      case 2:
        await this.run(`ALTER TABLE ${table} ADD COLUMN ${fresh} VARCHAR(20) DEFAULT 'd' FIRST`);
        return;
      case 3:
        await this.run(table === 'movie' ? 'ALTER TABLE movie ADD INDEX (n)' : `ALTER TABLE ${table} FORCE`);
        return;
      case 4:
        await this.#thereAndBack(table ?? '');
        return;
      case 5:
        await this.run(`ALTER TABLE ${table} DROP COLUMN ${column}`);
        return;
      case 6:
        await this.run(`ALTER TABLE ${table} RENAME COLUMN ${column} TO ${fresh}`);
        return;
      case 7:
        await this.run(`ALTER TABLE ${table} MODIFY ${column} VARCHAR(30)`);
        return;
      case 8:
        await this.run(`ALTER TABLE ${table} DROP COLUMN ${column}, ADD COLUMN ${column} INT NULL`);
        return;
      default:
        await this.run(`TRUNCATE TABLE ${table}`);
    }
  }

  /** A column that is another one for a moment, after which its values are not what they were. */
  async #thereAndBack(table: string): Promise<void> {
    const steps: Record<string, string[]> = {
      movie: ['MODIFY n DECIMAL(12,1)', 'MODIFY n INT NOT NULL DEFAULT 0'],
      pair: ['MODIFY COLUMN n TINYINT UNSIGNED', 'MODIFY COLUMN n INT'],
      entry: ['MODIFY what VARCHAR(3) NULL', 'MODIFY what VARCHAR(20)'],
    };
    await this.run("SET SESSION sql_mode = ''");
    for (const step of steps[table] ?? []) {
      await this.run(`ALTER TABLE ${table} ${step}`);
      if (table === 'movie') await this.run(`UPDATE movie SET n = n + 0.5 WHERE id % 3 = ${this.#random.below(3)}`);
      else if (table === 'pair') await this.run(`UPDATE pair SET n = n + 100 WHERE a % 5 = ${this.#random.below(5)}`);
      else await this.run(`INSERT INTO entry (movie, what) VALUES (${this.#random.below(this.#next)}, 'for a while')`);
    }
    await this.run('SET SESSION sql_mode = DEFAULT');
  }

  async columnsOf(table: string): Promise<string[]> {
    const rows = await this.run(
      `SELECT column_name AS name FROM information_schema.columns WHERE table_schema = '${this.database}' AND table_name = '${table}' ORDER BY ordinal_position`,
    );
    return rows.map(({ name }) => name as string);
  }

  /** All rows as texts, in an order of their own. */
  async rowsOf(table: string): Promise<{ columns: string[]; rows: string[] }> {
    const columns = await this.columnsOf(table);
    const rows = await this.run(`SELECT * FROM ${table}`);
    return { columns, rows: sortedTexts(columns, rows) };
  }
}

export function sortedTexts(columns: readonly string[], rows: readonly Record<string, unknown>[]): string[] {
  const text = (value: unknown): Cell => (value === null || value === undefined ? null : String(value));
  return rows.map((row) => JSON.stringify(columns.map((name) => text(row[name])))).sort();
}
