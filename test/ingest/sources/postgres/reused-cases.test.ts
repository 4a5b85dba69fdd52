import { expect, test } from 'vitest';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { follow, sourceName } from './follower.ts';

/*
 * What Postgres' own tests of its subscriptions and Debezium's tests of its connector found worth a look: each case is tables with rows
 * from before, and work on them; at the end all is as in the source, whatever way the rows took.
 */
interface Case {
  name: string;
  /** Tables that are compared, each with its key in a column `id`. */
  tables: readonly string[];
  before: string;
  /** Statements that are sent one by one, so that each is a transaction unless it says otherwise. */
  work: readonly string[];
}

const cases: readonly Case[] = [
  {
    name: 'partitions of partitions, a default one, and one whose columns stand in another order behind a dropped one',
    tables: ['root'],
    before: `
      CREATE TABLE root (id int, region text, n int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
      CREATE TABLE east PARTITION OF root FOR VALUES IN ('east') PARTITION BY RANGE (id);
      CREATE TABLE east_low PARTITION OF east FOR VALUES FROM (0) TO (100);
      CREATE TABLE rest PARTITION OF root DEFAULT;
      INSERT INTO root VALUES (1, 'east', 1), (2, 'west', 2), (3, 'north', 3);
      CREATE TABLE east_high (gone int, n int, region text NOT NULL, id int NOT NULL);
      ALTER TABLE east_high DROP gone;
      ALTER TABLE east ATTACH PARTITION east_high FOR VALUES FROM (100) TO (200);`,
    work: [
      "INSERT INTO root VALUES (101, 'east', 1), (50, 'east', 2)",
      'UPDATE root SET id = id + 110 WHERE id IN (1, 50)',
      "UPDATE root SET region = 'east' WHERE region = 'west'",
      "BEGIN; UPDATE root SET region = 'south', n = -1 WHERE id = 101; UPDATE root SET n = n + 1; COMMIT",
      "CREATE TABLE south (n int, region text NOT NULL, id int NOT NULL); DELETE FROM root WHERE region = 'south'; ALTER TABLE root ATTACH PARTITION south FOR VALUES IN ('south')",
      "INSERT INTO south (id, region, n) VALUES (7, 'south', 7); INSERT INTO east_low (id, region, n) VALUES (8, 'east', 8)",
      "DELETE FROM root WHERE n = 3; UPDATE root SET n = 0 WHERE region = 'south'",
    ],
  },
  {
    name: 'truncation of a partitioned table, of one with RESTART IDENTITY, and within what is rolled back',
    tables: ['part', 'serial', 'child'],
    before: `
      CREATE TABLE part (id int PRIMARY KEY, n int) PARTITION BY HASH (id);
      CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      CREATE TABLE serial (id serial PRIMARY KEY, n int);
      CREATE TABLE child (id int PRIMARY KEY, serial int REFERENCES serial ON DELETE CASCADE ON UPDATE CASCADE);
      INSERT INTO part SELECT i, i FROM generate_series(1, 20) i; INSERT INTO serial (n) VALUES (1), (2), (3);
      INSERT INTO child VALUES (1, 1), (2, 2), (3, 3);`,
    work: [
      'BEGIN; TRUNCATE part; ROLLBACK',
      'BEGIN; SAVEPOINT s; TRUNCATE part; INSERT INTO part VALUES (1, -1); ROLLBACK TO s; UPDATE part SET n = 5 WHERE id = 5; COMMIT',
      'DELETE FROM serial WHERE id = 1',
      'UPDATE serial SET id = 20 WHERE id = 2',
      'TRUNCATE part; INSERT INTO part VALUES (100, 1)',
      'BEGIN; TRUNCATE serial RESTART IDENTITY CASCADE; INSERT INTO serial (n) VALUES (10); INSERT INTO child VALUES (9, 1); COMMIT',
    ],
  },
  {
    name: 'a replica identity of all columns beside dropped, long, generated and NULL ones, and one of an index',
    tables: ['whole', 'chosen'],
    before: `
      CREATE TABLE whole (gone text, id int PRIMARY KEY, body text, twice int GENERATED ALWAYS AS (id * 2) STORED, note text);
      ALTER TABLE whole ALTER body SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
      ALTER TABLE whole DROP gone;
      CREATE TABLE chosen (n int PRIMARY KEY, gone int, id text NOT NULL, body text);
      ALTER TABLE chosen DROP gone;
      CREATE UNIQUE INDEX chosen_id ON chosen (id); ALTER TABLE chosen REPLICA IDENTITY USING INDEX chosen_id;
      ALTER TABLE chosen ALTER body SET STORAGE EXTERNAL;
      INSERT INTO whole (id, body, note) SELECT i, repeat('long', 1000), CASE WHEN i % 2 = 0 THEN 'x' END FROM generate_series(1, 6) i;
      INSERT INTO chosen SELECT i, 'k' || i, repeat('long', 1000) FROM generate_series(1, 6) i;`,
    work: [
      'UPDATE whole SET note = NULL WHERE id < 4; UPDATE whole SET id = id + 10 WHERE id = 2; DELETE FROM whole WHERE id = 3',
      "UPDATE chosen SET n = n + 10 WHERE n = 1; UPDATE chosen SET id = 'other' WHERE n = 2; DELETE FROM chosen WHERE n = 3",
      "UPDATE chosen SET body = NULL WHERE n = 4; UPDATE chosen SET n = 50, id = 'k50', body = body || '!' WHERE n = 5",
      "BEGIN; DELETE FROM whole WHERE id = 5; INSERT INTO whole (id, body) VALUES (5, 'again'); UPDATE whole SET body = repeat('again', 900) WHERE id = 5; UPDATE whole SET note = 'y' WHERE id = 5; COMMIT",
    ],
  },
  {
    name: 'rows that triggers, functions in indexes, upserts, merges, writable queries and refreshed views write',
    tables: ['film', 'log'],
    before: `
      CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
      CREATE TABLE film (id int PRIMARY KEY, n int, title text);
      CREATE TABLE log (id bigserial PRIMARY KEY, what text);
      CREATE INDEX ON film (twice(n), lower(title));
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.title = upper(NEW.title); INSERT INTO log (what) VALUES (TG_OP || NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER note BEFORE INSERT OR UPDATE ON film FOR EACH ROW EXECUTE FUNCTION note();
      CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM film;
      INSERT INTO film SELECT i, i, 'film ' || i FROM generate_series(1, 5) i;`,
    work: [
      "INSERT INTO film VALUES (1, 9, 'x'), (6, 6, 'six') ON CONFLICT (id) DO UPDATE SET n = film.n + excluded.n",
      "INSERT INTO film VALUES (1, 9, 'x'), (7, 7, 'y') ON CONFLICT DO NOTHING",
      "MERGE INTO film USING (VALUES (2, 20), (8, 80)) v (id, n) ON film.id = v.id WHEN MATCHED THEN UPDATE SET n = v.n WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.n, 'merged')",
      'WITH gone AS (DELETE FROM film WHERE id = 3 RETURNING *) INSERT INTO film SELECT id + 100, n, title FROM gone',
      'BEGIN; CREATE TEMP TABLE t AS SELECT * FROM film; UPDATE film SET n = 0 WHERE id = 4; REFRESH MATERIALIZED VIEW counted; INSERT INTO t SELECT * FROM t; DROP TABLE t; UPDATE film SET n = 1 WHERE id = 5; COMMIT',
      "DO $$ BEGIN FOR i IN 1..20 LOOP BEGIN INSERT INTO film VALUES (i, i, 'loop'); EXCEPTION WHEN unique_violation THEN UPDATE film SET n = -i WHERE id = i AND i % 2 = 0; END; END LOOP; END $$",
      'CLUSTER film USING film_pkey',
      "UPDATE film SET title = 'after' WHERE id = 20",
    ],
  },
  {
    name: 'tables of a key alone, of no rows, that become unlogged for a while, and locked rows',
    tables: ['keys', 'none'],
    before: `
      CREATE TABLE keys (id int PRIMARY KEY); CREATE TABLE none (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz DEFAULT now());
      INSERT INTO keys VALUES (1), (2);`,
    work: [
      'BEGIN; SELECT * FROM keys FOR UPDATE; SELECT * FROM keys FOR KEY SHARE; UPDATE keys SET id = 3 WHERE id = 1; COMMIT',
      'UPDATE keys SET id = id; DELETE FROM keys WHERE id = 2; INSERT INTO keys VALUES (2)',
      'INSERT INTO none DEFAULT VALUES; UPDATE none SET at = NULL; DELETE FROM none; INSERT INTO none DEFAULT VALUES',
      'BEGIN; INSERT INTO keys VALUES (9); DELETE FROM keys WHERE id = 9; INSERT INTO keys VALUES (9); DELETE FROM keys WHERE id = 9; COMMIT',
    ],
  },
];

test.each(cases)('$name', async ({ tables, before, work }) => {
  await using database = await createDatabase();
  await database.query(before);
  const follower = await follow(database.url, sourceName(), ['*']);
  for (const sql of work) await database.query(sql);
  await follower.caughtUp();
  for (const table of tables) {
    const { rows } = await database.query(`SELECT to_jsonb(t) AS row FROM ${table} t`);
    const texts = (list: readonly Record<string, unknown>[]) =>
      list
        .map((row) =>
          JSON.stringify(
            Object.entries(row)
              .map(([name, value]) => [name, name === 'at' ? null : String(value)])
              .sort(),
          ),
        )
        .sort();
    expect(texts(follower.rowsOf(table)), table).toEqual(texts(rows.map(({ row }) => row)));
  }
  await follower.stop();
  await follower.source.close();
});
