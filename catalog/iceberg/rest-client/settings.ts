import { DailiesError } from '../../error.ts';

/** How to reach another server's catalog, from the environment. */
export interface RestCatalogSettings {
  /** Without `/v1` and without a slash at its end. */
  uri: string;
  /** The server's name of the warehouse; null leaves it to the server. */
  warehouse: string | null;
  auth: RestCatalogAuth;
}

export type RestCatalogAuth =
  | { kind: 'none' }
  | { kind: 'token'; token: string }
  /** OAuth2's client credentials; `tokenUri` null means the catalog's own token endpoint. */
  | { kind: 'oauth2'; clientId: string | null; clientSecret: string; tokenUri: string | null; scope: string };

type Variables = Readonly<Record<string, string | undefined>>;

const prefix = 'DAILIES_CATALOG_';
const others = ['WAREHOUSE', 'TOKEN', 'CREDENTIAL', 'OAUTH2_SERVER_URI', 'SCOPE'] as const;

/**
 * `DAILIES_CATALOG` and the variables that go with it; null where our own catalog is used. Throws `environment_invalid`
 * with one sentence that names the wrong variable.
 *
 * | variable | holds |
 * | --- | --- |
 * | `DAILIES_CATALOG` | address of the Iceberg REST catalog, as engines take it for `uri` |
 * | `DAILIES_CATALOG_WAREHOUSE` | the catalog's name of the warehouse, if it has several |
 * | `DAILIES_CATALOG_TOKEN` | a bearer token |
 * | `DAILIES_CATALOG_CREDENTIAL` | `client-id:client-secret` for OAuth2's client credentials |
 * | `DAILIES_CATALOG_OAUTH2_SERVER_URI` | where they are exchanged for a token; the catalog's own `/v1/oauth/tokens` if unset |
 * | `DAILIES_CATALOG_SCOPE` | the scope asked for; `catalog` if unset |
 */
export function readCatalogSettings(env: Variables): RestCatalogSettings | null {
  const uri = readAddress('DAILIES_CATALOG', env.DAILIES_CATALOG);
  if (uri === null) {
    const lone = others.find((name) => env[prefix + name]);
    if (lone !== undefined) throw wrong(prefix + lone, 'says nothing without DAILIES_CATALOG');
    return null;
  }
  return {
    uri: uri.replace(/\/v1$/, ''),
    warehouse: env.DAILIES_CATALOG_WAREHOUSE || null,
    auth: readAuth(env),
  };
}

function readAuth(env: Variables): RestCatalogAuth {
  const token = env.DAILIES_CATALOG_TOKEN || null;
  const credential = env.DAILIES_CATALOG_CREDENTIAL || null;
  const tokenUri = readAddress('DAILIES_CATALOG_OAUTH2_SERVER_URI', env.DAILIES_CATALOG_OAUTH2_SERVER_URI);
  if (token !== null && credential !== null) {
    throw wrong('DAILIES_CATALOG_TOKEN', 'and DAILIES_CATALOG_CREDENTIAL exclude each other: set one of them');
  }
  if (credential === null) {
    const lone = (['OAUTH2_SERVER_URI', 'SCOPE'] as const).find((name) => env[prefix + name]);
    if (lone !== undefined) throw wrong(prefix + lone, 'says nothing without DAILIES_CATALOG_CREDENTIAL');
    if (token === null) return { kind: 'none' };
    if (/[^\x21-\x7e]/.test(token)) throw wrong('DAILIES_CATALOG_TOKEN', 'must be one word of ASCII characters');
    return { kind: 'token', token };
  }
  const colon = credential.indexOf(':');
  const clientSecret = credential.slice(colon + 1);
  if (clientSecret === '') throw wrong('DAILIES_CATALOG_CREDENTIAL', 'must be client-id:client-secret');
  return {
    kind: 'oauth2',
    clientId: colon < 0 ? null : credential.slice(0, colon),
    clientSecret,
    tokenUri,
    scope: env.DAILIES_CATALOG_SCOPE || 'catalog',
  };
}

function readAddress(name: string, text: string | undefined): string | null {
  if (text === undefined || text === '') return null;
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw wrong(name, 'must be an address that begins with http:// or https://');
  }
  if (url.username !== '' || url.password !== '') {
    throw wrong(name, 'must not hold a user or password: set DAILIES_CATALOG_CREDENTIAL or DAILIES_CATALOG_TOKEN');
  }
  if (url.search !== '' || url.hash !== '') throw wrong(name, 'must be an address without ? and #');
  return text.replace(/\/+$/, '');
}

function wrong(variable: string, problem: string): DailiesError {
  return new DailiesError('environment_invalid', `${variable} ${problem}.`, { details: { variable } });
}
