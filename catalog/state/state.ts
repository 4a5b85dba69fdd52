import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '#prisma/generated/client.ts';

/** Everything of ours that is not data: the state database through its generated client. */
export type State = PrismaClient;

/** A machine that is busy is no reason to fail: Prisma's own 2 s and 5 s are soon over where many ask at once. */
const transactionOptions = { maxWait: 60_000, timeout: 120_000 };

/**
 * Connects lazily, with a pool of at most `connections`. A transaction waits a minute for one of them, and may take two.
 * Close with `$disconnect()`.
 */
export function openState(url: string, connections = 10): State {
  const adapter = new PrismaPg({ connectionString: url, max: connections });
  return new PrismaClient({ adapter, transactionOptions });
}

export { migrateState } from '#prisma/migrate.ts';
