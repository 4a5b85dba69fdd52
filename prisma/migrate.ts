import { filters, readMigrations, withSchemaEngine } from './schema-engine.ts';

/**
 * Brings a state database to the current schema by applying the migrations that it lacks, each recorded in
 * `_prisma_migrations`; returns their names. May be repeated.
 */
export async function migrateState(url: string): Promise<string[]> {
  const migrationsList = await readMigrations();
  const done = await withSchemaEngine(url, (engine) => engine.applyMigrations({ migrationsList, filters }));
  return done.appliedMigrationNames;
}
