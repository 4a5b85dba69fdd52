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
