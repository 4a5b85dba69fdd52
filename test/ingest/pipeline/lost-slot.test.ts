import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { sourceName } from '../sources/postgres/follower.ts';
import { RuntimeSetup } from './runtime-setup.ts';

const waiting = { timeout: 120_000, interval: 30 };

let setup: RuntimeSetup;
let database: TestDatabase;
let name: string;
beforeEach(async () => {
  [setup, database] = await Promise.all([RuntimeSetup.open(), createDatabase()]);
  name = sourceName();
  await database.query(`
    CREATE TABLE film (id int PRIMARY KEY, title text);
    INSERT INTO film SELECT i, 'film ' || i FROM generate_series(1, 300) i;`);
  await setup.start();
  await setup.addPostgres(name, { url: database.url, tables: ['public.film'] });
  await setup.setPipeline('all', { from: [`${name}.public.film`], table: 'w.film' });
  await vi.waitFor(async () => expect(await setup.rows('w.film')).toHaveLength(300), waiting);
});
afterEach(async () => {
  await setup[Symbol.asyncDispose]();
  await database.drop();
});

const source = () =>
  setup.test.state.source.findUniqueOrThrow({ where: { name }, include: { warnings: true, tables: true } });

async function expectEqual(): Promise<void> {
  const byId = (rows: unknown[]) => (rows as { id: number }[]).sort((a, b) => a.id - b.id);
  await vi.waitFor(async () => {
    const { rows } = await database.query('SELECT id, title FROM film');
    expect(byId(await setup.rows('w.film'))).toEqual(byId(rows));
    expect(await source()).toMatchObject({ state: 'running', lastError: null, warnings: [] });
  }, waiting);
}

/** What happened, and what was written while nobody was told; then the table is read again, and no moment sees it empty. */
async function expectReadAgain(lose: () => Promise<void>): Promise<void> {
  const before = await source();
  let isDone = false;
  let fewest = Number.POSITIVE_INFINITY;
  const watching = (async () => {
    while (!isDone) fewest = Math.min(fewest, (await setup.rows('w.film')).length);
  })();
  await lose();
  await vi.waitFor(async () => {
    expect((await source()).tables[0]?.generation).toBe((before.tables[0]?.generation ?? 0) + 1);
  }, waiting);
  await expectEqual();
  isDone = true;
  await watching;
  expect(fewest).toBeGreaterThan(280);
  expect(setup.lines.filter((line) => line.includes('All tables are being read again'))).toHaveLength(1);
  await database.query(`UPDATE film SET title = 'afterwards' WHERE id = 9`);
  await expectEqual();
}

const slot = () => `dailies_${name}`;

/** Ends whoever reads the slot, and drops it before they are back. */
async function dropSlot(): Promise<void> {
  for (;;) {
    const { rows } = await database.query(
      `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL`,
      [slot()],
    );
    if (rows.length > 0) continue;
    const isDropped = await database.query('SELECT pg_drop_replication_slot($1)', [slot()]).then(
      () => true,
      (error) => {
        // They were faster.
        if (error.code !== '55006') throw error;
        return false;
      },
    );
    if (isDropped) return;
  }
}

const changes = `
  DELETE FROM film WHERE id BETWEEN 10 AND 20;
  UPDATE film SET title = 'unseen' WHERE id = 30;
  INSERT INTO film VALUES (1000, 'unseen');`;

test('a slot that was dropped under the stream', () =>
  expectReadAgain(async () => {
    await dropSlot();
    await database.query(changes);
  }));

test('a slot that was dropped while nothing ran', () =>
  expectReadAgain(async () => {
    await setup.stop();
    await dropSlot();
    await database.query(changes);
    await setup.start();
  }));

test('a slot that somebody has made anew at a later place', () =>
  expectReadAgain(async () => {
    await setup.stop();
    await dropSlot();
    await database.query(changes);
    await database.query(`SELECT pg_create_logical_replication_slot('${slot()}', 'pgoutput')`);
    await setup.start();
  }));

test('while its only pipeline is paused a source goes on, so that its database keeps nothing for it', async () => {
  await setup.setDesired('all', 'paused');
  await vi.waitFor(async () => expect((await setup.pipeline('all')).state).toBe('paused'), waiting);
  await database.query(
    `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 30)`,
  );
  await database.query(changes);
  const { rows: head } = await database.query('SELECT pg_current_wal_lsn() AS lsn');
  await vi.waitFor(async () => {
    const { rows } = await database.query(
      `SELECT confirmed_flush_lsn >= $2::pg_lsn AS is_there FROM pg_replication_slots WHERE slot_name = $1`,
      [slot(), head[0]?.lsn],
    );
    expect(rows).toEqual([{ is_there: true }]);
  }, waiting);
  expect(await setup.rows('w.film')).toHaveLength(300);
  await setup.setDesired('all', 'running');
  await expectEqual();
});
