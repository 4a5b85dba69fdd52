import { getSystemErrorName } from 'node:util';

/**
 * True for what connecting fails with where the connection went away, at any point of it: an error of the network, or an
 * end of the stream before TLS was agreed on. False for a refusal of TLS: an alert, a certificate, no common protocol.
 *
 * The driver writes a code of its own over Node's, and leaves what else the error holds.
 */
export function isLostConnection(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  const { errno, reason, code, message } = thrown as Error & { errno?: unknown; reason?: unknown; code?: unknown };
  if (typeof errno === 'number' && errno < 0) return getSystemErrorName(errno) !== 'EPROTO';
  if (code === 'ECONNRESET' || code === 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING') return true;
  if (reason === 'unexpected eof while reading') return true;
  // Node's own ECONNRESET (lib/_tls_wrap.js, onConnectEnd): of nothing but its message once the code is gone.
  return message.startsWith('Client network socket disconnected before secure TLS connection');
}

/** The server's numbers for errors of the network, and for a connection or statement that somebody has killed. */
const ended: ReadonlySet<number> = new Set([1158, 1159, 1160, 1161, 1317, 1927, 3169]);

/** True for an error that a server sends as it gives a connection up. */
export function hasEndedConnection(number: number): boolean {
  return ended.has(number);
}
