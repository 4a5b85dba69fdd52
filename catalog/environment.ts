import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { DailiesError } from './error.ts';
import { type RestCatalogSettings, readCatalogSettings } from './iceberg/rest-client/settings.ts';
import { fileUri } from './iceberg/storage/location.ts';
import { isS3, s3Place } from './iceberg/storage/s3-location.ts';
import { readS3Settings, type S3Settings } from './iceberg/storage/s3-settings.ts';

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
  /** Location of the warehouse, `file:///folder` or `s3://bucket/prefix`, without a slash at its end. */
  warehouse: string;
  /** Another server's Iceberg REST catalog; null: tables are in our own. */
  catalog: RestCatalogSettings | null;
  /** How S3 is reached, where tables are there. */
  s3: S3Settings;
  /** Most that this machine keeps of files read from S3; null: 10 GB, at most half of what the disk has free. */
  cacheBytes: number | null;
  /** How long changes wait, at most, for the commit that shows them: each is a snapshot of every table that changed. */
  commitEveryMs: number;
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
  const warehouse = readWarehouse(env.DAILIES_WAREHOUSE, home);
  const catalog = readCatalogSettings(env);
  const isFar = isS3(warehouse) || catalog !== null;
  return {
    home,
    port,
    host,
    url: readUrl('DAILIES_URL', env.DAILIES_URL, ['http:', 'https:']) ?? `http://${publicHost(host)}:${port}`,
    databaseUrl: readUrl('DATABASE_URL', env.DATABASE_URL, ['postgres:', 'postgresql:']),
    warehouse,
    catalog,
    // What is set for other programs must not stop a start that has no use for it.
    s3: readS3Settings(isFar ? env : {}),
    cacheBytes: readBytes('DAILIES_CACHE_SIZE', env.DAILIES_CACHE_SIZE),
    commitEveryMs: readSeconds('DAILIES_COMMIT_SECONDS', env.DAILIES_COMMIT_SECONDS) ?? (isFar ? 5_000 : 200),
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
  if (text === undefined || text === '') return fileUri(path.join(home, 'warehouse'));
  if (/^s3:\/\/[^/]/.test(text)) return `s3://${s3Place(text).bucket}/${s3Place(text).key}`.replace(/\/+$/, '');
  if (!text.startsWith('file:')) {
    throw wrong('DAILIES_WAREHOUSE', 'must be s3://bucket/prefix or the file: address of a local folder');
  }
  const url = URL.parse(text, pathToFileURL(`${home}/`));
  if (url === null || url.host !== '') throw wrong('DAILIES_WAREHOUSE', 'must be a file: address of a local folder');
  return fileUri(decodeURIComponent(url.pathname).replace(/\/+$/, ''));
}

const byteUnits: Readonly<Record<string, number>> = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

function readBytes(name: string, text: string | undefined): number | null {
  if (text === undefined || text === '') return null;
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?) ?([KMGT]B)?$/i.exec(text) ?? [];
  if (count === undefined) throw wrong(name, `must be a number of bytes, as in 20GB, not "${text}"`);
  return Math.round(Number(count) * (byteUnits[unit.toUpperCase()] ?? 1));
}

function readSeconds(name: string, text: string | undefined): number | null {
  if (text === undefined || text === '') return null;
  const seconds = Number(text);
  if (!(seconds >= 0.05 && seconds <= 3600)) throw wrong(name, `must be seconds from 0.05 to 3600, not "${text}"`);
  return Math.round(seconds * 1000);
}

function readSecret(text: string | undefined): string | null {
  if (text === undefined || text === '') return null;
  if (text.length < 16) throw wrong('DAILIES_SECRET', 'must have at least 16 characters');
  return text;
}

function refuseUnsupported(env: Readonly<Record<string, string | undefined>>): Record<string, never> {
  if (env.DAILIES_LOG) throw wrong('DAILIES_LOG', 'is not supported yet: leave it out to use the embedded log');
  return {};
}

function wrong(name: string, problem: string): DailiesError {
  return new DailiesError('environment_invalid', `${name} ${problem}.`, { details: { variable: name } });
}
