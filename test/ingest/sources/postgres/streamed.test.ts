import pg from 'pg';
import { test } from 'vitest';
import { createDatabase, type TestDatabase } from '#test/fixtures/postgres.ts';
import { type CaseDatabase, streamedCase, streamedCutCase, streamedShapesCase, truncateCase } from './stream-cases.ts';

async function on(run: (database: CaseDatabase) => Promise<void>): Promise<void> {
  await using database: TestDatabase = await createDatabase();
  const clients: pg.Client[] = [];
  const connect = async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    clients.push(client);
    return client;
  };
  try {
    await run({ url: database.url, query: database.query, connect });
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

test('transactions under way wait for their commit, without what was rolled back within them', () => on(streamedCase));

test('a shape that only a rolled back subtransaction had does not outlive it', () => on(streamedShapesCase));

test('a connection that is cut while a transaction is under way or being told leaves no gap and no overlap', () =>
  on(streamedCutCase));

test('truncation of several tables, of those that refer to them, within a transaction', () => on(truncateCase));
