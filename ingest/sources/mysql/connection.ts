import type { Duplex } from 'node:stream';
import mysql from 'mysql2/promise';
import { DailiesError } from '#catalog/error.ts';
import type { ServerAddress } from './binlog/binlog-stream.ts';
import { connectError, statementError } from './connection-error.ts';

export type Connection = mysql.Connection;

/** One row of an answer, each value the server's text. */
export type TextRow = Record<string, string | null>;

const connectWithinMs = 15_000;

/**
 * All connections print values alike, whatever the server or the user's account have set, and wait for a slow reader. The
 * character set is the driver's part: utf8mb4.
 */
const pinned = [
  "SET SESSION time_zone = '+00:00', sql_mode = '', sql_select_limit = DEFAULT, sql_big_selects = 1",
  'SET SESSION net_write_timeout = 86400, net_read_timeout = 86400, wait_timeout = 86400, lock_wait_timeout = 600',
  'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
];

/** Connects, or throws `source_unreachable` or `source_refused` with a sentence that never holds the password. */
export async function connect(address: ServerAddress, signal: AbortSignal): Promise<Connection> {
  signal.throwIfAborted();
  let connection: Connection | null = null;
  try {
    connection = await connectAsAsked(address);
    // A broken connection also fails the statement in hand, which is where it is handled; without a listener it would end the process.
    connection.on('error', () => {});
    signal.throwIfAborted();
    for (const sql of pinned) await connection.query(sql);
    await connection.query(ofFamily(await versionOf(connection)));
    return connection;
  } catch (thrown) {
    if (connection !== null) cut(connection);
    signal.throwIfAborted();
    throw connectError(thrown, address);
  }
}

/**
 * Ends a connection at once; a statement under way fails. The driver's own `destroy` would leave whoever waits for it
 * without an answer.
 */
export function cut(connection: Connection): void {
  const { connection: driver } = connection as unknown as { connection: { stream: Duplex } };
  driver.stream.destroy(new Error('The connection was ended.'));
}

async function connectAsAsked(address: ServerAddress): Promise<Connection> {
  if (address.tls === null) return open(address, null);
  try {
    return await open(address, address.tls);
  } catch (thrown) {
    const isPlainServer = thrown instanceof Error && 'code' in thrown && thrown.code === 'HANDSHAKE_NO_SSL_SUPPORT';
    if (!isPlainServer || address.tls.isRequired) throw thrown;
    return open(address, null);
  }
}

function open(address: ServerAddress, tls: ServerAddress['tls']): Promise<Connection> {
  const { ca, cert, key, rejectUnauthorized, checkServerIdentity } = tls?.options ?? {};
  return mysql.createConnection({
    ...(address.socketPath === undefined
      ? { host: address.host, port: address.port }
      : { socketPath: address.socketPath }),
    user: address.user,
    password: address.password,
    charset: 'utf8mb4_bin',
    connectTimeout: connectWithinMs,
    enableKeepAlive: true,
    multipleStatements: false,
    connectAttributes: { program_name: 'dailies' },
    // Never through the driver's own parsers: bytes as the server printed them.
    typeCast: (field) => field.buffer(),
    ...(tls === null
      ? {}
      : {
          ssl: {
            ...(ca === undefined ? {} : { ca: ca as Buffer }),
            ...(cert === undefined ? {} : { cert: cert as Buffer }),
            ...(key === undefined ? {} : { key: key as Buffer }),
            rejectUnauthorized: rejectUnauthorized ?? false,
            verifyIdentity: checkServerIdentity === undefined,
          },
        }),
  });
}

/** Statements of ours may take long; the two families limit them by variables of different names. Rows are read as they are now. */
function ofFamily(version: ServerVersion): string {
  return version.flavor === 'mariadb'
    ? 'SET SESSION max_statement_time = 0, system_versioning_asof = DEFAULT'
    : 'SET SESSION max_execution_time = 0';
}

/** Runs one statement and gives its rows. `values` fill its `?`, quoted by the driver. */
export async function rowsOf(connection: Connection, sql: string, values: unknown[] = []): Promise<TextRow[]> {
  try {
    const [rows] = await connection.query(sql, values);
    if (!Array.isArray(rows)) return [];
    return (rows as Record<string, Buffer | null>[]).map((row) =>
      // MySQL 8 prints the names of information_schema's columns in upper case.
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name.toLowerCase(), value?.toString('utf8') ?? null]),
      ),
    );
  } catch (thrown) {
    throw statementError(thrown);
  }
}

export interface ServerVersion {
  flavor: 'mysql' | 'mariadb';
  /** `10.11.6` */
  text: string;
  /** 101106 for 10.11.6. */
  number: number;
}

export async function versionOf(connection: Connection): Promise<ServerVersion> {
  const [row] = await rowsOf(connection, 'SELECT VERSION() AS version, @@version_comment AS comment');
  const text = row?.version ?? '';
  const [, major, minor, patch] = /^(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)/.exec(text) ?? [];
  if (major === undefined || minor === undefined || patch === undefined) {
    throw new DailiesError(
      'source_refused',
      `The server calls its version "${text}", which is none of MySQL or MariaDB.`,
    );
  }
  const isMariadb = /mariadb/i.test(`${text} ${row?.comment}`);
  return {
    flavor: isMariadb ? 'mariadb' : 'mysql',
    text: `${major}.${minor}.${patch}`,
    number: Number(major) * 10_000 + Number(minor) * 100 + Number(patch),
  };
}
