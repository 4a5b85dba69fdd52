import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { currentSnapshot, liveRows, schemaOf } from '#catalog/iceberg/metadata/table-metadata.ts';
import { triggerStatement } from '#ingest/sources/postgres/ddl-trigger.ts';
import { WorkerSetup } from './worker-setup.ts';

/* Types that rows already landed cannot follow: the table is read again, and no row of the new shape is refused before. */

vi.setConfig({ testTimeout: 1_200_000 });

interface Case {
  table: string;
  /** Type of n before. */
  type: string;
  value: string;
  /** All that happens to the table, behind ALTER TABLE. */
  alter: string;
  row: string;
  /** n as text, in both databases. */
  before: string;
  after: string;
  /** The column that is to be another one. */
  fresh: string;
}

const seconds = 'CAST(extract(epoch FROM n) AS bigint)';
const plain = { before: 'CAST(n AS varchar)', after: 'CAST(n AS varchar)', fresh: 'n' };
const cases: readonly Case[] = [
  { ...plain, table: 'texts', type: 'int', value: 'i', alter: `ALTER n TYPE text USING 'n' || n`, row: `9001, 'new'` },
  {
    ...plain,
    table: 'narrower',
    type: 'numeric(10, 2)',
    value: 'i + 0.25',
    alter: 'ALTER n TYPE numeric(8, 1)',
    row: '9001, 1.5',
  },
  {
    ...plain,
    table: 'instants',
    type: 'timestamp',
    value: `timestamp '2026-01-01' + i * interval '1 minute'`,
    alter: `ALTER n TYPE timestamptz USING n AT TIME ZONE 'UTC'`,
    row: `9001, '2026-02-01 00:00:00+00'`,
    before: seconds,
    after: seconds,
  },
  {
    ...plain,
    table: 'again',
    type: 'int',
    value: 'i',
    alter: `DROP n, ADD n date DEFAULT '2026-01-01'`,
    row: `9001, '2026-02-02'`,
  },
  {
    ...plain,
    table: 'lengths',
    type: 'text',
    value: `'n' || i`,
    alter: 'ALTER n TYPE int USING length(n)',
    row: '9001, 7',
  },
  {
    ...plain,
    table: 'lists',
    type: 'int[]',
    value: 'ARRAY[i, i + 1]',
    alter: 'ALTER n TYPE text[] USING n::text[]',
    row: `9001, '{a,b}'`,
    before: 'CAST(n[1] AS varchar)',
    after: 'CAST(n[1] AS varchar)',
  },
  {
    ...plain,
    table: 'keys',
    type: 'int',
    value: 'i',
    alter: `ALTER id TYPE text USING 'k' || id`,
    row: `'k9001', 5`,
    fresh: 'id',
  },
  {
    ...plain,
    table: 'rekeyed',
    type: 'int',
    value: 'i',
    alter: `DROP CONSTRAINT rekeyed_pkey, ALTER n TYPE text USING 'n' || n, ADD PRIMARY KEY (n, id)`,
    row: `9001, 'new'`,
  },
];
const rows = 300;
const all = { from: ['production.public.*'], steps: [], to: [{ kind: 'iceberg', table: 'production.{table}' }] };

let setup: WorkerSetup;
beforeEach(async () => {
  setup = await WorkerSetup.open({ TEST_CHUNK_BYTES: '1500' });
  await setup.noteRefusals();
  for (const { table, type, value } of cases) {
    await setup.source.query(
      `CREATE TABLE ${table} (id int PRIMARY KEY, n ${type}); INSERT INTO ${table} SELECT i, ${value} FROM generate_series(1, ${rows}) i`,
    );
  }
});
afterEach(() => setup[Symbol.asyncDispose]());

async function areEqual(time: 'before' | 'after'): Promise<void> {
  for (const each of cases) {
    const sql = `concat_ws('|', id, ${each[time]})`;
    await setup.becomesEqual(`production.${each.table}`, `SELECT ${sql} FROM ${each.table}`, sql);
  }
}

async function idsOf({ table }: Case): Promise<Map<string, number>> {
  const entry = await setup.catalog.load(`production.${table}`);
  return new Map(entry ? schemaOf(entry.metadata).fields.map(({ name, id }) => [name, id]) : []);
}

/** Until `stopped` has come true, the least number of rows that each table has shown; `onLooked` once all were looked at. */
async function leastRows(stopped: { isTrue: boolean }, onLooked: () => void): Promise<Map<string, bigint>> {
  const least = new Map<string, bigint>();
  while (!stopped.isTrue) {
    for (const { table } of cases) {
      const entry = await setup.catalog.load(`production.${table}`);
      if (!entry) continue;
      const found = liveRows(currentSnapshot(entry.metadata));
      if (found < (least.get(table) ?? found + 1n)) least.set(table, found);
    }
    onLooked();
    await delay(20);
  }
  return least;
}

const alterAll = async () => {
  for (const { table, alter, row } of cases) {
    await setup.source.query(`ALTER TABLE ${table} ${alter}`);
    await setup.source.query(`INSERT INTO ${table} VALUES (${row})`);
  }
};

test.each([false, true])(
  'the table goes on without being refused, emptied or left (event trigger: %s)',
  async (hasTrigger) => {
    if (hasTrigger) await setup.source.query(triggerStatement);
    setup.start();
    await setup.define(['public.*'], { all });
    await areEqual('before');
    const before = await Promise.all(cases.map(idsOf));
    const stopped = { isTrue: false };
    const looked = Promise.withResolvers<void>();
    const least = leastRows(stopped, looked.resolve);
    await looked.promise;
    await alterAll();
    await areEqual('after');
    stopped.isTrue = true;
    expect(await setup.refusals(), setup.lines.join('')).toEqual([]);
    expect(Object.fromEntries(await least)).toEqual(
      Object.fromEntries(cases.map(({ table }) => [table, BigInt(rows)])),
    );
    for (const [index, each] of cases.entries()) {
      const [old, now] = [before[index], await idsOf(each)];
      const kept = [...now].filter(([name, id]) => old?.get(name) === id).map(([name]) => name);
      expect(kept, each.table).toEqual(['id', 'n'].filter((name) => name !== each.fresh));
    }
  },
);

/** Until the worker has died where it was told to, there is something that it has yet to land. */
async function dies(): Promise<void> {
  while (!setup.hasEnded) {
    await setup.source.query('UPDATE narrower SET n = n WHERE id = 1');
    await delay(100);
  }
  expect(await setup.exited(), setup.lines.join('')).toBe('SIGKILL');
}

test('a worker that is killed in the middle, and one that finds the new shape, refuse nothing either', async () => {
  setup.start();
  await setup.define(['public.*'], { all });
  await areEqual('before');
  await alterAll();
  await setup.end('SIGKILL');
  setup.start('after-log-append:3');
  expect(await setup.exited()).toBe('SIGKILL');
  setup.start('before-ack:2');
  expect(await setup.exited()).toBe('SIGKILL');
  await setup.source.query(`ALTER TABLE texts ALTER n TYPE bytea USING n::bytea; INSERT INTO texts VALUES (9002, 'x');
    ALTER TABLE texts ALTER n TYPE int USING length(n); INSERT INTO texts VALUES (9003, 3)`);
  setup.start('after-table-commit:2');
  await dies();
  setup.start();
  await setup.source.query(`ALTER TABLE texts ALTER n TYPE date USING date '2026-01-01' + n; UPDATE texts SET n = n + 1 WHERE id < 9;
    ALTER TABLE texts ALTER n TYPE text USING 'd' || n; INSERT INTO texts VALUES (9004, 'last')`);
  await areEqual('after');
  expect(await setup.refusals(), setup.lines.join('')).toEqual([]);
});

test('nor a table that is altered again and again within its very first snapshot', async () => {
  await setup.source.query(`CREATE TABLE first_read (id int PRIMARY KEY, n text);
    INSERT INTO first_read SELECT i, 'number ' || i FROM generate_series(1, 10000) i;
    CREATE TABLE busy (id int PRIMARY KEY, pad text)`);
  setup.start();
  await setup.define(['public.first_read', 'public.busy'], { all });
  const rowsRead = async () => {
    const table = await setup.test.state.sourceTable.findFirst({ where: { name: 'public.first_read' } });
    return (table?.snapshot as { rows?: number } | null)?.rows ?? 0;
  };
  await vi.waitFor(async () => expect(await rowsRead(), setup.lines.join('')).toBeGreaterThan(100), {
    timeout: 240_000,
    interval: 5,
  });
  // The stream comes to what is altered after the chunks do.
  await setup.source.query(`INSERT INTO busy SELECT i, repeat('x', 200) FROM generate_series(1, 100000) i`);
  for (const alter of ['int USING length(n)', `date USING DATE '2026-01-01' + n`, 'text USING n::text']) {
    await setup.source.query(`ALTER TABLE first_read ALTER n TYPE ${alter};
      UPDATE first_read SET n = (SELECT n FROM first_read WHERE id = 7000) WHERE id IN (1, 5000, 9999)`);
  }
  const sql = `concat_ws('|', id, n)`;
  await setup.becomesEqual('production.first_read', `SELECT ${sql} FROM first_read`, sql);
  expect(await setup.refusals(), setup.lines.join('')).toEqual([]);
});

const returns: readonly { table: string; type: string; value: string; work: string }[] = [
  { table: 'same', type: 'text', value: `'n' || i`, work: 'ALTER TABLE same ALTER n TYPE text USING upper(n)' },
  {
    table: 'type_back',
    type: 'text',
    value: `'n' || i`,
    work: `BEGIN; ALTER TABLE type_back ALTER n TYPE int USING length(n); INSERT INTO type_back VALUES (9001, 1);
      ALTER TABLE type_back ALTER n TYPE text USING 'back ' || n; UPDATE type_back SET n = 'x' WHERE id = 5; COMMIT`,
  },
  {
    table: 'name_back',
    type: 'text',
    value: `'n' || i`,
    work: `BEGIN; ALTER TABLE name_back RENAME n TO m; INSERT INTO name_back VALUES (9001, 'm');
      ALTER TABLE name_back RENAME m TO n; UPDATE name_back SET n = 'x' WHERE id = 5; COMMIT`,
  },
  {
    table: 'zone_back',
    type: 'timestamp',
    value: `timestamp '2026-01-01' + i * interval '1 minute'`,
    work: `SET timezone = 'UTC'; BEGIN; ALTER TABLE zone_back ALTER n TYPE timestamptz; INSERT INTO zone_back VALUES (9001, '2026-02-01 00:00:00+00');
      ALTER TABLE zone_back ALTER n TYPE timestamp; UPDATE zone_back SET n = '2026-03-01' WHERE id = 5; COMMIT`,
  },
];

test.each([
  { hasTrigger: false, isDown: false },
  { hasTrigger: false, isDown: true },
  { hasTrigger: true, isDown: false },
  { hasTrigger: true, isDown: true },
])(
  'a column that is another for a while, or has other values of its type (event trigger: $hasTrigger, worker down: $isDown)',
  async ({ hasTrigger, isDown }) => {
    if (hasTrigger) await setup.source.query(triggerStatement);
    for (const { table, type, value } of returns) {
      await setup.source.query(
        `CREATE TABLE ${table} (id int PRIMARY KEY, n ${type}); INSERT INTO ${table} SELECT i, ${value} FROM generate_series(1, ${rows}) i`,
      );
    }
    setup.start();
    await setup.define(['public.*'], { all });
    const areAlike = async () => {
      for (const { table } of returns) {
        const sql = `concat_ws('|', id, CAST(n AS varchar))`;
        await setup.becomesEqual(`production.${table}`, `SELECT ${sql} FROM ${table}`, sql);
      }
    };
    await areAlike();
    if (isDown) await setup.end('SIGTERM');
    for (const { table, work } of returns) {
      // What is told of a table before it is altered comes when the catalogs know it as it is after.
      await setup.source.query(`INSERT INTO ${table} SELECT 9000, n FROM ${table} WHERE id = 8`);
      await setup.source.query(work);
      await setup.source.query(`INSERT INTO ${table} SELECT 9002, n FROM ${table} WHERE id = 7`);
    }
    if (isDown) setup.start();
    await areAlike();
    expect(await setup.refusals(), setup.lines.join('')).toEqual([]);
  },
);
