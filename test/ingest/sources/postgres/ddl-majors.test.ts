import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeWith } from '#test/fixtures/engine.ts';
import { type MajorServer, majors, startMajor } from '#test/fixtures/postgres-majors.ts';
import { columnsCase, rolesCase, tablesCase, transactionsCase, untoldCase } from './ddl-cases.ts';

const timeout = 300_000;

describeWith('postgres-majors', 'changes of schemas that the database tells', (folder) => {
  describe.each(majors)('Postgres %i', (major) => {
    let server: MajorServer;
    beforeAll(async () => {
      server = await startMajor(folder, major);
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test('columns change in place and without a row, a renamed one under its field id', { timeout }, async () =>
      columnsCase(await server.createDatabase()),
    );

    test('keys come and change; tables come, are renamed, moved and dropped', { timeout }, async () =>
      tablesCase(await server.createDatabase()),
    );

    test('in transactions under way, with parts rolled back, and in prepared ones', { timeout }, async () =>
      transactionsCase(await server.createDatabase()),
    );

    test(
      'by roles without rights on what is ours, with odd names, of heirs and of partitioned tables',
      { timeout },
      async () => rolesCase(await server.createDatabase()),
    );

    test(
      'what is not told is seen at the next row, and what is told after that is exact again',
      { timeout },
      async () => untoldCase(await server.createDatabase()),
    );
  });
});
