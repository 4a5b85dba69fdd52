import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import {
  isPassing,
  type Patience,
  type RestAnswer,
  RestRefusal,
  type RestRequest,
  RestSilence,
  sendOnce,
  waitBefore,
} from './http.ts';
import type { RestCatalogSettings } from './settings.ts';
import { BearerToken, credentialsRefused } from './token.ts';

const configAnswer = z.object({
  defaults: z.record(z.string(), z.string().nullable()).default({}),
  overrides: z.record(z.string(), z.string().nullable()).default({}),
  endpoints: z.array(z.string()).nullish(),
});

interface ServerConfig {
  /** Begins the path of everything but the configuration, without a slash at its end. */
  base: string;
  /** Stands between the levels of a namespace in a path, percent-encoded. */
  separator: string;
  /** null: the server does not tell, which means those of the protocol's beginnings. */
  endpoints: readonly string[] | null;
}

export interface CatalogRequest {
  method: 'GET' | 'POST' | 'DELETE';
  /** Below the prefix, its segments percent-encoded. */
  path: string;
  query?: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
  body?: unknown;
}

export interface SessionOptions {
  /** How long one answer may take. */
  timeoutMs: number;
  patience: Patience;
}

const defaults: SessionOptions = {
  timeoutMs: 60_000,
  patience: { attempts: 6, firstWaitMs: 200, longestWaitMs: 5_000 },
};

/**
 * Talks to an Iceberg REST catalog: asks for its configuration once, at the first need, and then for everything under the
 * address, prefix and separator that it names, with a bearer token.
 */
export class RestSession {
  readonly uri: string;
  readonly options: SessionOptions;
  readonly #settings: RestCatalogSettings;
  readonly #token: BearerToken;
  #config: Promise<ServerConfig> | null = null;

  constructor(settings: RestCatalogSettings, options: Partial<SessionOptions> = {}) {
    this.uri = settings.uri;
    this.options = { ...defaults, ...options };
    this.#settings = settings;
    this.#token = new BearerToken(settings.auth, `${settings.uri}/v1/oauth/tokens`);
  }

  /** Throws `catalog_refused`, `catalog_unreachable`. */
  async config(): Promise<ServerConfig> {
    this.#config ??= this.#loadConfig();
    try {
      return await this.#config;
    } catch (thrown) {
      this.#config = null;
      throw thrown;
    }
  }

  /** A namespace as one segment of a path. */
  async namespaceSegment(levels: readonly string[]): Promise<string> {
    const { separator } = await this.config();
    return levels.map(encodeURIComponent).join(separator);
  }

  /**
   * Asks again, with back-off, while errors may pass: for what may be done twice. Throws `RestRefusal` for other errors of
   * the server, `catalog_refused` where it is about our credentials, `catalog_unreachable` after the last attempt.
   */
  async ask(request: CatalogRequest): Promise<RestAnswer> {
    const { base } = await this.config();
    return await this.#patiently(() => this.#authorized(toHttp(base, request)));
  }

  /** Asks once. Throws `RestRefusal`, `RestSilence`, `catalog_refused` where it is about our credentials. */
  async askOnce(request: CatalogRequest): Promise<RestAnswer> {
    const { base } = await this.config();
    return await this.#authorized(toHttp(base, request));
  }

  async #loadConfig(): Promise<ServerConfig> {
    const { uri, warehouse } = this.#settings;
    const query = warehouse === null ? '' : `?${new URLSearchParams({ warehouse })}`;
    const answer = await this.#patiently(() =>
      this.#authorized({ method: 'GET', url: `${uri}/v1/config${query}` }),
    ).catch((thrown: unknown) => {
      if (!(thrown instanceof RestRefusal)) throw thrown;
      throw this.#noCatalog(thrown.message === '' ? `status ${thrown.status}` : thrown.message, thrown);
    });
    const parsed = configAnswer.safeParse(answer.json);
    if (!parsed.success) throw this.#noCatalog('what answers does not speak its protocol', parsed.error);
    const { defaults: given, overrides, endpoints } = parsed.data;
    const properties = { ...given, ...overrides };
    const address = (overrides.uri ?? uri).replace(/\/+$/, '').replace(/\/v1$/, '');
    const prefix = (properties.prefix ?? '').replace(/^\/+|\/+$/g, '');
    return {
      base: prefix === '' ? `${address}/v1` : `${address}/v1/${prefix}`,
      separator: properties['namespace-separator'] ?? '%1F',
      endpoints: endpoints ?? null,
    };
  }

  async #patiently(send: () => Promise<RestAnswer>): Promise<RestAnswer> {
    const { patience } = this.options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await send();
      } catch (thrown) {
        if (!isPassing(thrown)) throw thrown;
        if (attempt >= patience.attempts) throw unreachable(this.uri, thrown, attempt);
        await waitBefore(attempt, patience, thrown instanceof RestRefusal ? thrown.retryAfterMs : 0);
      }
    }
  }

  // A token that was good may have run out: one that can be renewed gets a second try.
  async #authorized(request: RestRequest): Promise<RestAnswer> {
    for (let isRenewed = false; ; isRenewed = true) {
      try {
        const token = await this.#bearer();
        const headers = { ...request.headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) };
        return await sendOnce({ ...request, headers }, this.options.timeoutMs);
      } catch (thrown) {
        if (!isAboutCredentials(thrown)) throw thrown;
        if (isRenewed || !this.#token.isRenewable || thrown.status === 403) {
          throw credentialsRefused(this.uri, this.#settings.auth, thrown);
        }
        this.#token.forget();
      }
    }
  }

  async #bearer(): Promise<string | null> {
    try {
      return await this.#token.get();
    } catch (thrown) {
      if (thrown instanceof RestRefusal && !isPassing(thrown)) {
        throw credentialsRefused(this.uri, this.#settings.auth, thrown);
      }
      // Nothing was asked of the catalog itself.
      if (thrown instanceof RestSilence) throw new RestSilence(thrown.message, false, thrown);
      throw thrown;
    }
  }

  #noCatalog(reason: string, cause: unknown): DailiesError {
    return new DailiesError(
      'catalog_refused',
      `DAILIES_CATALOG ${this.uri} cannot be used as an Iceberg REST catalog: ${reason}.`,
      { cause, details: { catalog: this.uri } },
    );
  }
}

export function unreachable(uri: string, cause: unknown, attempts: number): DailiesError {
  const reason = cause instanceof RestRefusal ? `it answered with status ${cause.status}` : (cause as Error).message;
  return new DailiesError(
    'catalog_unreachable',
    `The catalog at ${uri} cannot be asked: ${reason} (${attempts} ${attempts === 1 ? 'try' : 'tries'}).`,
    { cause, details: { catalog: uri, attempts } },
  );
}

/** 419 is the protocol's own: the token has run out. */
function isAboutCredentials(thrown: unknown): thrown is RestRefusal {
  return thrown instanceof RestRefusal && [401, 403, 419].includes(thrown.status);
}

function toHttp(base: string, request: CatalogRequest): RestRequest {
  const { method, path, query, headers, body } = request;
  const search = query === undefined ? '' : `?${new URLSearchParams(query)}`;
  return {
    method,
    url: `${base}${path}${search}`,
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { body }),
  };
}
