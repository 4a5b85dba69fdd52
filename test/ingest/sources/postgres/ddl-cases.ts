import { expect } from 'vitest';
import { triggerStatement } from '#ingest/sources/postgres/ddl-trigger.ts';
import { sourceName } from './follower.ts';
import { Landing } from './landing.ts';
import { type CaseDatabase, streamingUrl, untilStreamed } from './stream-cases.ts';

const filmTable = `CREATE TABLE film (id int PRIMARY KEY, title text NOT NULL, year int, fee numeric(10, 2), note text);
  INSERT INTO film VALUES (1, 'Alien', 1979, 10.50, 'ship'), (2, 'Brazil', 1985, 2.25, NULL)`;

async function landFilms(database: CaseDatabase): Promise<Landing> {
  await database.query(`${triggerStatement}; ${filmTable}`);
  const landing = await Landing.open(database, sourceName(), ['public.*']);
  await landing.equals('film');
  return landing;
}

/** Every change of columns lands by itself: no row comes behind it. */
export async function columnsCase(database: CaseDatabase): Promise<void> {
  await using landing = await landFilms(database);
  const first = await landing.entry('film');
  const before = await landing.fieldIds('film');
  const alter = async (sql: string) => {
    await database.query(sql);
    await landing.equals('film');
    return landing.fieldIds('film');
  };

  let ids = await alter('ALTER TABLE film RENAME title TO "Working ""Title"""');
  expect(ids['Working "Title"']).toBe(before.title);
  ids = await alter('ALTER TABLE film RENAME "Working ""Title""" TO title; ALTER TABLE film ADD rating int');
  expect(ids).toMatchObject(before);
  const snapshots = await landing.snapshots('film');

  // Two names for each other, within a transaction and with rows between.
  ids = await alter(`BEGIN; ALTER TABLE film RENAME title TO t; INSERT INTO film (id, t) VALUES (3, 'Charade');
    ALTER TABLE film RENAME note TO title; UPDATE film SET title = 'b' WHERE id = 2; ALTER TABLE film RENAME t TO note;
    INSERT INTO film (id, title, note) VALUES (4, 'a note', 'Diva'); COMMIT`);
  expect(ids).toMatchObject({ note: before.title, title: before.note });
  await database.query(`BEGIN; ALTER TABLE film RENAME note TO t; ALTER TABLE film RENAME title TO note;
    ALTER TABLE film RENAME t TO title; COMMIT`);
  await landing.equals('film');
  expect(await landing.fieldIds('film')).toMatchObject(before);
  expect(await landing.snapshots('film')).toBe(snapshots);

  ids = await alter(
    "ALTER TABLE film ADD country text NOT NULL DEFAULT 'US'; ALTER TABLE film ADD at timestamptz DEFAULT now()",
  );
  ids = await alter('ALTER TABLE film ALTER year TYPE bigint, ALTER fee TYPE numeric(12, 2)');
  expect(ids).toMatchObject({ year: before.year, fee: before.fee });
  ids = await alter('ALTER TABLE film ALTER fee TYPE numeric(6, 1)');
  expect(ids.fee).not.toBe(before.fee);
  ids = await alter('ALTER TABLE film ALTER note TYPE int USING length(note)');
  expect(ids.note).not.toBe(before.note);
  ids = await alter('ALTER TABLE film ALTER year TYPE int USING year - 1000');
  ids = await alter('ALTER TABLE film DROP rating');
  ids = await alter(`BEGIN; UPDATE film SET note = 7 WHERE id = 1; ALTER TABLE film DROP note;
    INSERT INTO film (id, title) VALUES (5, 'Eraserhead'); ALTER TABLE film ADD note int; UPDATE film SET note = 8 WHERE id = 2; COMMIT`);

  // What is rolled back, whole or in part, was never there.
  await database.query('BEGIN; ALTER TABLE film RENAME title TO lost; ROLLBACK');
  ids =
    await alter(`BEGIN; SAVEPOINT s; ALTER TABLE film RENAME title TO lost; UPDATE film SET lost = 'x'; ROLLBACK TO s;
    ALTER TABLE film RENAME note TO remark; INSERT INTO film (id, title) VALUES (6, 'Fargo'); COMMIT`);
  expect(ids.title).toBe(before.title);

  ids = await alter('ALTER TABLE film RENAME id TO film_id');
  expect(ids.film_id).toBe(before.id);
  await alter("UPDATE film SET title = 'Alien³' WHERE film_id = 1; DELETE FROM film WHERE film_id = 2");

  const snapshot = first.metadata['current-snapshot-id'];
  const old = await landing.rows('film', ['id', 'title', 'year', 'note'], snapshot ?? undefined);
  expect(old).toEqual(['["1","Alien","1979","ship"]', '["2","Brazil","1985",null]']);
}

/** Keys that come, change and go, and tables that come, are renamed and go. */
export async function tablesCase(database: CaseDatabase): Promise<void> {
  await using landing = await landFilms(database);
  await database.query('CREATE TABLE cast_list (film int NOT NULL, actor text NOT NULL, part text)');
  await database.query("INSERT INTO cast_list VALUES (1, 'Weaver', 'Ripley'), (1, 'Holm', 'Ash')");
  await landing.equals('cast_list');
  await database.query('ALTER TABLE cast_list ADD PRIMARY KEY (film, actor)');
  await landing.until(async () => (await landing.keyOf('cast_list')).join() === 'film,actor');
  await database.query("UPDATE cast_list SET part = 'Ripley 8' WHERE actor = 'Weaver'");
  await landing.equals('cast_list');
  await database.query(
    `BEGIN; ALTER TABLE cast_list DROP CONSTRAINT cast_list_pkey; ALTER TABLE cast_list ADD PRIMARY KEY (actor); COMMIT`,
  );
  await landing.until(async () => (await landing.keyOf('cast_list')).join() === 'actor');
  await database.query(
    "UPDATE cast_list SET film = 2 WHERE actor = 'Holm'; DELETE FROM cast_list WHERE actor = 'Weaver'",
  );
  await landing.equals('cast_list');

  await database.query(
    'CREATE TABLE made AS SELECT i AS id FROM generate_series(1, 3) i; CREATE TEMP TABLE passing (id int)',
  );
  await landing.equals('made');
  await database.query('ALTER TABLE film RENAME TO movie');
  await landing.equals('movie');
  await database.query("INSERT INTO movie VALUES (9, 'Seven', 1995, 1, NULL); ALTER TABLE movie RENAME title TO name");
  await landing.equals('movie');
  await database.query('CREATE SCHEMA other; ALTER TABLE made SET SCHEMA other; DROP TABLE cast_list');
  await landing.until(async () => {
    const rows = await landing.test.state.sourceTable.findMany({ where: { sourceName: landing.source } });
    return rows.map(({ name }) => name).join() === 'public.movie';
  });
}

/** In transactions that are told while they are under way, with parts that are rolled back, and in a prepared one. */
export async function transactionsCase(database: CaseDatabase): Promise<void> {
  await using landing = await landFilms({ ...database, url: streamingUrl(database.url) });
  const before = await landing.fieldIds('film');
  const fill = (from: number, column: string) =>
    `INSERT INTO film (id, "${column}", note) SELECT i, 'film ' || i, repeat('x', 300) FROM generate_series(${from}, ${from + 499}) i`;
  const client = await database.connect();
  await client.query(`BEGIN; ${fill(1_000, 'title')}; ALTER TABLE film RENAME title TO first; ${fill(2_000, 'first')}`);
  await client.query(
    `SAVEPOINT a; ALTER TABLE film RENAME first TO lost; ALTER TABLE film DROP year; ${fill(3_000, 'lost')}; ROLLBACK TO a`,
  );
  await client.query(
    `SAVEPOINT b; ALTER TABLE film RENAME first TO second; ${fill(4_000, 'second')}; RELEASE b; ${fill(5_000, 'second')}`,
  );
  await untilStreamed(database, landing.source, 1);
  await client.query('COMMIT');
  await landing.equals('film');
  expect(await landing.fieldIds('film')).toMatchObject({ second: before.title, year: before.year });

  await client.query(
    `BEGIN; ALTER TABLE film RENAME second TO third; ${fill(6_000, 'third')}; PREPARE TRANSACTION '${landing.source}'`,
  );
  await client.query(`BEGIN; CREATE TABLE small (id int PRIMARY KEY); PREPARE TRANSACTION '${landing.source}-small'`);
  await client.query(`ROLLBACK PREPARED '${landing.source}-small'`);
  await client.query(`COMMIT PREPARED '${landing.source}'`);
  await landing.equals('film');
  expect(await landing.fieldIds('film')).toMatchObject({ third: before.title });
}

/** A role without any right on what is ours, odd names, tables that inherit, partitions, and what is no table of ours. */
export async function rolesCase(database: CaseDatabase): Promise<void> {
  await database.query(`${triggerStatement};
    CREATE TABLE "Öther ""t" ("Id é" int PRIMARY KEY, a text); CREATE TABLE parent (id int PRIMARY KEY, a text);
    CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
    CREATE TABLE root (id int PRIMARY KEY, a text) PARTITION BY RANGE (id); CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (100);
    INSERT INTO "Öther ""t" VALUES (1, 'x'); INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c'); INSERT INTO root VALUES (3, 'r')`);
  const role = sourceName();
  await database.query(`CREATE ROLE ${role}; ALTER TABLE "Öther ""t" OWNER TO ${role}; ALTER TABLE parent OWNER TO ${role}; ALTER TABLE child OWNER TO ${role};
    ALTER TABLE root OWNER TO ${role}; ALTER TABLE leaf OWNER TO ${role}; GRANT CREATE ON SCHEMA public TO ${role}`);
  await using landing = await Landing.open(database, sourceName(), ['public.*']);
  for (const table of ['Öther "t', 'child', 'root']) await landing.equals(table);
  const before = await landing.fieldIds('child');
  await database.query(`SET ROLE ${role}; SET search_path = pg_temp;
    CREATE TEMP TABLE pg_class (oid int); CREATE FUNCTION public.starts_with(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 1';
    ALTER TABLE public."Öther ""t" RENAME "Id é" TO "€"; ALTER TABLE public.parent RENAME a TO b; ALTER TABLE public.root ADD c int DEFAULT 4;
    CREATE TABLE public.root_2 PARTITION OF public.root FOR VALUES FROM (100) TO (200); ALTER TABLE public.root DETACH PARTITION public.leaf;
    RESET ROLE; RESET search_path; DROP TABLE pg_temp.pg_class`);
  await landing.hasColumns('Öther "t', ['€', 'a']);
  await landing.equals('child');
  expect(await landing.fieldIds('child')).toMatchObject({ b: before.a });
  await landing.hasColumns('root', ['id', 'a', 'c']);
  await landing.equals('leaf');
}

/** DDL of an application goes on where ours cannot be told, and is seen at the next row. */
export async function untoldCase(database: CaseDatabase): Promise<void> {
  await using landing = await landFilms(database);
  const warnings: string[] = [];
  const client = await database.connect();
  client.on('notice', ({ severity, message }) => severity === 'WARNING' && warnings.push(String(message)));
  await client.query(
    `SET session_replication_role = replica; ALTER TABLE film RENAME note TO remark; RESET session_replication_role`,
  );
  await landing.hasColumns('film', ['id', 'title', 'year', 'fee', 'remark']);
  await client.query(
    `BEGIN; ALTER EVENT TRIGGER dailies_ddl DISABLE; ALTER TABLE film RENAME title TO name; ALTER EVENT TRIGGER dailies_ddl ENABLE ALWAYS; COMMIT`,
  );
  await client.query("UPDATE film SET name = 'Alien³' WHERE id = 1");
  await landing.equals('film');
  await client.query('ALTER TABLE film RENAME name TO title');
  await landing.equals('film');
  expect(warnings).toEqual([]);
}
