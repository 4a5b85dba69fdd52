import type pg from 'pg';
import { expect, test } from 'vitest';
import { parseAddress } from '#ingest/sources/mysql/address.ts';
import * as mysql from '#ingest/sources/mysql/connection.ts';
import { statementError } from '#ingest/sources/mysql/connection-error.ts';
import * as postgres from '#ingest/sources/postgres/connection.ts';
import { Questions } from '#ingest/sources/questions.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { startMariadb } from '#test/fixtures/mariadb.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';

const never = new AbortController().signal;

interface Asked extends AsyncDisposable {
  /** The server's number of the connection that is asked. */
  session(signal: AbortSignal): Promise<string>;
  /** Takes ten seconds. */
  slow(signal: AbortSignal, withinMs?: number): Promise<unknown>;
  kill(session: string): Promise<unknown>;
  /** How many connections of ours the server has. */
  sessions(): Promise<number>;
  close(): Promise<void>;
}

async function askedPostgres(): Promise<Asked> {
  const resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const driver = {
    connect: (signal: AbortSignal) => postgres.connect(database.url, 'query', signal),
    cut: (client: pg.Client) => void postgres.wire(client).stream.destroy(),
    end: (client: pg.Client) => client.end(),
    errorOf: postgres.databaseError,
  };
  const questions = resources.adopt(new Questions(driver, 60_000), (all) => all.close());
  const value = async (client: pg.Client, sql: string) => {
    const [row] = await postgres.rowsOf(client, sql);
    return String(Object.values(row ?? {})[0]);
  };
  return {
    session: (signal) => questions.ask(signal, (client) => value(client, 'SELECT pg_backend_pid()')),
    slow: (signal, withinMs) => questions.ask(signal, (client) => value(client, 'SELECT pg_sleep(10)'), withinMs),
    kill: (session) => database.query(`SELECT pg_terminate_backend(${session})`),
    sessions: async () => {
      const sql = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dailies'`;
      return (await database.query(sql)).rows.length;
    },
    close: () => questions.close(),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function askedMariadb(): Promise<Asked> {
  const resources = new AsyncDisposableStack();
  const server = resources.use(await startMariadb('11.4'));
  const driver = {
    connect: (signal: AbortSignal) => mysql.connect(parseAddress(server.url()), signal),
    cut: mysql.cut,
    end: async (connection: mysql.Connection) => mysql.cut(connection),
    errorOf: statementError,
  };
  const questions = resources.adopt(new Questions(driver, 60_000), (all) => all.close());
  const value = async (connection: mysql.Connection, sql: string) => {
    const [row] = await mysql.rowsOf(connection, sql);
    return String(Object.values(row ?? {})[0]);
  };
  return {
    session: (signal) => questions.ask(signal, (connection) => value(connection, 'SELECT CONNECTION_ID()')),
    slow: (signal, withinMs) => questions.ask(signal, (connection) => value(connection, 'SELECT SLEEP(10)'), withinMs),
    kill: (session) => server.query(`KILL ${session}`),
    sessions: async () => {
      // The test's own connections come by the socket.
      const sql = `SELECT id FROM information_schema.processlist WHERE user = 'root' AND host LIKE '127%'`;
      return (await server.query(sql)).length;
    },
    close: () => questions.close(),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

const cases = (open: () => Promise<Asked>) => {
  test('all is asked over one connection, which is made anew after it broke', async () => {
    await using asked = await open();
    const [first, second] = await Promise.all([asked.session(never), asked.session(never)]);
    expect(second).toBe(first);
    const slow = asked.slow(never);
    const [failed] = await Promise.allSettled([slow, asked.kill(first)]);
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: 'source_unreachable' } });
    const anew = await asked.session(never);
    expect(anew).not.toBe(first);
    expect(await asked.session(never)).toBe(anew);
  }, 120_000);

  test('a question that takes too long is cut off, and the next is asked over another connection', async () => {
    await using asked = await open();
    const first = await asked.session(never);
    await expect(asked.slow(never, 50)).rejects.toMatchObject({ code: 'source_unreachable' });
    expect(await asked.session(never)).not.toBe(first);
  }, 120_000);

  test('whoever is aborted waits for nothing, and closing leaves no connection', async () => {
    await using asked = await open();
    await asked.session(never);
    const stop = new AbortController();
    const slow = asked.slow(stop.signal);
    stop.abort(new Error('no more of this'));
    await expect(slow).rejects.toThrow('no more of this');
    // The question itself may still be under way at the server: closing cuts it off.
    await asked.close();
    await expect(asked.session(never)).rejects.toThrow();
    await expect.poll(() => asked.sessions(), { timeout: 90_000 }).toBe(0);
  }, 120_000);
};

describeWith('mariadb', 'questions to MariaDB', () => cases(askedMariadb));
cases(askedPostgres);
