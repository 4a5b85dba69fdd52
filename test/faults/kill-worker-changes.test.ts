import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Failpoint } from '#catalog/failpoint.ts';
import { WorkerSetup } from './worker-setup.ts';

/*
 * A table of changes against the source's own audit, which a trigger keeps: every change of every movie, in the order of
 * that movie, with the status before and after and who it was by; the worker dies while they come.
 */
const tables = `
  CREATE TABLE movie (id int PRIMARY KEY, status text, updated_by text);
  ALTER TABLE movie REPLICA IDENTITY FULL;
  CREATE TABLE audit (n bigserial PRIMARY KEY, movie int, op text, was text, became text, who text);
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (movie, op, was, became, who) SELECT
      coalesce(NEW.id, OLD.id), CASE TG_OP WHEN 'INSERT' THEN 'c' WHEN 'UPDATE' THEN 'u' ELSE 'd' END,
      OLD.status, coalesce(NEW.status, OLD.status), coalesce(NEW.updated_by, OLD.updated_by);
    RETURN NULL;
  END $$;
  CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON movie FOR EACH ROW EXECUTE FUNCTION note()`;

const audited = `SELECT concat_ws('|', movie, row_number() OVER (PARTITION BY movie ORDER BY n), op,
  coalesce(was, '-'), became, who) FROM audit`;
const landed = `concat_ws('|', id, row_number() OVER (PARTITION BY id ORDER BY change_number), op,
  coalesce(before.status, '-'), status, updated_by)`;
const table = 'production.movie_changes';

/** Each kind of change, several of one movie in one transaction too. */
const work = (round: number) => [
  `INSERT INTO movie SELECT i, 'draft', 'ann' FROM generate_series(${round * 50}, ${round * 50 + 49}) i`,
  `BEGIN; UPDATE movie SET status = 'shooting', updated_by = 'bob' WHERE id % 3 = ${round % 3};
   UPDATE movie SET status = 'wrapped' WHERE id % 6 = ${round % 3}; COMMIT`,
  `DELETE FROM movie WHERE id % 17 = ${round % 17}`,
  `BEGIN; UPDATE movie SET status = 'lost'; ROLLBACK`,
];

let setup: WorkerSetup;

beforeAll(async () => {
  setup = await WorkerSetup.open();
  await setup.source.query(tables);
  await setup.define(['public.movie'], {
    changes: {
      from: ['production.public.movie'],
      to: [
        { kind: 'iceberg', table: 'production.movie' },
        { kind: 'iceberg', table, mode: 'changes', partition: ['day(source_ts)'] },
      ],
    },
  });
});
afterAll(() => setup?.[Symbol.asyncDispose]());

test('killed at any point, every change is there once, in order, with who it was by', async () => {
  setup.start();
  const { state } = setup.test;
  await vi.waitFor(async () => expect(await state.dataTable.count()).toBe(2), { timeout: 60_000, interval: 100 });
  expect(await setup.end('SIGTERM')).toBe('0');
  const deaths: `${Failpoint}:${number}`[] = ['after-data-files:1', 'after-table-commit:1', 'after-log-append:2'];
  let round = 0;
  for (const death of deaths) {
    setup.start(death);
    await setup.hasStarted();
    for (const end = round + 3; round < end; round++) for (const sql of work(round)) await setup.source.query(sql);
    expect(await setup.exited(), `${death}\n${setup.lines.join('')}`).toBe('SIGKILL');
  }
  setup.start();
  for (const sql of work(round)) await setup.source.query(sql);
  await setup.becomesEqual(table, audited, landed);
  expect(await setup.end('SIGTERM')).toBe('0');
}, 300_000);
