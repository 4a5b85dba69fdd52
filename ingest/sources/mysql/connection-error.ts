import { DailiesError, type ErrorCode } from '#catalog/error.ts';
import { serverName } from './address.ts';
import type { ServerAddress } from './binlog/binlog-stream.ts';
import { hasEndedConnection, isLostConnection } from './binlog/lost-connection.ts';

interface DriverError {
  /** The server's number of an error, or null where it did not come from the server. */
  number: number | null;
  code: string;
  message: string;
}

function driverError(thrown: unknown): DriverError {
  if (!(thrown instanceof Error)) return { number: null, code: '', message: String(thrown) };
  const { errno, code, message } = thrown as Error & { errno?: number; code?: string };
  // Node's own errors have negative numbers.
  return { number: typeof errno === 'number' && errno > 0 ? errno : null, code: code ?? '', message };
}

/** The server's number of an error, null where it is not the server's. */
export function errorNumber(thrown: unknown): number | null {
  if (thrown instanceof DailiesError) return driverError(thrown.cause).number;
  return driverError(thrown).number;
}

/** What connecting failed with, as a sentence that says what to do and holds no password. */
export function connectError(thrown: unknown, address: ServerAddress): DailiesError {
  if (thrown instanceof DailiesError) return thrown;
  const { number, code, message } = driverError(thrown);
  const server = serverName(address);
  const { user } = address;
  const fail = (errorCode: ErrorCode, sentence: string) =>
    new DailiesError(errorCode, sentence, { cause: thrown, details: { server, user, number } });
  switch (number) {
    case 1045:
    case 1698:
      return fail(
        'source_refused',
        `${server} refused the password of user "${user}"; check user and password in the source's url, and that the user may come from this host.`,
      );
    case 1130:
      return fail('source_refused', `${server} lets nobody in from this host; create the user for it: ${message}.`);
    case 1129:
      return fail('source_refused', `${server} has blocked this host after many failures; run there: FLUSH HOSTS;`);
    case 1044:
    case 1049:
      return fail('source_refused', `${server} has no such database, or user "${user}" may not use it: ${message}.`);
    case 1862:
    case 1820:
      return fail(
        'source_refused',
        `The password of user "${user}" has expired at ${server}; run there: ALTER USER … IDENTIFIED BY …;`,
      );
    case 3118:
    case 4151:
      return fail('source_refused', `User "${user}" is locked at ${server}; run there: ALTER USER … ACCOUNT UNLOCK;`);
    case 3159:
      return fail(
        'source_refused',
        `${server} takes encrypted connections only; add ?ssl-mode=REQUIRED to the source's url.`,
      );
    case 1040:
    case 1203:
    case 1226:
      return fail(
        'source_unreachable',
        `${server} has no free connection left for user "${user}": ${message}; raise max_connections or max_user_connections there, or close others.`,
      );
    case 1053:
      return fail('source_unreachable', `${server} is shutting down.`);
    case null:
      break;
    default:
      if (hasEndedConnection(number)) {
        return fail('source_unreachable', `${server} ended the connection while it was being made: ${message}.`);
      }
      return fail('source_refused', `${server} refused the connection: ${message}.`);
  }
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return fail('source_unreachable', `The host "${address.host}" is not known; check the source's url.`);
    case 'ECONNREFUSED':
      return fail(
        'source_unreachable',
        `Nothing answers at ${server}; check host and port in the source's url, and that the server runs there.`,
      );
    case 'HANDSHAKE_NO_SSL_SUPPORT':
      return fail(
        'source_refused',
        `${server} does not encrypt connections; set it up there, or take ssl-mode=PREFERRED in the source's url.`,
      );
    default:
      if (!isLostConnection(thrown) && /SSL|TLS|CERT|SELF_SIGNED|UNABLE_TO|^EPROTO$/i.test(code)) {
        return fail('source_refused', `No encrypted connection to ${server}: ${message}.`);
      }
      return fail('source_unreachable', `No connection to ${server}: ${message || code}.`);
  }
}

/** What a statement failed with, after the connection was made. */
export function statementError(thrown: unknown): DailiesError {
  if (thrown instanceof DailiesError) return thrown;
  const { number, message } = driverError(thrown);
  const fail = (errorCode: ErrorCode, sentence: string) =>
    new DailiesError(errorCode, sentence, { cause: thrown, details: { number } });
  // 1053: shutting down
  if (number === null || number === 1053 || hasEndedConnection(number)) {
    return fail('source_unreachable', `The connection to the source was lost: ${message}.`);
  }
  switch (number) {
    case 1044:
    case 1142:
    case 1143:
    case 1227:
      return fail(
        'source_not_ready',
        `The source's user lacks a privilege: ${message}. Run \`dailies check\` on the source's url for the GRANT.`,
      );
    default:
      return fail('source_protocol', `The source refused a statement: ${message}.`);
  }
}
