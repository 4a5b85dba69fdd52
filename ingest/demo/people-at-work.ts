import pg from 'pg';
import { wait } from '#catalog/wait.ts';
import { type Job, jobs } from './jobs.ts';
import type { Random } from './random.ts';

export interface PeopleAtWorkOptions {
  /** Addresses of the databases. */
  databases: { production: string; deals: string };
  /** Row changes a second, over both databases; 0: nobody works. */
  rate: number;
  random: Random;
  log: (line: string) => void;
}

export interface PeopleAtWork {
  /** Rows changed so far. */
  changes(): number;
  /** Ends when the jobs in hand are done. May be repeated. */
  close(): Promise<void>;
}

const retryMs = 1_000;
const changesPerPerson = 50;
const mostPeople = 8;

/** SQLSTATE deadlock_detected: two people wanted each other's rows, and Postgres has let one of them through. */
const deadlock = '40P01';

/**
 * Does the studio's daily jobs, each in a transaction of its own, at an even pace. A job that fails is logged and others go
 * on; where two stood in each other's way, one has changed nothing, and its person takes the next job.
 */
export function startPeopleAtWork(options: PeopleAtWorkOptions): PeopleAtWork {
  const { databases, rate, random, log } = options;
  const people = rate === 0 ? 0 : Math.min(mostPeople, Math.ceil(rate / changesPerPerson));
  const pools = {
    production: new pg.Pool({ connectionString: databases.production, max: people || 1 }),
    deals: new pg.Pool({ connectionString: databases.deals, max: people || 1 }),
  };
  // An idle connection that breaks is replaced at its next use.
  for (const pool of Object.values(pools)) pool.on('error', (error) => log(`people at work: ${error.message}`));
  const stopping = new AbortController();
  let changes = 0;

  const work = async () => {
    let nextMs = performance.now();
    while (!stopping.signal.aborted) {
      const job = random.weighted(jobs.map((item) => [item, item.weight] as const));
      let pauseMs = 0;
      try {
        const count = await perform(job, pools[job.database], random);
        changes += count;
        nextMs += (1_000 * people * Math.max(1, count)) / rate;
      } catch (error) {
        if (error instanceof pg.DatabaseError && error.code === deadlock) continue;
        log(`people at work could not ${job.name}: ${error instanceof Error ? error.message : String(error)}`);
        pauseMs = retryMs;
      }
      const nowMs = performance.now();
      nextMs = Math.max(nextMs, nowMs - 1_000);
      await wait(Math.max(nextMs - nowMs, pauseMs), stopping.signal);
    }
  };
  const working = Array.from({ length: people }, work);
  let closed: Promise<void> | undefined;
  const close = async () => {
    stopping.abort();
    await Promise.all(working);
    await Promise.all([pools.production.end(), pools.deals.end()]);
  };
  return {
    changes: () => changes,
    close: async () => {
      closed ??= close();
      await closed;
    },
  };
}

async function perform(job: Job, pool: pg.Pool, random: Random): Promise<number> {
  const client = await pool.connect();
  let failure: Error | undefined;
  try {
    await client.query('BEGIN');
    const count = await job.run(client, random);
    await client.query('COMMIT');
    return count;
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    throw failure;
  } finally {
    // A connection whose transaction failed is closed, which rolls it back.
    client.release(failure);
  }
}
