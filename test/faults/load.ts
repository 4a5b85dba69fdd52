import pg from 'pg';

/** Tables of the source: one with a key, one without. */
export const studioTables = `
    CREATE TABLE movie (id int PRIMARY KEY, title text NOT NULL, synopsis text, budget numeric(12, 2), visits bigint NOT NULL DEFAULT 0);
    ALTER TABLE movie ALTER synopsis SET STORAGE EXTERNAL;
    CREATE TABLE entry (movie int, what text, ordinal bigint GENERATED ALWAYS AS IDENTITY);
    INSERT INTO movie SELECT i, 'film ' || i, repeat('long ', 1000), i * 1.25 FROM generate_series(1, 3000) i;
    INSERT INTO entry (movie, what) SELECT i, 'made' FROM generate_series(1, 3000) i`;

export const studioPipelines = {
  all: { from: ['production.public.*'], steps: [], to: [{ kind: 'iceberg', table: 'production.{table}' }] },
  released: {
    from: ['production.public.movie'],
    steps: [
      { kind: 'filter', where: "title <> 'draft'" },
      { kind: 'project', fields: ['id', 'title'], evolve: false },
    ],
    to: [{ kind: 'iceberg', table: 'released.movie' }],
  },
};

/** What must be equal, row by row, in the source and in the warehouse. */
export const compared = [
  {
    target: 'production.movie',
    source: `SELECT concat_ws('|', id, title, coalesce(length(synopsis), -1), round(budget * 100), visits) FROM movie`,
    warehouse: `concat_ws('|', id, title, coalesce(length(synopsis), -1), CAST(round(budget * 100) AS BIGINT), visits)`,
  },
  {
    target: 'production.entry',
    source: `SELECT concat_ws('|', movie, what, ordinal) FROM entry`,
    warehouse: `concat_ws('|', movie, what, ordinal)`,
  },
  {
    target: 'released.movie',
    source: `SELECT concat_ws('|', id, title) FROM movie WHERE title <> 'draft'`,
    warehouse: `concat_ws('|', id, title)`,
  },
];

/** People at work on the source, one transaction after the other. */
export class Load {
  readonly #client: pg.Client;
  #isOn = false;
  #running: Promise<void> = Promise.resolve();
  #done = 0;
  #waiters: { at: number; resolve(): void }[] = [];

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<Load> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return new Load(client);
  }

  start(): void {
    if (this.#isOn) return;
    this.#isOn = true;
    this.#running = this.#run();
  }

  async pause(): Promise<void> {
    this.#isOn = false;
    await this.#running;
  }

  /** Resolves after this many more transactions. */
  transactions(count: number): Promise<void> {
    return new Promise((resolve) => this.#waiters.push({ at: this.#done + count, resolve }));
  }

  async close(): Promise<void> {
    await this.pause();
    await this.#client.end();
  }

  async #run(): Promise<void> {
    while (this.#isOn) {
      const i = this.#done;
      const id = 1 + ((i * 37) % 3000);
      const fresh = 10_000 + i;
      await this.#client.query(`BEGIN;
        INSERT INTO movie VALUES (${fresh}, 'new ${i}', ${i % 3 ? 'NULL' : `repeat('x', ${3000 + i})`}, ${i}.5, 0);
        INSERT INTO entry (movie, what) VALUES (${fresh}, 'made'), (${id}, 'seen'), (${id}, 'seen');
        UPDATE movie SET visits = visits + 1 WHERE id IN (${id}, ${fresh - 5});
        UPDATE movie SET title = '${i % 2 ? 'draft' : `film ${i}`}' WHERE id = ${1 + ((i * 11) % 3000)};
        DELETE FROM movie WHERE id = ${fresh - 40};
        UPDATE movie SET id = id + 1000000 WHERE id = ${fresh - 17};
        COMMIT`);
      this.#done += 1;
      for (const waiter of this.#waiters.filter(({ at }) => at <= this.#done)) waiter.resolve();
      this.#waiters = this.#waiters.filter(({ at }) => at > this.#done);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
  }
}
