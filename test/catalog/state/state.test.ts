import { expect, test } from 'vitest';
import { migrateState } from '#catalog/state/state.ts';
import { createState } from '#test/fixtures/postgres.ts';

test('a migrated database is left as it is by a second migration', async () => {
  await using own = await createState();
  await own.state.setting.create({ data: { key: 'greeting', value: 'hello' } });
  expect(await migrateState(own.url)).toEqual([]);
  expect(await own.state.setting.findUnique({ where: { key: 'greeting' } })).toMatchObject({ value: 'hello' });
});

test('two callers may migrate an empty database at once', async () => {
  await using own = await createState();
  await own.state.$executeRaw`DROP SCHEMA public CASCADE`;
  await own.state.$executeRaw`CREATE SCHEMA public`;
  const applied = await Promise.all([migrateState(own.url), migrateState(own.url)]);
  expect(applied.map((names) => names.length > 0)).toEqual([true, false]);
  expect(await own.state.setting.count()).toBe(0);
});

test('transactions that are slow, and those that wait for their connections, come to their ends', async () => {
  await using own = await createState();
  const add = (key: string, seconds: number) =>
    own.state.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT pg_sleep(${seconds})`;
      await tx.setting.create({ data: { key, value: true } });
    });
  const keys = Array.from({ length: 8 }, (_, index) => `key ${index}`);
  // More than there are connections, each longer than Prisma would wait.
  await Promise.all(keys.map((key) => add(key, 5.5)));
  expect(await own.state.setting.count()).toBe(keys.length);
});
