// Writes the next migration: what separates schema.prisma from the copy that the last migration left of it.
// Usage: node prisma/new-migration.ts NAME   (starts a throwaway Postgres of its own)
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { datamodels, filters, readMigrations, withSchemaEngine } from './schema-engine.ts';

const name = process.argv[2];
if (name === undefined || !/^[a-z0-9_]+$/.test(name)) {
  console.error('usage: node prisma/new-migration.ts NAME (lower case, digits, underscores)');
  process.exit(2);
}
const migrations = path.join(import.meta.dirname, 'migrations');
const last = (await readMigrations()).migrationDirectories.at(-1)?.path;
const before = last === undefined ? undefined : path.join(migrations, last, 'schema.prisma');
const files = (await datamodels()).map(([file, content]) => ({ path: file, content }));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-migration-'));
fs.chmodSync(dir, 0o755);
const postgres = await startEmbeddedPostgres({ dir: path.join(dir, 'postgres'), isThrowaway: true });
try {
  const { stdout } = await withSchemaEngine(postgres.url('postgres'), (engine) =>
    engine.diff({
      from: before
        ? { tag: 'schemaDatamodel', files: [{ path: before, content: fs.readFileSync(before, 'utf8') }] }
        : { tag: 'empty' },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: null,
      filters,
    }),
  );
  if (!stdout || stdout.includes('empty migration')) {
    console.log('schema.prisma and the migrations agree: nothing to write.');
  } else {
    const folder = path.join(migrations, `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}_${name}`);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'migration.sql'), stdout);
    for (const file of files) fs.copyFileSync(file.path, path.join(folder, path.basename(file.path)));
    console.log(`wrote ${path.relative(process.cwd(), folder)}/migration.sql`);
  }
} finally {
  await postgres.close();
  fs.rmSync(dir, { recursive: true });
}
