import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorServer, majors, startMajor } from '#test/fixtures/postgres-majors.ts';
import {
  forgottenRollbackCase,
  identitiesCase,
  preparedCase,
  publicationsCase,
  streamedCase,
  streamedCutCase,
  streamedShapesCase,
  truncateCase,
  untoldRollbackCase,
} from './stream-cases.ts';

describeWith('postgres-majors', 'the stream of each version', (folder) => {
  describe.each(majors)('Postgres %i', (major) => {
    let server: MajorServer;
    beforeAll(async () => {
      server = await startMajor(folder, major);
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test('is of that version', async () => {
      const database = await server.createDatabase();
      const { rows } = await database.query('SHOW server_version_num');
      expect(Math.floor(Number(rows[0]?.server_version_num) / 10_000)).toBe(major);
    });

    test('transactions under way wait for their commit, without what was rolled back within them', async () =>
      streamedCase(await server.createDatabase()));

    test('what the server does not tell as rolled back is left out all the same', async () =>
      untoldRollbackCase(await server.createDatabase()));

    test('what was rolled back before the server read it is nothing', async () =>
      forgottenRollbackCase(await server.createDatabase()));

    test('a shape that only a rolled back subtransaction had does not outlive it', async () =>
      streamedShapesCase(await server.createDatabase()));

    test('a connection that is cut while a transaction is under way or being told leaves no gap and no overlap', async () =>
      streamedCutCase(await server.createDatabase()));

    test('truncation of several tables, of those that refer to them, within a transaction', async () =>
      truncateCase(await server.createDatabase()));

    test('every replica identity, a partitioned table, enums of one name, and rows of one place in the log', async () =>
      identitiesCase(await server.createDatabase()));

    test('row filters, column lists, partitions by themselves, and messages of applications', async () =>
      publicationsCase(await server.createDatabase(), major));

    test('a prepared transaction is seen when it commits, across restarts of the reader and of the server', async () => {
      await preparedCase(await server.createDatabase(), () => server.restart());
    });
  });
});
