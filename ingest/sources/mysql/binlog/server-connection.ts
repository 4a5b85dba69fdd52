import type { ConnectionOptions } from 'node:tls';
import { DailiesError } from '#catalog/error.ts';
import { answerOf, type Conversation, finishCachingSha2, firstAnswer } from './authentication.ts';
import type { Flavor } from './binlog-item.ts';
import { ByteReader } from './byte-reader.ts';
import { PacketSocket } from './packet-socket.ts';
import { malformed } from './protocol-error.ts';
import { connectError, isError, serverError } from './server-error.ts';

/** Where and as whom to connect. */
export interface ServerAddress {
  host: string;
  port: number;
  user: string;
  password: string;
  /** A Unix socket to use in place of host and port. */
  socketPath?: string;
  /** Null: never encrypted. `isRequired` false: encrypted if the server can (with no proof of who it is, unless `options` ask for it). */
  tls: { isRequired: boolean; options: ConnectionOptions } | null;
}

/** A session that is logged in: text queries, then at most one dump, which takes it over. */
export interface ServerConnection {
  socket: PacketSocket;
  flavor: Flavor;
  /** `8.4.3`, `10.11.6-MariaDB-log`. */
  version: string;
}

// Capability flags (dev.mysql.com/doc/dev/mysql-server, Capabilities Flags).
const clientLongPassword = 1;
const clientLongFlag = 4;
const clientProtocol41 = 0x200;
const clientSsl = 0x800;
const clientTransactions = 0x2000;
const clientSecureConnection = 0x8000;
const clientPluginAuth = 0x80000;
const clientPluginAuthLenenc = 0x200000;

/** utf8mb4_general_ci: every server has it. */
const utf8mb4 = 45;
const connectTimeoutMs = 15_000;
/** A statement's answer, an answer while logging in. */
export const answerTimeoutMs = 60_000;
const highBytes = 4 << 20;

/**
 * Connects and logs in (Connection Phase of the protocol):
 *
 *     server   10 · version · thread · nonce · capabilities · … · plugin
 *     client   [capabilities · max packet · charset, then TLS]
 *              capabilities · max packet · charset · user · answer · plugin
 *     server   0xfe plugin · nonce    answer again, by that plugin
 *              0x01 …                 the plugin has more to say
 *              0x00 OK, 0xff error
 *
 * Throws `source_unreachable`, `source_refused` with a sentence that never holds the password.
 */
export async function connectServer(address: ServerAddress, signal: AbortSignal): Promise<ServerConnection> {
  let socket: PacketSocket | null = null;
  const abort = () => socket?.close();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const to =
      address.socketPath === undefined ? { host: address.host, port: address.port } : { path: address.socketPath };
    socket = await PacketSocket.connect(to, { timeoutMs: connectTimeoutMs, highBytes }, signal);
    return await logIn(socket, address);
  } catch (error) {
    socket?.close();
    signal.throwIfAborted();
    throw connectError(error, address);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function logIn(socket: PacketSocket, address: ServerAddress): Promise<ServerConnection> {
  const greeting = readGreeting(await socket.next(connectTimeoutMs));
  let capabilities =
    clientLongPassword |
    clientLongFlag |
    clientProtocol41 |
    clientTransactions |
    clientSecureConnection |
    clientPluginAuth |
    clientPluginAuthLenenc;
  const isEncrypted = address.tls !== null && (greeting.capabilities & clientSsl) !== 0;
  if (address.tls?.isRequired && !isEncrypted) {
    throw new DailiesError(
      'source_refused',
      'The source does not speak TLS, which its url asks for; switch it on there (ssl_cert, ssl_key), or allow the url to do without.',
    );
  }
  if (isEncrypted) capabilities |= clientSsl;
  const head = Buffer.alloc(32);
  head.writeUInt32LE(capabilities, 0);
  head.writeUInt32LE(1 << 30, 4);
  head[8] = utf8mb4;
  if (isEncrypted && address.tls !== null) {
    socket.send(head, 'answer');
    await socket.encrypt(address.tls.options, connectTimeoutMs);
  }
  // A plugin that we do not speak is answered by one that we do: the server then asks for the user's own.
  const plugin = firstAnswer(greeting.plugin, '', greeting.nonce) === null ? 'mysql_native_password' : greeting.plugin;
  const answer = answerOf(plugin, address.password, greeting.nonce);
  socket.send(
    Buffer.concat([
      head,
      Buffer.from(`${address.user}\0`),
      Buffer.from([answer.length]),
      answer,
      Buffer.from(`${plugin}\0`),
    ]),
    'answer',
  );
  await authenticate(socket, address, plugin, greeting.nonce, isEncrypted || address.socketPath !== undefined);
  const flavor = /mariadb/i.test(greeting.version) ? 'mariadb' : 'mysql';
  return { socket, flavor, version: greeting.version.replace(/^5\.5\.5-(?=\d+\.\d+\.\d+-MariaDB)/i, '') };
}

async function authenticate(
  socket: PacketSocket,
  address: ServerAddress,
  firstPlugin: string,
  firstNonce: Buffer,
  isPrivate: boolean,
): Promise<void> {
  let plugin = firstPlugin;
  let nonce = firstNonce;
  const talk: Conversation = {
    isPrivate,
    send: (payload) => socket.send(payload, 'answer'),
    next: async () => {
      const message = await socket.next(connectTimeoutMs);
      if (message[0] === 0) return null;
      if (message[0] === 1) return message.subarray(1);
      throw isError(message) ? serverError(message) : malformed('the server said something odd while we logged in');
    },
  };
  for (;;) {
    const message = await socket.next(connectTimeoutMs);
    if (isError(message)) throw serverError(message);
    if (message[0] === 0) return;
    if (message[0] === 1 && plugin === 'caching_sha2_password') {
      await finishCachingSha2(startingWith(talk, message.subarray(1)), address.password, nonce);
      return;
    }
    if (message[0] !== 0xfe || message.length === 1)
      throw malformed('the server said something odd while we logged in');
    const reader = new ByteReader(message, 1);
    plugin = reader.utf8Zero();
    nonce = Buffer.from(reader.take(reader.left));
    socket.send(answerOf(plugin, address.password, nonce), 'answer');
  }
}

/** A conversation whose next message was read already. */
function startingWith(talk: Conversation, first: Buffer): Conversation {
  let read: Buffer | null = first;
  const next = async () => {
    const message = read ?? (await talk.next());
    read = null;
    return message;
  };
  return { ...talk, next };
}

function readGreeting(payload: Buffer): { version: string; capabilities: number; nonce: Buffer; plugin: string } {
  if (isError(payload)) throw serverError(payload);
  const reader = new ByteReader(payload);
  if (reader.u8() !== 10) throw malformed('the greeting is not of a MySQL or MariaDB server');
  const version = reader.utf8Zero();
  reader.skip(4);
  const start = reader.take(8);
  reader.skip(1);
  const low = reader.u16();
  reader.skip(3);
  const capabilities = low | (reader.u16() << 16);
  const length = reader.u8();
  reader.skip(10);
  // Ends in a zero byte that is not part of it.
  const rest = reader.take(Math.max(13, length - 8)).subarray(0, 12);
  const plugin = (capabilities & clientPluginAuth) !== 0 ? reader.utf8Zero() : 'mysql_native_password';
  return { version, capabilities, nonce: Buffer.concat([start, rest]), plugin };
}

/**
 * Runs one statement by the text protocol; rows of values as the server prints them, none for a statement without a
 * result. Throws what `serverError` makes of an error.
 */
export async function query({ socket }: ServerConnection, sql: string): Promise<(string | null)[][]> {
  socket.send(Buffer.concat([Buffer.from([3]), Buffer.from(sql)]), 'command');
  const first = await socket.next(answerTimeoutMs);
  if (isError(first)) throw serverError(first);
  if (first[0] === 0) return [];
  const columns = new ByteReader(first).lenenc();
  for (let index = 0; index <= columns; index++) await socket.next(answerTimeoutMs);
  const rows: (string | null)[][] = [];
  for (;;) {
    const payload = await socket.next(answerTimeoutMs);
    if (isError(payload)) throw serverError(payload);
    if (payload[0] === 0xfe && payload.length < 9) return rows;
    const reader = new ByteReader(payload);
    rows.push(Array.from({ length: columns }, () => readText(reader)));
  }
}

function readText(reader: ByteReader): string | null {
  if (reader.bytes[reader.at] === 0xfb) {
    reader.skip(1);
    return null;
  }
  return reader.utf8(reader.lenenc());
}
