import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '#prisma/generated/client.ts';

/** Everything of ours that is not data: the state database through its generated client. */
export type State = PrismaClient;

/** Connects lazily, with a pool of at most `connections`. Close with `$disconnect()`. */
export function openState(url: string, connections = 10): State {
  return new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: connections }) });
}

export { migrateState } from '#prisma/migrate.ts';
