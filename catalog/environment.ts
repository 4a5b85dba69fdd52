import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { DailiesError } from './error.ts';

/** What the environment says, checked. */
export interface Environment {
  /** Absolute path of the folder that holds all embedded state. */
  home: string;
  port: number;
  host: string;
  /** Public address, without a slash at its end. */
  url: string;
  /** Postgres for our own state; null means the embedded one. */
  databaseUrl: string | null;
  /** Absolute path of the local warehouse. */
  warehouse: string;
  /** Key material for stored secrets; null means the key kept under the home. */
  secret: string | null;
  googleUrl: string | null;
  airtableUrl: string | null;
}

/** Parses the variables of `surface.md`. Throws `environment_invalid` with one sentence that names the wrong variable. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>, cwd = process.cwd()): Environment {
  const home = path.resolve(cwd, env.DAILIES_HOME || '.dailies');
  const port = readPort(env.DAILIES_PORT);
  const host = env.DAILIES_HOST || '127.0.0.1';
  return {
    home,
    port,
    host,
    url: readUrl('DAILIES_URL', env.DAILIES_URL, ['http:', 'https:']) ?? `http://${publicHost(host)}:${port}`,
    databaseUrl: readUrl('DATABASE_URL', env.DATABASE_URL, ['postgres:', 'postgresql:']),
    warehouse: readWarehouse(env.DAILIES_WAREHOUSE, home),
    secret: readSecret(env.DAILIES_SECRET),
    googleUrl: readUrl('DAILIES_GOOGLE_URL', env.DAILIES_GOOGLE_URL, ['http:', 'https:']),
    airtableUrl: readUrl('DAILIES_AIRTABLE_URL', env.DAILIES_AIRTABLE_URL, ['http:', 'https:']),
    ...refuseUnsupported(env),
  };
}

function readPort(text: string | undefined): number {
  if (text === undefined || text === '') return 3000;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) {
    throw wrong('DAILIES_PORT', `must be a port number from 1 to 65535, not "${text}"`);
  }
  return port;
}

function publicHost(host: string): string {
  if (host === '127.0.0.1' || host === '0.0.0.0' || host === '::' || host === '::1') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

function readUrl(name: string, text: string | undefined, protocols: readonly string[]): string | null {
  if (text === undefined || text === '') return null;
  const url = URL.parse(text);
  if (url === null || !protocols.includes(url.protocol)) {
    throw wrong(
      name,
      `must be an address that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
    );
  }
  return text.replace(/\/+$/, '');
}

function readWarehouse(text: string | undefined, home: string): string {
  if (text === undefined || text === '') return path.join(home, 'warehouse');
  if (!text.startsWith('file:')) {
    throw wrong('DAILIES_WAREHOUSE', 'must be a file: address; other storage is not supported yet');
  }
  const url = URL.parse(text, pathToFileURL(`${home}/`));
  if (url === null || url.host !== '') throw wrong('DAILIES_WAREHOUSE', 'must be a file: address of a local folder');
  return decodeURIComponent(url.pathname).replace(/\/+$/, '');
}

function readSecret(text: string | undefined): string | null {
  if (text === undefined || text === '') return null;
  if (text.length < 16) throw wrong('DAILIES_SECRET', 'must have at least 16 characters');
  return text;
}

function refuseUnsupported(env: Readonly<Record<string, string | undefined>>): Record<string, never> {
  if (env.DAILIES_LOG) throw wrong('DAILIES_LOG', 'is not supported yet: leave it out to use the embedded log');
  if (env.DAILIES_CATALOG) throw wrong('DAILIES_CATALOG', 'is not supported yet: leave it out to use our own catalog');
  return {};
}

function wrong(name: string, problem: string): DailiesError {
  return new DailiesError('environment_invalid', `${name} ${problem}.`, { details: { variable: name } });
}
