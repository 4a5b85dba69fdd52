import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readFilms } from '#ingest/demo/films.ts';
import { jobs } from '#ingest/demo/jobs.ts';
import { startPeopleAtWork } from '#ingest/demo/people-at-work.ts';
import { productionRows, statuses } from '#ingest/demo/production-database.ts';
import { Random } from '#ingest/demo/random.ts';
import { createSampleDatabases, type SampleDatabases } from './sample-databases.ts';

let databases: SampleDatabases;
beforeAll(async () => {
  databases = await createSampleDatabases(300);
});
afterAll(() => databases[Symbol.asyncDispose]());

describe('every job', () => {
  test.each(jobs.map((job) => [job.name, job] as const))('can %s', async (_, job) => {
    const client = new pg.Client({ connectionString: databases.urls[job.database] });
    await client.connect();
    try {
      const random = new Random(7);
      // The first film of its own, so that there is one to drop.
      if (job.name === 'drop a pitch') await jobs.find(({ name }) => name === 'pitch a film')?.run(client, random);
      let changes = 0;
      for (let turn = 0; turn < 20; turn++) changes += await job.run(client, random);
      expect(changes).toBeGreaterThan(0);
    } finally {
      await client.end();
    }
  });
});

test('people change rows in both databases at their pace', async () => {
  const log: string[] = [];
  const written = async () => {
    const counts = await Promise.all(
      [databases.production, databases.deals].map((database) =>
        database.query('SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::int AS count FROM pg_stat_user_tables'),
      ),
    );
    return counts.map(({ rows }) => Number(rows[0].count));
  };
  const before = await written();
  const people = startPeopleAtWork({
    databases: databases.urls,
    rate: 300,
    random: new Random(11),
    log: (line) => log.push(line),
  });
  const startedMs = performance.now();
  await vi.waitUntil(() => people.changes() >= 200, { timeout: 120_000 });
  const seconds = (performance.now() - startedMs) / 1000;
  await people.close();
  expect(people.changes() / seconds).toBeLessThan(700);
  expect(log).toEqual([]);
  await vi.waitFor(
    async () => {
      const after = await written();
      expect(after[0]).toBeGreaterThan(before[0] ?? 0);
      expect(after[1]).toBeGreaterThan(before[1] ?? 0);
    },
    { timeout: 120_000 },
  );
});

test('a table that is gone stops one job, not the others', async () => {
  const log: string[] = [];
  await databases.deals.query('ALTER TABLE payment RENAME TO payments');
  const people = startPeopleAtWork({
    databases: databases.urls,
    rate: 100,
    random: new Random(3),
    log: (line) => log.push(line),
  });
  await vi.waitUntil(() => log.length > 0 && people.changes() > 30, { timeout: 120_000 });
  await people.close();
  await databases.deals.query('ALTER TABLE payments RENAME TO payment');
  expect(log[0]).toMatch(/could not .*payment/);
});

test('the same seed makes the same studio, of all the films', async () => {
  const films = await readFilms();
  expect(films).toHaveLength(3_201);
  const make = () => productionRows(films, new Random(5), '2026-11-25');
  expect(make()).toEqual(make());
  const [movie] = make();
  const ids = movie?.rows.map(({ id }) => id);
  expect(ids).toEqual(films.map((_, index) => index + 1));
  expect(new Set(movie?.rows.map(({ status }) => status))).toEqual(new Set(statuses));
  expect(films.every(({ released }) => /^(19|20)\d\d-\d\d-\d\d$/.test(released))).toBe(true);
});
