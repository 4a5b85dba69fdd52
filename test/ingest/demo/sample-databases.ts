import { dealsRows, dealsTables } from '#ingest/demo/deals-database.ts';
import { fillDatabase } from '#ingest/demo/fill-database.ts';
import { readFilms } from '#ingest/demo/films.ts';
import { productionRows, productionTables } from '#ingest/demo/production-database.ts';
import { Random } from '#ingest/demo/random.ts';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';

export interface SampleDatabases extends AsyncDisposable {
  production: TestDatabase;
  deals: TestDatabase;
  urls: { production: string; deals: string };
}

/** The sample studio's two databases with its first `films` films, on the tests' Postgres. */
export async function createSampleDatabases(films: number): Promise<SampleDatabases> {
  const today = new Date().toISOString().slice(0, 10);
  const some = (await readFilms()).slice(0, films);
  const [production, deals] = await Promise.all([createDatabase(), createDatabase()]);
  await fillDatabase(production.url, productionTables, () => productionRows(some, new Random(1), today));
  await fillDatabase(deals.url, dealsTables, () => dealsRows(some.length, new Random(2), today));
  return {
    production,
    deals,
    urls: { production: production.url, deals: deals.url },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([production.drop(), deals.drop()]);
    },
  };
}
