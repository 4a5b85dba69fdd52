import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';

const folder = import.meta.dirname;
let loading: Promise<void> | undefined;
let last: Promise<unknown> = Promise.resolve();

/** Nothing in these databases is managed by others. */
export const filters = { externalTables: [], externalEnums: [] };

/**
 * Lends Prisma's schema engine as WebAssembly, connected to one database: the same engine as the command line's binary,
 * without a download. One borrower at a time in a process, for the module cannot be entered twice.
 */
export function withSchemaEngine<T>(url: string, use: (engine: engine.SchemaEngine) => Promise<T>): Promise<T> {
  const turn = last.then(() => borrow(url, use));
  last = turn.catch(() => undefined);
  return turn;
}

async function borrow<T>(url: string, use: (engine: engine.SchemaEngine) => Promise<T>): Promise<T> {
  loading ??= load();
  await loading;
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  try {
    const adapter = bindMigrationAwareSqlAdapterFactory(new PrismaPg(pool));
    return await use(await engine.SchemaEngine.new({ datamodels: await datamodels() }, () => undefined, adapter));
  } finally {
    await pool.end();
  }
}

/** The package expects a bundler to load the module; here it is loaded by hand. */
async function load(): Promise<void> {
  const glue = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
  const module = await WebAssembly.compile(await fs.readFile(glue.replace(/\.js$/, '.wasm')));
  const imports = { './schema_engine_bg.js': engine } as unknown as WebAssembly.Imports;
  const instance = await WebAssembly.instantiate(module, imports);
  const exports = instance.exports as WebAssembly.Exports & { __wbindgen_start(): void };
  (engine as unknown as { __wbg_set_wasm(exports: WebAssembly.Exports): void }).__wbg_set_wasm(exports);
  exports.__wbindgen_start();
}

/** The Prisma schema as [path, content] pairs. */
export async function datamodels(): Promise<[string, string][]> {
  const file = path.join(folder, 'schema.prisma');
  return [[file, await fs.readFile(file, 'utf8')]];
}

/** The migrations beside this file, oldest first, in the engine's form. */
export async function readMigrations(): Promise<engine.MigrationList> {
  const baseDir = path.join(folder, 'migrations');
  const entries = await fs.readdir(baseDir, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const migrationDirectories = await Promise.all(
    names.sort().map(async (name) => ({
      path: name,
      migrationFile: {
        path: 'migration.sql',
        content: { tag: 'ok' as const, value: await fs.readFile(path.join(baseDir, name, 'migration.sql'), 'utf8') },
      },
    })),
  );
  const lockfile = {
    path: 'migration_lock.toml',
    content: await fs.readFile(path.join(baseDir, 'migration_lock.toml'), 'utf8'),
  };
  return { baseDir, lockfile, shadowDbInitScript: '', migrationDirectories };
}
