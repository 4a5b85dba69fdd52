import pg from 'pg';
import { expect, test } from 'vitest';
import { triggerStatement } from '#ingest/sources/postgres/ddl-trigger.ts';
import { Random } from '#test/engines/matrix/random.ts';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { sourceName } from './follower.ts';
import { Landing } from './landing.ts';

const seed = Number(process.env.DAILIES_SEED ?? Math.floor(Math.random() * 2 ** 31));
const steps = 30;

/** Name, number and type of the columns. */
async function columnsOf(database: TestDatabase): Promise<{ name: string; number: number; type: string }[]> {
  const { rows } = await database.query(
    `SELECT attname AS name, attnum AS number, format_type(atttypid, atttypmod) AS type FROM pg_attribute
      WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
  );
  return rows;
}

/** Whether a column of the one may come to hold the other under its field id. */
const isWidened = (from: string, to: string) => from === to || (from === 'integer' && to === 'bigint');

function randomStatement(random: Random, columns: { name: string; type: string }[], next: () => string): string {
  const plain = columns.filter(({ name }) => name !== 'id' && !name.startsWith('k'));
  const column = plain.length > 0 ? random.pick(plain) : null;
  const key = random.below(12);
  switch (random.below(column === null ? 4 : 9)) {
    case 0:
      return `ALTER TABLE t ADD ${next()} ${random.pick(['int', 'text', "text DEFAULT 'd'", 'bigint NOT NULL DEFAULT 7'])}`;
    case 1:
    case 2:
      return `INSERT INTO t (${columns[0]?.name}) VALUES (${key}) ON CONFLICT DO NOTHING`;
    case 3:
      return `ALTER TABLE t RENAME ${columns[0]?.name} TO k${next()}`;
    case 4:
      return `ALTER TABLE t RENAME ${column?.name} TO ${next()}`;
    case 5:
      return `ALTER TABLE t DROP ${column?.name}${random.chance(0.3) ? `; ALTER TABLE t ADD ${column?.name} int` : ''}`;
    case 6:
      return column?.type === 'integer'
        ? `ALTER TABLE t ALTER ${column.name} TYPE ${random.pick(['bigint', 'text'])}`
        : `UPDATE t SET ${column?.name} = DEFAULT`;
    case 7: {
      const other = random.pick(plain);
      if (other === column) return `DELETE FROM t WHERE ${columns[0]?.name} = ${key}`;
      const between = next();
      return `ALTER TABLE t RENAME ${column?.name} TO ${between}; ALTER TABLE t RENAME ${other.name} TO ${column?.name}; ALTER TABLE t RENAME ${between} TO ${other.name}`;
    }
    default:
      return `UPDATE t SET ${column?.name} = ${random.below(1000)} WHERE ${columns[0]?.name} = ${key}`;
  }
}

test(`random changes of a schema, in transactions with rows, end with the same rows and each column under its field id (DAILIES_SEED=${seed})`, {
  timeout: 400_000,
}, async () => {
  const random = new Random(seed);
  await using database = await createDatabase();
  await database.query(`${triggerStatement}; CREATE TABLE t (id int PRIMARY KEY, a int, b text, c text);
    INSERT INTO t SELECT i, i, 'b' || i, 'c' FROM generate_series(1, 6) i`);
  const connect = () => Promise.reject(new Error('not needed'));
  await using landing = await Landing.open({ url: database.url, query: database.query, connect }, sourceName(), [
    'public.t',
  ]);
  await landing.equals('t');
  let names = 0;
  const next = () => `n${++names}`;
  const done: string[] = [];
  /** By number: the field ids that the column must have kept since it was last looked at. */
  let before = new Map<number, { id: number; type: string }>();
  const used = new Set<number>();
  for (let step = 0; step < steps; step++) {
    const writer = new pg.Client({ connectionString: database.url });
    await writer.connect();
    await writer.query('BEGIN');
    for (let left = 1 + random.below(4); left > 0; left--) {
      const sql = randomStatement(random, await columnsWithin(writer), next);
      done.push(sql);
      await writer.query(sql);
    }
    const isKept = random.chance(0.8);
    done.push(isKept ? 'COMMIT' : 'ROLLBACK');
    await writer.query(isKept ? 'COMMIT' : 'ROLLBACK');
    await writer.end();
    if (step % 5 < 4) continue;
    // A row that only this look can have: rows of two columns that were exchanged may be alike before and after.
    const [{ name: key } = { name: 'id' }] = await columnsOf(database);
    await database.query(`INSERT INTO t (${key}) VALUES (${1000 + step})`);
    await landing.equals('t');
    const ids = await landing.fieldIds('t');
    const now = new Map<number, { id: number; type: string }>();
    for (const { name, number, type } of await columnsOf(database)) {
      const id = ids[name] ?? 0;
      const known = before.get(number);
      const about = `DAILIES_SEED=${seed}, ${name}: ${done.join(';\n')}`;
      if (known && isWidened(known.type, type)) expect(id, about).toBe(known.id);
      else if (known === undefined) expect(used.has(id) && before.size > 0, about).toBe(false);
      now.set(number, { id, type });
    }
    for (const { id } of now.values()) used.add(id);
    before = now;
  }
});

async function columnsWithin(client: pg.Client): Promise<{ name: string; type: string }[]> {
  const { rows } = await client.query(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
      WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
  );
  return rows;
}
