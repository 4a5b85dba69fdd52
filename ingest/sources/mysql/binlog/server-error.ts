import { DailiesError, type ErrorCode } from '#catalog/error.ts';
import { ByteReader } from './byte-reader.ts';
import { hasEndedConnection, isLostConnection } from './lost-connection.ts';
import type { ServerAddress } from './server-connection.ts';

/** An error that the server has sent, not yet told in our words: only within this folder. */
export class ServerError extends Error {
  readonly number: number;

  constructor(number: number, message: string) {
    super(message);
    this.name = 'ServerError';
    this.number = number;
  }
}

export function isError(payload: Buffer): boolean {
  return payload[0] === 0xff;
}

/** ERR_Packet: 0xff · Int16 number · ['#' · Byte5 SQL state] · message. */
export function serverError(payload: Buffer): ServerError {
  const reader = new ByteReader(payload, 1);
  const number = reader.u16();
  if (reader.left > 0 && payload[reader.at] === 0x23) reader.skip(6);
  return new ServerError(number, reader.utf8(reader.left).replace(/[.\s]+$/, ''));
}

/** Numbers of errors that the server sends in place of a binary log (ER_MASTER_FATAL_ERROR_READING_BINLOG), and of what comes with it. */
export const fatalBinlogError = 1236;

/** What connecting failed with. */
export function connectError(thrown: unknown, address: ServerAddress): DailiesError {
  if (thrown instanceof DailiesError) return thrown;
  const { host, port, user } = address;
  const server = address.socketPath ?? `${host}:${port}`;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const fail = (code: ErrorCode, sentence: string) =>
    new DailiesError(code, sentence, { cause: thrown, details: { server, user } });
  if (thrown instanceof ServerError) {
    switch (thrown.number) {
      case 1045:
      case 1698:
        return fail('source_refused', `${server} refused user "${user}"; check user and password in the source's url.`);
      case 1040:
      case 1203:
        return fail('source_unreachable', `${server} has no free connection left; raise max_connections there.`);
      case 1053:
        return fail('source_unreachable', `${server} is shutting down.`);
      default:
        if (hasEndedConnection(thrown.number)) {
          return fail('source_unreachable', `${server} ended the connection while it was being made: ${message}.`);
        }
        return fail('source_refused', `${server} refused the connection: ${message}.`);
    }
  }
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return fail('source_unreachable', `The host "${host}" is not known; check the source's url.`);
    case 'ECONNREFUSED':
    case 'ENOENT':
      return fail('source_unreachable', `Nothing answers at ${server}; check host and port in the source's url.`);
    default:
      if (!isLostConnection(thrown) && /CERT|SSL|TLS|SELF_SIGNED|UNABLE_TO|^EPROTO$/.test(code)) {
        return fail('source_refused', `No encrypted connection to ${server}: ${message}.`);
      }
      return fail('source_unreachable', `No connection to ${server}: ${message}.`);
  }
}

/** What a statement or the dump failed with, but for error 1236. */
export function sessionError(thrown: unknown, user: string): DailiesError {
  if (thrown instanceof DailiesError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const number = thrown instanceof ServerError ? thrown.number : 0;
  const fail = (code: ErrorCode, sentence: string) =>
    new DailiesError(code, sentence, { cause: thrown, details: { number } });
  switch (number) {
    case 1045:
    case 1142:
    case 1227:
      return fail(
        'source_not_ready',
        `User "${user}" may not read the binary log (${message}); run: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '${user.replaceAll("'", "''")}'@'%';`,
      );
    case 1381:
      return fail(
        'source_not_ready',
        'The server writes no binary log; set log_bin = binlog in its configuration and restart it.',
      );
    case 1053:
    case 1317:
    case 1927:
    case 3169:
      return fail('source_unreachable', `The source ended our session: ${message}.`);
    default:
      return fail('source_protocol', `The source refused to send its binary log: ${message}.`);
  }
}
