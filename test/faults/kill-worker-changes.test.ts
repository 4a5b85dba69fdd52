import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Failpoint } from '#catalog/failpoint.ts';
import { WorkerSetup } from './worker-setup.ts';

/*
 * Tables of changes against the source's own audit, which a trigger keeps: every change of every row, in the order of
 * that row, with the status and the length of a large text before and after, and who it was by; the worker dies while they
 * come. `movie` tells whole old rows, `script` the key alone, and leaves an unchanged text out of its updates.
 */
const columns = 'id int PRIMARY KEY, status text, updated_by text, body text';
const tables = `
  CREATE TABLE movie (${columns});
  CREATE TABLE script (${columns});
  ALTER TABLE movie REPLICA IDENTITY FULL;
  ALTER TABLE script ALTER body SET STORAGE EXTERNAL;
  CREATE TABLE audit (n bigserial PRIMARY KEY, of text, id int, op text, was text, became text, who text, had int, has int);
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (of, id, op, was, became, who, had, has) SELECT TG_TABLE_NAME,
      coalesce(NEW.id, OLD.id), CASE TG_OP WHEN 'INSERT' THEN 'c' WHEN 'UPDATE' THEN 'u' ELSE 'd' END,
      OLD.status, coalesce(NEW.status, OLD.status), coalesce(NEW.updated_by, OLD.updated_by),
      length(OLD.body), length(coalesce(NEW.body, OLD.body));
    RETURN NULL;
  END $$;
  CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON movie FOR EACH ROW EXECUTE FUNCTION note();
  CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON script FOR EACH ROW EXECUTE FUNCTION note()`;

const audited = (table: string) => `SELECT concat_ws('|', id, row_number() OVER (PARTITION BY id ORDER BY n), op,
  coalesce(was, '-'), became, who, coalesce(had, 0), has) FROM audit WHERE of = '${table}'`;
const landed = `concat_ws('|', id, row_number() OVER (PARTITION BY id ORDER BY change_number), op,
  coalesce(before.status, '-'), status, updated_by, coalesce(length(before.body), 0), length(body))`;

/** Each kind of change, several of one row in one transaction too. */
const work = (table: string, round: number) => [
  `INSERT INTO ${table} SELECT i, 'draft', 'ann', repeat('long ', 1000) FROM generate_series(${round * 50}, ${round * 50 + 49}) i`,
  `BEGIN; UPDATE ${table} SET status = 'shooting', updated_by = 'bob' WHERE id % 3 = ${round % 3};
   UPDATE ${table} SET status = 'wrapped', body = body || 'er' WHERE id % 6 = ${round % 3}; COMMIT`,
  `DELETE FROM ${table} WHERE id % 17 = ${round % 17}`,
  `BEGIN; UPDATE ${table} SET status = 'lost'; ROLLBACK`,
];

let setup: WorkerSetup;

beforeAll(async () => {
  setup = await WorkerSetup.open();
  await setup.source.query(tables);
  await setup.define(['public.movie', 'public.script'], {
    changes: {
      from: ['production.public.*'],
      to: [
        { kind: 'iceberg', table: 'production.{table}' },
        { kind: 'iceberg', table: 'changes.{table}', mode: 'changes', partition: ['day(source_ts)'] },
      ],
    },
  });
});
afterAll(() => setup?.[Symbol.asyncDispose]());

test('killed at any point, every change is there once, in order, with who it was by', async () => {
  setup.start();
  const { state } = setup.test;
  await vi.waitFor(async () => expect(await state.dataTable.count()).toBe(4), { timeout: 240_000, interval: 100 });
  expect(await setup.end('SIGTERM')).toBe('0');
  const deaths: `${Failpoint}:${number}`[] = ['after-data-files:1', 'after-table-commit:1', 'after-log-append:2'];
  let round = 0;
  const workOn = async () => {
    for (const table of ['movie', 'script']) for (const sql of work(table, round)) await setup.source.query(sql);
    round += 1;
  };
  for (const death of deaths) {
    setup.start(death);
    await setup.hasStarted();
    for (let times = 0; times < 3; times++) await workOn();
    expect(await setup.exited(), `${death}\n${setup.lines.join('')}`).toBe('SIGKILL');
  }
  setup.start();
  await workOn();
  for (const table of ['movie', 'script']) await setup.becomesEqual(`changes.${table}`, audited(table), landed);
  expect(await setup.end('SIGTERM')).toBe('0');
}, 1_800_000);
