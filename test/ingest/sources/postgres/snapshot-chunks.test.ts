import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { keyIndexes } from '#catalog/schemas/schema.ts';
import type { Batch } from '#ingest/event.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { alongIndex, chunkQuery } from '#ingest/sources/postgres/chunk-query.ts';
import { connect, rowsOf } from '#ingest/sources/postgres/connection.ts';
import { findTables } from '#ingest/sources/postgres/discovery.ts';
import { serverNames } from '#ingest/sources/postgres/names.ts';
import { PostgresSource } from '#ingest/sources/postgres/postgres-source.ts';
import { currentSnapshot, RecentTransactions } from '#ingest/sources/postgres/recent-transactions.ts';
import { RowMemory } from '#ingest/sources/postgres/row-memory.ts';
import { tableRelation } from '#ingest/sources/postgres/table-shape.ts';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { Follower, requestFor, sourceName } from './follower.ts';

function openChunked(url: string, name: string, chunkBytes: number, tables = ['*']): PostgresSource {
  const deps = { name, memory: passingMemory(), now: () => new Date() };
  return new PostgresSource({ url, tables }, deps, { chunkBytes });
}

function dice(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state % below;
  };
}

const seeds = process.env.DAILIES_SEED
  ? [Number(process.env.DAILIES_SEED)]
  : Array.from({ length: 3 }, () => Math.floor(Math.random() * 2 ** 31));

console.log(`chunks seeds ${seeds.join(', ')}`);

const rowsQuery = (table: string) => `SELECT * FROM ${table}`;

/** Content by row, whatever the order. */
function sorted(rows: readonly Record<string, unknown>[]): string[] {
  const text = (value: unknown) => (typeof value === 'bigint' ? String(value) : value);
  return rows.map((row) => JSON.stringify(Object.entries(row).map(([name, value]) => [name, text(value)]))).sort();
}

const workTables = `
  CREATE TABLE plain (id int PRIMARY KEY, n int, big text);
  ALTER TABLE plain ALTER big SET STORAGE EXTERNAL;
  CREATE TABLE pair (a text COLLATE "C", b numeric, n int, big text, PRIMARY KEY (a, b));
  ALTER TABLE pair ALTER big SET STORAGE EXTERNAL;
  CREATE TABLE part (id int, region text, n int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
  CREATE TABLE part_e PARTITION OF part FOR VALUES IN ('east');
  CREATE TABLE part_w PARTITION OF part FOR VALUES IN ('west');
  CREATE TABLE whole (id int PRIMARY KEY, n int, big text);
  ALTER TABLE whole REPLICA IDENTITY FULL;
  INSERT INTO plain SELECT i, 0, repeat('p', 2500) FROM generate_series(1, 700) i;
  INSERT INTO pair SELECT 'k ' || chr(65 + i % 50) || '",' || i % 7, i / 3.0, 0, repeat('q', 2500) FROM generate_series(1, 500) i;
  INSERT INTO part SELECT i, CASE WHEN i % 3 = 0 THEN 'east' ELSE 'west' END, 0 FROM generate_series(1, 1500) i;
  INSERT INTO whole SELECT i, 0, repeat('w', 2500) FROM generate_series(1, 400) i;`;

/** People at work on all of them, in transactions, until told to stop. */
async function work(url: string, roll: (below: number) => number, isDone: () => boolean): Promise<void> {
  const client = await connect(url, 'query', new AbortController().signal);
  const row = (table: string) =>
    `ctid = ANY (ARRAY(SELECT ctid FROM ${table} OFFSET floor(random() * ${1 + roll(500)}) LIMIT 3))`;
  const statement = (): string => {
    const id = 5000 + roll(2000);
    const big = roll(3) === 0 ? `repeat('z', ${2200 + roll(1000)})` : 'big';
    switch (roll(14)) {
      case 0:
        return `INSERT INTO plain VALUES (${id}, 1, repeat('n', 2300)) ON CONFLICT DO NOTHING`;
      case 1:
        return `INSERT INTO pair VALUES ('n${roll(90)}', ${roll(30)}.50, 1, NULL) ON CONFLICT DO NOTHING`;
      case 2:
        return `DELETE FROM plain WHERE id % 97 = ${roll(97)} AND id % 5 = 0`;
      case 3:
        return `UPDATE plain SET id = id + 10000 WHERE id = ${roll(700)}`;
      case 4:
        return `UPDATE plain SET id = id - 10000 WHERE id = ${10_000 + roll(700)} AND NOT EXISTS (SELECT FROM plain p WHERE p.id = plain.id - 10000)`;
      case 5:
      case 6:
        return `UPDATE plain SET n = n + 1, big = ${big} WHERE ${row('plain')}`;
      case 7:
      case 8:
        return `UPDATE pair SET n = n + 1, big = ${big} WHERE ${row('pair')}`;
      case 9:
        return `UPDATE pair SET b = b + 0.001 WHERE n < 3 AND ${row('pair')}`;
      case 10:
        return `UPDATE part SET n = n + 1 WHERE id % 211 = ${roll(211)}`;
      case 11:
        return `UPDATE part SET region = CASE region WHEN 'east' THEN 'west' ELSE 'east' END WHERE id = ${roll(1500)}`;
      case 12:
        return `UPDATE whole SET n = n + 1, big = ${big} WHERE id % 53 = ${roll(53)}`;
      default:
        return roll(12) === 0 ? `TRUNCATE ${['whole', 'part'][roll(2)]}` : `DELETE FROM whole WHERE id = ${roll(400)}`;
    }
  };
  while (!isDone()) {
    await rowsOf(client, 'BEGIN');
    try {
      for (let left = 1 + roll(4); left > 0; left--) await rowsOf(client, statement());
      await rowsOf(client, roll(6) === 0 ? 'ROLLBACK' : 'COMMIT');
    } catch {
      // Two that move to the same key, or wait for each other: the database has undone one of them.
      await rowsOf(client, 'ROLLBACK');
    }
    await delay(10);
  }
  await client.end();
}

test.each(seeds)(
  'beside any work, over restarts at any place, tables end as they are in the source (seed %i)',
  async (seed) => {
    const roll = dice(seed);
    await using database = await createDatabase();
    await database.query(workTables);
    await database.query('ANALYZE');
    const name = sourceName();
    let isDone = false;
    const busy = [dice(seed + 1), dice(seed + 2)].map((own) => work(database.url, own, () => isDone));
    const tables = ['plain', 'pair', 'part', 'whole'];
    let follower: Follower | null = null;
    let chunks = 0;
    try {
      for (let restarts = 0; ; restarts++) {
        const source = openChunked(database.url, name, 80_000);
        const isWanted = (table: string) => !follower?.ended.some((end) => end.table.endsWith(table));
        const request = await requestFor(source, follower?.position ?? null, isWanted, follower?.cursors);
        let left = restarts < 4 ? 5 + roll(30) : Number.POSITIVE_INFINITY;
        const stopped = Promise.withResolvers<void>();
        const onBatch = (batch: Batch) => {
          chunks += batch.items.filter((item) => item.kind === 'snapshot-chunk').length;
          if (left-- <= 0) stopped.resolve();
        };
        const next: Follower = new Follower(source, request, onBatch);
        const allEnded = next.until(
          () => next.ended.length === [...request.tables.values()].filter((t) => t.snapshot).length,
        );
        await Promise.race([allEnded, stopped.promise]);
        allEnded.catch(() => {});
        const isAtEnd = next.ended.length + (follower?.ended.length ?? 0) === tables.length;
        if (!isAtEnd) {
          await next.stop();
          await source.close();
        }
        follower = follower === null ? next : next.goOnAfter(follower);
        if (isAtEnd) break;
      }
      isDone = true;
      await Promise.all(busy);
      await follower.caughtUp();
      for (const table of tables) {
        const { rows } = await database.query(rowsQuery(table));
        expect(sorted(follower.rowsOf(table)), `${table}, seed ${seed}`).toEqual(sorted(rows));
      }
      // More than one of some table; how many depends on what the work leaves of them.
      expect(chunks).toBeGreaterThan(tables.length);
      await follower.stop();
      await follower.source.close();
    } finally {
      isDone = true;
      await Promise.all(busy);
    }
  },
);

test('keys of any type are read in the order of their index, chunk by chunk', async () => {
  await using database = await createDatabase();
  const keys = {
    plain_text: `text, chr(33 + i % 90) || i || '"é, '`,
    collated: `text COLLATE "en-x-icu", chr(65 + i % 26) || 'ä' || i`,
    fixed: `char(9), lpad(i::text, 3 + i % 7)`,
    number: `numeric, i * 1.10 - 500`,
    narrow: `numeric(12,3), -i / 8.0`,
    long: `bigint, i * 9007199254740993 - 4611686018427387904`,
    real: `real, i / 3.0`,
    double: `double precision, sqrt(i) - 9`,
    uuid: `uuid, md5(i::text)::uuid`,
    bytes: `bytea, decode(md5(i::text), 'hex')`,
    day: `date, date '1999-12-31' + i`,
    clock: `time, time '00:00' + i * interval '7.000001 s'`,
    moment: `timestamp, timestamp '1900-01-01' + i * interval '1 day 0.000001 s'`,
    instant: `timestamptz, timestamptz '2100-01-01 00:00+00' - i * interval '1 month'`,
    span: `interval, i * interval '1 day 1 hour'`,
    address: `inet, inet '10.0.0.0' + i`,
    domain: `positive, i`,
    flag: `bit(16), i::bit(16)`,
    range: `int4range, int4range(i, i + 1 + i % 3)`,
  };
  await database.query('CREATE DOMAIN positive AS int CHECK (VALUE > 0)');
  for (const [table, definition] of Object.entries(keys)) {
    const [type, value] = [
      definition.slice(0, definition.indexOf(', ')),
      definition.slice(definition.indexOf(', ') + 2),
    ];
    await database.query(`CREATE TABLE ${table} (pad text, id ${type} PRIMARY KEY, n int);
      INSERT INTO ${table} SELECT repeat('x', 80), ${value}, i FROM generate_series(1, 600) i;`);
  }
  await database.query(`CREATE TYPE mood AS ENUM (${Array.from({ length: 60 }, (_, index) => `'m${(index * 37) % 60}'`).join(', ')});
    CREATE TABLE triple (n int, yes boolean, mood mood, what "char", PRIMARY KEY (mood, yes, what));
    INSERT INTO triple SELECT i, i % 2 = 0, ('m' || i % 60)::mood, chr(65 + i / 60)::"char" FROM generate_series(1, 600) i;`);
  await database.query('ANALYZE');
  const source = openChunked(database.url, sourceName(), 9_000);
  const request = await requestFor(source, null);
  let chunks = 0;
  const follower = new Follower(source, request, (batch) => {
    for (const item of batch.items) if (item.kind === 'snapshot-chunk') chunks += 1;
  });
  await follower.until(() => follower.ended.length === request.tables.size);
  expect(chunks).toBeGreaterThan(request.tables.size * 4);
  for (const { table, rows } of follower.ended) {
    const seen = follower.eventsOf(table.slice(table.lastIndexOf('.') + 1));
    const numbers = seen.map(({ fields, event }) => event.after?.[fields.indexOf('n')]);
    // Each row once, and all of them.
    expect(new Set(numbers).size, table).toBe(600);
    expect(numbers.length, table).toBe(600);
    expect(rows, table).toBe(600);
  }
  await follower.stop();
  await source.close();
});

test('a chunk is read along the index of the key', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE pair (a text COLLATE "C", b int, pad text, PRIMARY KEY (a, b));
    INSERT INTO pair SELECT 'k' || i % 100, i, 'x' FROM generate_series(1, 20000) i;
    CREATE TABLE part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (5000);
    CREATE TABLE part_b PARTITION OF part FOR VALUES FROM (5000) TO (20000);
    INSERT INTO part SELECT i, i FROM generate_series(1, 19999) i; ANALYZE;`);
  const client = await connect(database.url, 'query', new AbortController().signal);
  const names = serverNames('s');
  const context = {
    source: 's',
    names,
    memory: new RowMemory(null),
    types: new Map(),
    streamsGenerated: false,
  };
  for (const [name, key] of [
    ['public.pair', ['k5', '77']],
    ['public.part', ['4000']],
  ] as const) {
    const [table] = await findTables(client, [name], names);
    if (!table) throw new Error(name);
    const relation = await tableRelation(client, table, context);
    expect(keyIndexes(relation.schema)).toHaveLength(key.length);
    await rowsOf(client, `BEGIN; ${alongIndex}`);
    const plan = await rowsOf(client, `EXPLAIN ${await chunkQuery(client, table, relation, key, 10_000)}`);
    await rowsOf(client, 'ROLLBACK');
    const lines = plan.map((row) => row['QUERY PLAN']).join('\n');
    expect(lines).toMatch(/Index (Only )?Scan/);
    expect(lines).toContain('Index Cond');
    expect(lines).not.toMatch(/Sort|Seq Scan/);
  }
  await client.end();
});

test('what happens to other tables is handed out while a large one is read', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE large (id int PRIMARY KEY, pad text);
    INSERT INTO large SELECT i, repeat('x', 200) FROM generate_series(1, 30000) i;
    CREATE TABLE other (id int PRIMARY KEY);`);
  const source = openChunked(database.url, sourceName(), 60_000);
  let chunks = 0;
  let inserted = 0;
  const told: number[] = [];
  const follower: Follower = new Follower(source, await requestFor(source, null), async (batch) => {
    for (const item of batch.items) {
      if (item.kind === 'snapshot-chunk' && item.table.endsWith('.large')) {
        chunks += 1;
        if (chunks % 5 === 0) await database.query(`INSERT INTO other VALUES (${inserted++})`);
      }
      if (item.kind === 'changes' && item.changes.table.endsWith('.other')) told.push(chunks);
    }
  });
  await follower.until(() => follower.ended.length === 2);
  await follower.caughtUp();
  expect(chunks).toBeGreaterThan(80);
  expect(follower.rowsOf('other')).toHaveLength(inserted);
  expect(follower.rowsOf('large')).toHaveLength(30_000);
  // Not at the end all at once: most of it was told before the last chunks.
  expect(new Set(told).size).toBeGreaterThan(inserted / 2);
  expect(told.filter((at) => at < chunks - 10).length).toBeGreaterThan(inserted / 2);
  await follower.stop();
  await source.close();
});

/** Follows table t from its first snapshot, doing something at its third chunk, until it has ended, over restarts. */
async function atThirdChunk(database: TestDatabase, act: string): Promise<Follower> {
  await database.query(`
    CREATE TABLE t (id int PRIMARY KEY, n int, pad text);
    INSERT INTO t SELECT i, i, repeat('x', 300) FROM generate_series(1, 3000) i;`);
  const name = sourceName();
  let follower: Follower | null = null;
  let chunks = 0;
  for (;;) {
    const source = openChunked(database.url, name, 60_000);
    const isWanted = () => follower === null || follower.ended.length === 0;
    const request = await requestFor(source, follower?.position ?? null, isWanted, follower?.cursors);
    const next: Follower = new Follower(source, request, async (batch) => {
      for (const item of batch.items) if (item.kind === 'snapshot-chunk' && ++chunks === 3) await database.query(act);
    });
    try {
      await next.until(() => next.ended.length > 0 && chunks > 3);
      await next.caughtUp();
      // A table whose old rows read differently is read once more when the stream tells of it.
      await database.query('INSERT INTO t (id) VALUES (-2)');
      await next.caughtUp();
      await next.until(() => next.isWhole('t'));
      await next.caughtUp();
      return follower === null ? next : next.goOnAfter(follower);
    } catch (error) {
      expect(error).toMatchObject({ code: 'source_protocol' });
      await next.stop();
      await source.close();
      follower = follower === null ? next : next.goOnAfter(follower);
      await delay(50);
    }
  }
}

test.each([
  'ALTER TABLE t ADD more int NOT NULL DEFAULT 7; INSERT INTO t VALUES (-1, 1)',
  'ALTER TABLE t ADD more int; UPDATE t SET more = 1 WHERE id % 500 = 0',
  'ALTER TABLE t DROP n; UPDATE t SET pad = NULL WHERE id % 500 = 0',
  'ALTER TABLE t RENAME n TO number; UPDATE t SET number = 1 WHERE id % 500 = 0',
  'ALTER TABLE t ALTER n TYPE bigint; UPDATE t SET n = 5000000000 WHERE id % 500 = 0',
  'ALTER TABLE t ALTER n TYPE int USING n * 2; UPDATE t SET pad = NULL WHERE id % 500 = 0',
  'ALTER TABLE t ALTER n TYPE text USING n * 2; UPDATE t SET pad = NULL WHERE id % 500 = 0',
  'TRUNCATE t; INSERT INTO t SELECT i, -i FROM generate_series(1500, 2500) i',
  'VACUUM FULL t',
  "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (pad, id), ALTER pad SET DEFAULT 'p'",
  'DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, other text); INSERT INTO t SELECT i, i FROM generate_series(1, 2000) i',
  'CREATE TABLE u (LIKE t INCLUDING ALL); INSERT INTO u SELECT id, -n FROM t; ALTER TABLE t RENAME TO old; ALTER TABLE u RENAME TO t; DROP TABLE old',
  "ALTER TABLE t ADD at timestamp; UPDATE t SET at = 'infinity' WHERE id % 500 = 0",
])('in the middle of a snapshot: %s', async (act) => {
  await using database = await createDatabase();
  const follower = await atThirdChunk(database, act);
  const { rows } = await database.query('SELECT to_jsonb(t) AS row FROM t');
  const columns = Object.keys(rows[0].row);
  const held = follower.rowsOf('t').map((row) => ({ ...row, at: row.at__text ?? row.at }));
  // By the columns that there are now; those of rows from before are NULL.
  const textOf = (row: Record<string, unknown>) => columns.map((name) => String(row[name] ?? null)).join(' ');
  expect(
    held.map(textOf).sort().join('\n') ===
      rows
        .map(({ row }) => textOf(row))
        .sort()
        .join('\n'),
  ).toBe(true);
  await follower.stop();
  await follower.source.close();
});

test('a value that needs its text beside it, found late in a snapshot or told beside it, begins nothing anew', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE t (id int PRIMARY KEY, at timestamp, pad text);
    INSERT INTO t SELECT i, '2024-01-01', repeat('x', 300) FROM generate_series(1, 3000) i;
    UPDATE t SET at = 'infinity' WHERE id = 2500;`);
  const source = openChunked(database.url, sourceName(), 60_000);
  let chunks = 0;
  let begins = 0;
  const follower = new Follower(source, await requestFor(source, null), async (batch) => {
    for (const item of batch.items) {
      if (item.kind === 'snapshot-begin') begins += 1;
      if (item.kind === 'snapshot-chunk' && ++chunks === 2) await database.query('UPDATE t SET n = 1').catch(() => {});
      if (item.kind === 'snapshot-chunk' && chunks === 3)
        await database.query("UPDATE t SET at = '-infinity' WHERE id = 40");
    }
  });
  await follower.until(() => follower.ended.length === 1);
  await follower.caughtUp();
  expect(begins).toBe(1);
  expect(follower.ended[0]?.rows).toBe(3000);
  const rows = follower.rowsOf('t');
  expect(rows).toHaveLength(3000);
  const texts = rows.filter((row) => row.at__text).map((row) => [row.id, row.at, row.at__text]);
  expect(texts.sort()).toEqual([
    [2500, null, 'infinity'],
    [40, null, '-infinity'],
  ]);
  // Once told, no later row is without the column: a sink would take it for dropped.
  const fields = follower.eventsOf('t').map((seen) => seen.fields.length);
  expect(fields).toEqual([...fields].sort((a, b) => a - b));
  await follower.stop();
  await source.close();
});

test('a row longer than memory should hold many times is carried; lists are, too', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TABLE t (id int PRIMARY KEY, tags text[], big text);
    INSERT INTO t SELECT i, ARRAY['a', NULL, i::text], CASE WHEN i = 50 THEN repeat('0123456789', 2000000) END FROM generate_series(1, 100) i;`);
  const source = openChunked(database.url, sourceName(), 32 << 20);
  const follower = new Follower(source, await requestFor(source, null));
  await follower.until(() => follower.ended.length === 1);
  const row = follower.rowsOf('t').find(({ id }) => id === 50);
  expect(row?.tags).toEqual(['a', null, '50']);
  expect(String(row?.big)).toBe('0123456789'.repeat(2_000_000));
  await follower.stop();
  await source.close();
});

test('a table whose rows cannot be read is named, and the others go on without it', async () => {
  await using database = await createDatabase();
  await database.query(`
    CREATE TYPE mood AS ENUM ('good', 'lost');
    CREATE TABLE broken (id int PRIMARY KEY, mood mood);
    INSERT INTO broken VALUES (1, 'good'), (2, 'lost');
    CREATE TABLE sound (id int PRIMARY KEY, n int);
    INSERT INTO sound SELECT i, i FROM generate_series(1, 100) i;
    DELETE FROM pg_enum WHERE enumlabel = 'lost';`);
  const source = openChunked(database.url, sourceName(), 1 << 20);
  const first = new Follower(source, await requestFor(source, null));
  expect(await first.untilFailed()).toMatchObject({ details: { table: expect.stringContaining('public.broken') } });
  const request = await requestFor(source, first.position, () => first.ended.length === 0, first.cursors);
  const tables = new Map([...request.tables].filter(([table]) => table === 'public.sound'));
  const second = new Follower(source, { from: first.position, tables }).goOnAfter(first);
  await second.until(() => second.ended.length === 1);
  expect(second.rowsOf('sound')).toHaveLength(100);
  await second.stop();
  await source.close();
});

test('a transaction that the stream has told of counts as recent until a snapshot sees it', async () => {
  await using database = await createDatabase();
  const client = await connect(database.url, 'query', new AbortController().signal);
  await database.query('BEGIN');
  const { rows } = await database.query('SELECT pg_current_xact_id()::text AS id');
  const id = String(BigInt(rows[0].id) % (1n << 32n));
  const transactions = [{ id, position: '0/0', timeMicros: 0n }];
  const changes = { table: 's.t', schema: { fields: [], key: [] }, events: [], transactions };
  const recent = new RecentTransactions();
  recent.note({ items: [{ kind: 'changes', changes }], position: '0/0', timeMicros: 0n, isComplete: true });
  expect(recent.areSeenBy(await currentSnapshot(client))).toBe(false);
  await database.query('COMMIT');
  expect(recent.areSeenBy(await currentSnapshot(client))).toBe(true);
  expect(recent.size).toBe(0);
  // Ids wrap around at 2^32.
  const far = new RecentTransactions();
  const last = { ...changes, transactions: [{ id: '4294967295', position: '0/0', timeMicros: 0n }] };
  far.note({ items: [{ kind: 'changes', changes: last }], position: '0/0', timeMicros: 0n, isComplete: true });
  expect(far.areSeenBy('4294967290:4294967300:4294967295')).toBe(false);
  expect(far.areSeenBy('4294967290:4294967295:')).toBe(false);
  expect(far.areSeenBy('4294967299:4294967300:')).toBe(true);
  await client.end();
});
