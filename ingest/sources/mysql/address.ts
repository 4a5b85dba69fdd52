import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { DailiesError } from '#catalog/error.ts';
import type { ServerAddress } from './binlog/binlog-stream.ts';

const modes = ['DISABLED', 'PREFERRED', 'REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'] as const;
type SslMode = (typeof modes)[number];

const parameters: ReadonlySet<string> = new Set(['ssl-mode', 'ssl-ca', 'ssl-cert', 'ssl-key', 'socket']);

/**
 * Server and TLS of a `mysql://` or `mariadb://` URL. `ssl-mode`, `ssl-ca`, `ssl-cert` and `ssl-key` mean what they mean to
 * MySQL's clients (dev.mysql.com, Command Options for Encrypted Connections): PREFERRED if not said, REQUIRED proves
 * nothing about the server unless there is an `ssl-ca`. A database in the path is taken and not used. Throws
 * `source_refused` with a sentence that never holds the password.
 */
export function parseAddress(url: string): ServerAddress {
  const parsed = parseUrl(url);
  for (const name of parsed.searchParams.keys()) {
    if (parameters.has(name)) continue;
    throw refused(
      `The source's url has an option ${name} that is not known; there are ${[...parameters].sort().join(', ')}.`,
    );
  }
  const socketPath = parsed.searchParams.get('socket');
  return {
    // Brackets around an IPv6 address are the URL's, not the address's.
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1') || 'localhost',
    port: Number(parsed.port || 3306),
    user: decoded(parsed.username),
    password: decoded(parsed.password),
    ...(socketPath === null ? {} : { socketPath }),
    tls: tlsOf(parsed),
  };
}

/** As messages name it. */
export function serverName(address: ServerAddress): string {
  return address.socketPath ?? `${address.host}:${address.port}`;
}

function parseUrl(url: string): URL {
  if (/^(mysql|mariadb):\/\//.test(url) && URL.canParse(url)) return new URL(url);
  throw refused(
    'The address of this database is not a MySQL or MariaDB URL; write it as mysql://user:password@host:3306 or mariadb://user:password@host:3306, with special characters in the password percent-encoded.',
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A bare % is what somebody typed.
    return text;
  }
}

function tlsOf(url: URL): ServerAddress['tls'] {
  const mode = modeOf(url);
  if (mode === 'DISABLED') return null;
  const ca = fileOf(url, 'ssl-ca');
  const cert = fileOf(url, 'ssl-cert');
  const key = fileOf(url, 'ssl-key');
  const isVerified = mode === 'VERIFY_CA' || mode === 'VERIFY_IDENTITY' || ca !== null;
  const options: ConnectionOptions = {
    rejectUnauthorized: isVerified,
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    ...(mode === 'VERIFY_IDENTITY' ? {} : { checkServerIdentity: () => undefined }),
  };
  return { isRequired: mode !== 'PREFERRED', options };
}

function modeOf(url: URL): SslMode {
  const asked = url.searchParams.get('ssl-mode')?.toUpperCase().replaceAll('-', '_') ?? 'PREFERRED';
  const mode = modes.find((candidate) => candidate === asked);
  if (mode) return mode;
  throw refused(`The source's url has an unknown ssl-mode; there are ${modes.join(', ')}.`);
}

function fileOf(url: URL, option: string): Buffer | null {
  const path = url.searchParams.get(option);
  if (path === null) return null;
  try {
    return readFileSync(path);
  } catch (thrown) {
    throw new DailiesError('source_refused', `The file of ${option} in the source's url cannot be read: ${path}.`, {
      cause: thrown,
      details: { option, path },
    });
  }
}

function refused(sentence: string): DailiesError {
  return new DailiesError('source_refused', sentence);
}
