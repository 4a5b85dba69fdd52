import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorServer, majors, startMajor } from '#test/fixtures/postgres-majors.ts';
import { runHistory } from './postgres-history.ts';

/*
 * Random schemas, transactions, migrations and faults on every version, through the whole product. A few histories at each run; many:
 *
 *   DAILIES_HISTORIES=200 DAILIES_MAJORS=16,18 vitest run test/ingest/sources/property/postgres.test.ts
 *   DAILIES_SEED=12345 DAILIES_MAJORS=14 vitest run …        one of them again
 */
const histories = Number(process.env.DAILIES_HISTORIES ?? 1);
const only = process.env.DAILIES_MAJORS?.split(',').map(Number) ?? majors;
/** `1` or `0`; else every other history has the database's event trigger. */
const trigger = process.env.DAILIES_TRIGGER;
const first =
  process.env.DAILIES_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(process.env.DAILIES_SEED);

describeWith('postgres-majors', 'random histories', (folder) => {
  describe.each(majors.filter((major) => only.includes(major)))('Postgres %i', (major) => {
    let server: MajorServer;
    beforeAll(async () => {
      server = await startMajor(folder, major, { logical_decoding_work_mem: '64kB' });
    });
    afterAll(() => server?.[Symbol.asyncDispose]());

    const runs = Array.from({ length: histories }, (_, index) => ({
      seed: first + index,
      withTrigger: trigger === undefined ? (first + index + major) % 2 === 0 : trigger === '1',
    }));
    test.each(runs)(
      'end as they are in the source (DAILIES_SEED=$seed, event trigger: $withTrigger)',
      ({ seed, withTrigger }) => runHistory(server, { major, seed, withTrigger }),
      600_000,
    );
  });
});
