import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createDatabase } from '#test/fixtures/postgres.ts';

const folder = join(import.meta.dirname, '../../prisma/migrations');

async function sqlOf(name: string): Promise<string> {
  const found = (await readdir(folder)).find((entry) => entry.endsWith(name));
  return await readFile(join(folder, `${found}`, 'migration.sql'), 'utf8');
}

test('namespaces of an earlier version get their levels, and those above them become namespaces', async () => {
  await using database = await createDatabase();
  await database.query(await sqlOf('_initial'));
  await database.query(`INSERT INTO "IcebergNamespace" ("name") VALUES ('production'), ('a.b.c'), ('a.b')`);
  await database.query(
    `INSERT INTO "IcebergTable" VALUES ('a.b.c', 't', 'some-uuid', 'file:///warehouse/t/metadata/0.metadata.json', now())`,
  );
  await database.query(await sqlOf('_iceberg_catalog'));
  const { rows } = await database.query(`SELECT "name", "levels" FROM "IcebergNamespace" ORDER BY "name"`);
  expect(rows).toEqual([
    { name: 'a', levels: ['a'] },
    { name: 'a.b', levels: ['a', 'b'] },
    { name: 'a.b.c', levels: ['a', 'b', 'c'] },
    { name: 'production', levels: ['production'] },
  ]);
  expect((await database.query('SELECT "namespaceName", "name" FROM "IcebergTable"')).rows).toEqual([
    { namespaceName: 'a.b.c', name: 't' },
  ]);
});
