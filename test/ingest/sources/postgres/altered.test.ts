import { expect, test } from 'vitest';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { Follower, follow, openSource, requestFor, sourceName } from './follower.ts';

test('a column that takes the name of a dropped one, and a type that changes without a rewrite, are read again', async () => {
  await using database = await createDatabase();
  await database.query(`CREATE TABLE t (id int PRIMARY KEY, note text, fee numeric(10, 2), at timestamp);
    INSERT INTO t VALUES (1, 'old', 1.50, '2024-01-01')`);
  const follower = await follow(database.url, sourceName());
  await database.query('ALTER TABLE t DROP note; ALTER TABLE t ADD note text; INSERT INTO t VALUES (2)');
  const isReadAgain = async (times: number) => {
    await follower.until(() => follower.ended.length > times);
    await follower.caughtUp();
  };
  await isReadAgain(1);
  expect(follower.rowsOf('t').map(({ note }) => note)).toEqual([null, null]);
  expect(follower.ended).toHaveLength(2);
  await database.query('ALTER TABLE t ALTER fee TYPE numeric; UPDATE t SET fee = 2.5 WHERE id = 2');
  await isReadAgain(2);
  expect(follower.rowsOf('t').map(({ fee }) => fee)).toEqual(['1.50', '2.5']);
  expect(follower.ended).toHaveLength(3);
  await database.query(
    "SET timezone = 'UTC'; ALTER TABLE t ALTER at TYPE timestamptz; UPDATE t SET at = NULL WHERE id = 2",
  );
  await isReadAgain(3);
  expect(
    follower
      .eventsOf('t')
      .slice(-3)
      .map(({ changes }) => changes.schema.fields[2]?.type.kind),
  ).toEqual(Array(3).fill('timestamptz'));
  const micros = BigInt(Date.UTC(2024, 0, 1)) * 1000n;
  expect(follower.rowsOf('t').map(({ at }) => at)).toEqual([micros, null]);
  // Only wider: the rows read as before.
  await database.query('ALTER TABLE t ADD name varchar(5), ADD price numeric(5, 1); UPDATE t SET fee = 3 WHERE id = 2');
  await follower.caughtUp();
  await database.query(
    'ALTER TABLE t ALTER name TYPE varchar(9), ALTER price TYPE numeric(9, 1); INSERT INTO t VALUES (3)',
  );
  await follower.caughtUp();
  expect(follower.ended).toHaveLength(4);
  await follower.stop();
  await follower.source.close();
});

test('what changes no value of old rows is no rewrite: storage written anew, partitions that come and go, settings of columns', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE plain (id int PRIMARY KEY, n text);
    CREATE TABLE parted (id int PRIMARY KEY, n text) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (20);
    INSERT INTO plain VALUES (1, 'a'), (2, 'b');
    INSERT INTO parted VALUES (1, 'a'), (11, 'b')`);
  const follower = await follow(database.url, sourceName());
  await follower.until(() => follower.ended.length === 2);
  for (const work of [
    'VACUUM FULL plain',
    'VACUUM FULL high',
    'CLUSTER plain USING plain_pkey',
    'ALTER TABLE plain SET (fillfactor = 50); ALTER TABLE plain SET TABLESPACE pg_default',
    'ALTER TABLE plain ALTER n SET NOT NULL; ALTER TABLE plain ALTER n SET STATISTICS 5; ANALYZE plain, parted',
    `BEGIN; CREATE TABLE top PARTITION OF parted FOR VALUES FROM (20) TO (30); ALTER TABLE parted ALTER n SET DEFAULT 'x'; COMMIT`,
    'BEGIN; ALTER TABLE parted ALTER n SET NOT NULL; DROP TABLE top; COMMIT',
  ]) {
    await database.query(work);
    // A reading that was begun would end in between.
    for (let round = 0; round < 4; round++) {
      await database.query(`UPDATE plain SET n = n || 'c' WHERE id = 1; UPDATE parted SET n = n || 'c' WHERE id = 1`);
      await follower.caughtUp();
    }
    expect(follower.ended, work).toHaveLength(2);
  }
  await database.query(`ALTER TABLE parted ALTER n TYPE text USING upper(n); INSERT INTO parted VALUES (2, 'new')`);
  await follower.until(() => follower.ended.length === 3);
  await follower.caughtUp();
  const held = follower.rowsOf('parted').map(({ id, n }) => ({ id, n }));
  expect(held.sort((a, b) => Number(a.id) - Number(b.id))).toEqual(
    (await database.query('SELECT id, n FROM parted ORDER BY id')).rows,
  );
  await follower.stop();
  await follower.source.close();
});

test('an update whose key is too long to stand in the row carries it nevertheless', async () => {
  await using database = await createDatabase();
  await database.query('CREATE TABLE t (id text PRIMARY KEY, n int); ALTER TABLE t ALTER id SET STORAGE EXTERNAL');
  const follower = await follow(database.url, sourceName());
  await database.query("INSERT INTO t VALUES (repeat('key', 850), 1); UPDATE t SET n = 2");
  await follower.caughtUp();
  const [, update] = follower.eventsOf('t');
  expect(update?.event).toMatchObject({ op: 'u', after: ['key'.repeat(850), 2] });
  await follower.stop();
  await follower.source.close();
});

test('a table that is swapped for another of its name, or dropped and made again, is followed whole', async () => {
  await using database = await createDatabase();
  await database.query(
    'CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE u (id int PRIMARY KEY); INSERT INTO t VALUES (1, 1)',
  );
  const name = sourceName();
  const first = await follow(database.url, name, ['public.t', 'public.u']);
  await database.query(`CREATE TABLE fresh (id int PRIMARY KEY, n int); INSERT INTO fresh VALUES (7, 7);
    BEGIN; ALTER TABLE t RENAME TO t_old; ALTER TABLE fresh RENAME TO t; COMMIT; INSERT INTO t VALUES (8, 8)`);
  const failure = await first.untilFailed();
  expect(failure).toMatchObject({ code: 'source_protocol' });
  await first.source.close();
  const source = openSource(database.url, name, ['public.t', 'public.u']);
  const second = new Follower(source, await requestFor(source, first.position));
  await second.until(() => second.ended.length === 1);
  await database.query('UPDATE t SET n = 9 WHERE id = 8');
  await second.caughtUp();
  expect(second.rowsOf('t')).toEqual([
    { id: 7, n: 7 },
    { id: 8, n: 9 },
  ]);
  await second.stop();
  await source.close();
});
