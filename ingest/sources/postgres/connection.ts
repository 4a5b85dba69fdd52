import type { Socket } from 'node:net';
import pg from 'pg';
import { DailiesError, type ErrorCode } from '#catalog/error.ts';
import { unlessAborted } from '#catalog/wait.ts';

/**
 * Both kinds of connection print values alike, whatever the server, database or role have set; row_security=off makes a
 * policy an error where it would hide rows; what we write there is flushed, but waits for no standby, which might be away.
 */
const pinned = [
  'datestyle=ISO',
  'timezone=UTC',
  'intervalstyle=postgres',
  'extra_float_digits=3',
  'bytea_output=hex',
  'row_security=off',
  'synchronous_commit=local',
  'statement_timeout=0',
  'lock_timeout=0',
  'idle_in_transaction_session_timeout=0',
];

/** Values come as the server's text, never through pg's parsers. */
const asText = { getTypeParser: () => (value: unknown) => value };

/** Connects, or throws `source_unreachable`, `source_refused` or `source_not_ready` with a sentence that never holds the password. */
export async function connect(url: string, use: 'query' | 'replication', signal: AbortSignal): Promise<pg.Client> {
  signal.throwIfAborted();
  const client = newClient(url, use);
  // A broken connection also fails the query in hand, which is where it is handled; without a listener it would end the process.
  client.on('error', () => {});
  try {
    // pg never tells of a connection that is ended before it was there.
    await unlessAborted(client.connect(), signal);
    return client;
  } catch (error) {
    wire(client).stream.destroy();
    signal.throwIfAborted();
    throw connectError(error, url);
  }
}

function newClient(url: string, use: 'query' | 'replication'): pg.Client {
  const own = parseUrl(url).searchParams.get('options');
  const options = [own, ...pinned.map((setting) => `-c ${setting}`)].filter(Boolean).join(' ');
  const stripped = parseUrl(url);
  stripped.searchParams.delete('options');
  // sslmode as every Postgres client understands it; pg by itself takes each mode for verify-full.
  if (stripped.searchParams.has('sslmode')) stripped.searchParams.set('uselibpqcompat', 'true');
  const config = {
    connectionString: stripped.toString(),
    options,
    application_name: 'dailies',
    types: asText,
    keepAlive: true,
    connectionTimeoutMillis: 15_000,
    // Known to pg, not to its type definitions.
    ...(use === 'replication' ? { replication: 'database' } : {}),
  };
  try {
    return new pg.Client(config);
  } catch (error) {
    // Certificates that are not there, modes that do not go together.
    throw new DailiesError('source_refused', `The source's url cannot be used: ${errorText(error)}`, { cause: error });
  }
}

function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function parseUrl(url: string): URL {
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new DailiesError(
      'source_refused',
      'The address of this database is not a Postgres URL; write it as postgresql://user:password@host:5432/database, with special characters in the password percent-encoded.',
    );
  }
  return new URL(url);
}

/** pg's own protocol object of a client: its socket, for back-pressure, and raw CopyData out. Not in its type definitions. */
export function wire(client: pg.Client): { stream: Socket; sendCopyFromChunk(chunk: Buffer): void } {
  return (client as unknown as { connection: { stream: Socket; sendCopyFromChunk(chunk: Buffer): void } }).connection;
}

/** Runs one statement and gives its rows, each value the server's text. */
export async function rowsOf(
  client: pg.Client,
  sql: string,
  values: unknown[] = [],
): Promise<Record<string, string | null>[]> {
  try {
    // Without values the simple protocol is used, the only one a replication connection speaks.
    const result = values.length > 0 ? await client.query(sql, values) : await client.query(sql);
    return result.rows;
  } catch (error) {
    throw databaseError(error);
  }
}

export function sqlState(thrown: unknown): string | null {
  if (!(thrown instanceof Error) || !('code' in thrown) || typeof thrown.code !== 'string') return null;
  return thrown.code;
}

function connectError(thrown: unknown, url: string): DailiesError {
  const { hostname, port, pathname, username } = parseUrl(url);
  const server = `${hostname || 'localhost'}:${port || '5432'}`;
  const database = decodeURIComponent(pathname.slice(1)) || decodeURIComponent(username);
  const user = decodeURIComponent(username);
  const message = errorText(thrown);
  const fail = (code: ErrorCode, sentence: string) =>
    new DailiesError(code, sentence, { cause: thrown, details: { server, database, user } });
  const state = sqlState(thrown);
  switch (state) {
    case '28P01':
      return fail(
        'source_refused',
        `${server} refused the password of user "${user}"; check user and password in the source's url.`,
      );
    case '28000':
      return fail('source_refused', `${server} does not let user "${user}" in: ${message}.`);
    case '3D000':
      return fail(
        'source_refused',
        `${server} has no database "${database}"; check the last part of the source's url.`,
      );
    case '42501':
      return fail(
        'source_not_ready',
        `User "${user}" may not read the stream of changes; run: ALTER ROLE "${user.replaceAll('"', '""')}" REPLICATION;`,
      );
    case '53300':
      return fail(
        'source_unreachable',
        `${server} has no free connection left; raise max_connections (or max_wal_senders) there, or close others.`,
      );
    case '57P03':
      return fail('source_unreachable', `${server} is starting up or shutting down.`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return fail('source_unreachable', `The host "${hostname}" is not known; check the source's url.`);
    case 'ECONNREFUSED':
      return fail(
        'source_unreachable',
        `Nothing answers at ${server}; check host and port in the source's url, and that Postgres runs there.`,
      );
    default:
      if (state !== null && /^[0-9A-Z]{5}$/.test(state) && !state.startsWith('08')) {
        return fail('source_refused', `${server} refused the connection: ${message}.`);
      }
      if (/SSL|certificate/i.test(state ?? '') || message.startsWith('The server does not support SSL')) {
        return fail('source_refused', `No encrypted connection to ${server}: ${message}.`);
      }
      return fail('source_unreachable', `No connection to ${server}: ${message || state}.`);
  }
}

/** What a statement or a stream failed with, after the connection was made. */
export function databaseError(thrown: unknown): DailiesError {
  if (thrown instanceof DailiesError) return thrown;
  const message = errorText(thrown);
  const state = sqlState(thrown);
  const fail = (code: ErrorCode, sentence: string) =>
    new DailiesError(code, sentence, { cause: thrown, details: { sqlState: state } });
  if (state === null || !/^[0-9A-Z]{5}$/.test(state) || state.startsWith('08') || state.startsWith('57P')) {
    return fail('source_unreachable', `The connection to the source was lost: ${message}.`);
  }
  switch (state) {
    case '42501':
      return fail('source_not_ready', `The source's user lacks a privilege: ${message}.`);
    case '53400':
      return fail(
        'source_not_ready',
        'The server has no free replication slot; drop an unused one (SELECT slot_name, active FROM pg_replication_slots), or run: ALTER SYSTEM SET max_replication_slots = 20; and restart it.',
      );
    case '55006':
      return fail('source_unreachable', `Another connection still uses our replication slot: ${message}.`);
    case '53300':
      return fail(
        'source_unreachable',
        `The server has no free connection left: ${message}; raise max_connections or max_wal_senders.`,
      );
    default:
      return fail('source_protocol', `The source refused a statement: ${message}.`);
  }
}

/** The same for what concerns one table alone, which it names; a lost connection concerns all. */
export function tableError(thrown: unknown, table: string): DailiesError {
  const error = databaseError(thrown);
  if (error.code === 'source_unreachable' || error.details.table !== undefined) return error;
  const details = { ...error.details, table };
  return new DailiesError(error.code, `${table}: ${error.message}`, { cause: thrown, details });
}
