import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import { RestRefusal, sendOnce } from './http.ts';
import type { RestCatalogAuth } from './settings.ts';

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  /** Seconds. */
  expires_in: z.number().positive().optional(),
});

const timeoutMs = 30_000;
/** A token is replaced this long before it expires, or after this part of its life if that is shorter. */
const earlyMs = 60_000;
const usedPart = 0.8;

/** The bearer token of a catalog: the one that was set, or one that OAuth2 gives for the client's credentials (RFC 6749, 4.4). */
export class BearerToken {
  readonly #auth: RestCatalogAuth;
  readonly #tokenUri: string;
  #known: { token: Promise<string>; isFresh: () => boolean } | null = null;

  /** `tokenUri` is used where the settings name none. */
  constructor(auth: RestCatalogAuth, tokenUri: string) {
    this.#auth = auth;
    this.#tokenUri = tokenUri;
  }

  /** True if another token can be had where the server refuses this one. */
  get isRenewable(): boolean {
    return this.#auth.kind === 'oauth2';
  }

  /** null where none is needed. Throws `RestRefusal`, `RestSilence`. */
  async get(): Promise<string | null> {
    switch (this.#auth.kind) {
      case 'none':
        return null;
      case 'token':
        return this.#auth.token;
      case 'oauth2':
        return await this.#exchanged(this.#auth);
    }
  }

  /** The server refused the token: the next `get` asks for another. */
  forget(): void {
    this.#known = null;
  }

  #exchanged(auth: RestCatalogAuth & { kind: 'oauth2' }): Promise<string> {
    if (this.#known?.isFresh()) return this.#known.token;
    let freshUntilMs = Number.POSITIVE_INFINITY;
    const asked = this.#exchange(auth).then(({ access_token, expires_in }) => {
      const lifeMs = (expires_in ?? Number.POSITIVE_INFINITY) * 1000;
      freshUntilMs = performance.now() + Math.max(lifeMs - earlyMs, lifeMs * usedPart);
      return access_token;
    });
    const known = { token: asked, isFresh: () => performance.now() < freshUntilMs };
    this.#known = known;
    asked.catch(() => {
      if (this.#known === known) this.#known = null;
    });
    return asked;
  }

  async #exchange(auth: RestCatalogAuth & { kind: 'oauth2' }): Promise<z.infer<typeof tokenAnswer>> {
    const answer = await sendOnce(
      {
        method: 'POST',
        url: auth.tokenUri ?? this.#tokenUri,
        form: {
          grant_type: 'client_credentials',
          ...(auth.clientId === null ? {} : { client_id: auth.clientId }),
          client_secret: auth.clientSecret,
          scope: auth.scope,
        },
      },
      timeoutMs,
    );
    const parsed = tokenAnswer.safeParse(answer.json);
    if (parsed.success) return parsed.data;
    throw new RestRefusal(answer.status, '', 'it gave no access_token', 0);
  }
}

/** What the server said of credentials, as a sentence that names the variable to look at. */
export function credentialsRefused(uri: string, auth: RestCatalogAuth, refusal: RestRefusal): DailiesError {
  const said = refusal.message === '' ? `status ${refusal.status}` : refusal.message;
  const hint = {
    none: 'set DAILIES_CATALOG_TOKEN or DAILIES_CATALOG_CREDENTIAL',
    token: 'check DAILIES_CATALOG_TOKEN',
    oauth2: 'check DAILIES_CATALOG_CREDENTIAL',
  }[auth.kind];
  return new DailiesError('catalog_refused', `The catalog at ${uri} refuses us (${said}): ${hint}.`, {
    cause: refusal,
    details: { catalog: uri, status: refusal.status },
  });
}
