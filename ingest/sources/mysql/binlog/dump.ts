import { DailiesError } from '#catalog/error.ts';
import type { Flavor } from './binlog-item.ts';
import { type GtidSet, parseGtidSet } from './gtid.ts';
import { MysqlGtidSet } from './mysql-gtid-set.ts';
import type { PacketSocket } from './packet-socket.ts';
import { connectServer, query, type ServerAddress, type ServerConnection } from './server-connection.ts';
import { fatalBinlogError, isError, serverError, sessionError } from './server-error.ts';

export interface DumpOptions {
  flavor: Flavor;
  server: ServerAddress;
  serverId: number;
  from: string;
  heartbeatMs: number;
}

export interface Dump {
  /** What comes are events, each behind a zero byte, or an error. */
  socket: PacketSocket;
  charsets: ReadonlyMap<number, string>;
  /** What an error in place of an event means. Asks the server, by a connection of its own. */
  explain(payload: Buffer): Promise<DailiesError>;
}

/** As long as a server lets a write to us wait: a year. The reader may be slower than net_write_timeout. */
const writeTimeoutSeconds = 31_536_000;
const throughGtid = 4;

/** Connects, says what kind of replica we are, and has the log sent from `from` on. */
export async function beginDump(options: DumpOptions, signal: AbortSignal): Promise<Dump> {
  const connection = await connectServer(options.server, signal);
  const { socket } = connection;
  const abort = () => socket.close();
  signal.addEventListener('abort', abort, { once: true });
  try {
    if (connection.flavor !== options.flavor) throw otherFlavor(connection, options.flavor);
    const charsets = await readCharsets(connection);
    await introduce(connection, options);
    register(socket, options.serverId);
    const answer = await socket.next(60_000);
    if (isError(answer)) throw serverError(answer);
    socket.send(options.flavor === 'mysql' ? mysqlDump(options) : mariadbDump(options), 'command');
    return { socket, charsets, explain: (payload) => explain(payload, options) };
  } catch (error) {
    socket.close();
    signal.throwIfAborted();
    throw sessionError(error, options.server.user);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Every collation's id with its character set; MariaDB's newer ones have an id for each character set they go with. */
async function readCharsets(connection: ServerConnection): Promise<ReadonlyMap<number, string>> {
  const rows = await query(
    connection,
    'SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL',
  );
  if (connection.flavor === 'mariadb') {
    const columns = await query(
      connection,
      "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = 'COLLATION_CHARACTER_SET_APPLICABILITY' AND COLUMN_NAME = 'ID'",
    );
    if (columns.length > 0) {
      rows.push(
        ...(await query(
          connection,
          'SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY',
        )),
      );
    }
  }
  return new Map(rows.map(([id, charset]) => [Number(id), charset ?? '']));
}

/**
 * The session variables by which a replica tells what it understands. Heartbeats in nanoseconds. Each family has two names
 * of some; the other's are of no effect.
 */
async function introduce(connection: ServerConnection, options: DumpOptions): Promise<void> {
  const heartbeat = BigInt(options.heartbeatMs) * 1_000_000n;
  const variables = [
    '@master_binlog_checksum = @@global.binlog_checksum',
    `@master_heartbeat_period = ${heartbeat}`,
    `@@session.net_write_timeout = ${writeTimeoutSeconds}`,
  ];
  if (options.flavor === 'mysql') {
    variables.push('@source_binlog_checksum = @@global.binlog_checksum', `@source_heartbeat_period = ${heartbeat}`);
  } else {
    // 4: knows MariaDB's GTIDs. Strict: a position that the log does not hold is an error, not the next one there is.
    variables.push(
      '@mariadb_slave_capability = 4',
      `@slave_connect_state = '${parseGtidSet('mariadb', options.from)}'`,
      '@slave_gtid_strict_mode = 1',
      '@slave_gtid_ignore_duplicates = 0',
    );
  }
  await query(connection, `SET ${variables.join(', ')}`);
}

/** COM_REGISTER_SLAVE: Int8 0x15 · Int32 server id · host, user, password, each Int8 length · Int16 port · Int32 · Int32. */
function register(socket: PacketSocket, serverId: number): void {
  const host = Buffer.from('dailies');
  const payload = Buffer.alloc(1 + 4 + 1 + host.length + 1 + 1 + 2 + 4 + 4);
  payload[0] = 0x15;
  payload.writeUInt32LE(serverId, 1);
  payload[5] = host.length;
  host.copy(payload, 6);
  socket.send(payload, 'command');
}

/** COM_BINLOG_DUMP: Int8 0x12 · Int32 position · Int16 flags · Int32 server id · log; where from is in @slave_connect_state. */
function mariadbDump({ serverId }: DumpOptions): Buffer {
  const payload = Buffer.alloc(11);
  payload[0] = 0x12;
  payload.writeUInt32LE(4, 1);
  payload.writeUInt32LE(serverId, 7);
  return payload;
}

/** COM_BINLOG_DUMP_GTID: Int8 0x1e · Int16 flags · Int32 server id · Int32 length of log · log · Int64 position · Int32 length · GTID set. */
function mysqlDump({ serverId, from }: DumpOptions): Buffer {
  const set = MysqlGtidSet.parse(from).encode();
  const head = Buffer.alloc(23);
  head[0] = 0x1e;
  head.writeUInt16LE(throughGtid, 1);
  head.writeUInt32LE(serverId, 3);
  head.writeBigUInt64LE(4n, 11);
  head.writeUInt32LE(set.length, 19);
  return Buffer.concat([head, set]);
}

/**
 * Error 1236 stands for everything that can be wrong with a dump: whether it is that what follows `from` is gone is found
 * out from the server's own account of its history, not from the error's text.
 */
async function explain(payload: Buffer, options: DumpOptions): Promise<DailiesError> {
  const error = serverError(payload);
  if (error.number !== fatalBinlogError) return sessionError(error, options.server.user);
  const signal = AbortSignal.timeout(60_000);
  let connection: ServerConnection | null = null;
  try {
    connection = await connectServer(options.server, signal);
    const from = parseGtidSet(options.flavor, options.from);
    if (!(await isHeld(connection, from))) {
      return new DailiesError(
        'source_slot_lost',
        `The server's binary logs no longer hold what follows our position: ${error.message}. The tables must be read anew; keep logs longer by binlog_expire_logs_seconds.`,
        { cause: error, details: { number: error.number, from: options.from } },
      );
    }
    return sessionError(error, options.server.user);
  } catch {
    // Not answered now: the next attempt meets the same error and asks again.
    return new DailiesError('source_unreachable', `The source ended its binary log: ${error.message}.`, {
      cause: error,
    });
  } finally {
    connection?.socket.close();
  }
}

/** Whether all that is not in `from` is still in the server's logs, and `from` is of this server's history. */
async function isHeld(connection: ServerConnection, from: GtidSet): Promise<boolean> {
  if (connection.flavor === 'mysql') {
    const [[purged, executed] = []] = await query(connection, 'SELECT @@global.gtid_purged, @@global.gtid_executed');
    return from.contains(parseGtidSet('mysql', purged ?? '')) && parseGtidSet('mysql', executed ?? '').contains(from);
  }
  const [[log] = []] = await query(connection, 'SHOW BINARY LOGS');
  const [[oldest] = []] = await query(connection, `SELECT BINLOG_GTID_POS('${(log ?? '').replaceAll("'", "''")}', 4)`);
  const [[state] = []] = await query(connection, 'SELECT @@global.gtid_binlog_state');
  return from.contains(parseGtidSet('mariadb', oldest ?? '')) && isInState(from.toString(), state ?? '');
}

/** @@gtid_binlog_state has the last number of every server in every domain: a position with another server's is of another history. */
function isInState(position: string, state: string): boolean {
  const last = new Map<string, bigint>();
  for (const gtid of state.split(',')) {
    const [domain, server, sequence] = gtid.trim().split('-');
    last.set(`${domain}-${server}`, BigInt(sequence ?? 0));
  }
  return position.split(',').every((gtid) => {
    const [domain, server, sequence] = gtid.split('-');
    return gtid === '' || (last.get(`${domain}-${server}`) ?? -1n) >= BigInt(sequence ?? 0);
  });
}

function otherFlavor(connection: ServerConnection, wanted: Flavor): DailiesError {
  const names = { mysql: 'MySQL', mariadb: 'MariaDB' };
  return new DailiesError(
    'source_refused',
    `The source is a ${names[connection.flavor]} server (${connection.version}), not a ${names[wanted]} server.`,
    { details: { version: connection.version } },
  );
}
