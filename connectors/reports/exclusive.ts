import pg from 'pg';

/** Runs one piece of work at a time for each name, over all processes that share the state database. */
export class Exclusive {
  readonly #pool: pg.Pool;

  constructor(databaseUrl: string) {
    this.#pool = new pg.Pool({ connectionString: databaseUrl, max: 20, application_name: 'dailies reports' });
    // A connection that breaks while idle is replaced by the pool; one in use tells whoever uses it.
    this.#pool.on('error', () => {});
  }

  /** The lock is a session's: it falls with the process that holds it. Aborting stops the wait, not the work. */
  async run<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const client = await this.#pool.connect();
    let isWaiting = true;
    let isBroken = false;
    const broken = () => {
      isBroken = true;
    };
    const stop = () => {
      if (isWaiting) void client.end().catch(broken);
    };
    client.on('error', broken);
    signal.addEventListener('abort', stop, { once: true });
    try {
      await client.query('SELECT pg_advisory_lock(hashtextextended($1, 20261125))', [name]);
      isWaiting = false;
      return await work();
    } catch (thrown) {
      signal.throwIfAborted();
      throw thrown;
    } finally {
      signal.removeEventListener('abort', stop);
      client.off('error', broken);
      await giveBack(client, name, isBroken || isWaiting);
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

/** Where the lock cannot be given back by word, ending the session does. */
async function giveBack(client: pg.PoolClient, name: string, isBroken: boolean): Promise<void> {
  if (isBroken) {
    client.release(true);
    return;
  }
  try {
    await client.query('SELECT pg_advisory_unlock(hashtextextended($1, 20261125))', [name]);
    client.release();
  } catch (thrown) {
    client.release(thrown instanceof Error ? thrown : true);
  }
}
