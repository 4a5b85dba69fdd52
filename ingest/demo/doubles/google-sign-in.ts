import { createVerify, generateKeyPairSync, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type DoubleRequest, type DoubleResponse, Refusal } from './http-double.ts';

export interface ServiceAccount {
  email: string;
  publicKey: string;
  privateKey: string;
}

const jwtGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const sheetsScopes = ['https://www.googleapis.com/auth/spreadsheets', 'https://www.googleapis.com/auth/drive'];
const claims = z.object({
  iss: z.string(),
  scope: z.string(),
  aud: z.string(),
  iat: z.number(),
  exp: z.number(),
});

export function makeServiceAccount(email: string): ServiceAccount {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { email, publicKey, privateKey };
}

/** The JSON file that Google's console gives for a service account. */
export function serviceAccountJson(account: ServiceAccount): string {
  return JSON.stringify({
    type: 'service_account',
    project_id: 'studio-sample',
    private_key_id: 'sample',
    private_key: account.privateKey,
    client_email: account.email,
    client_id: '100000000000000000000',
    token_uri: 'https://oauth2.googleapis.com/token',
  });
}

/** Google's token endpoint: a signed assertion of a known service account (RFC 7523), or a known refresh token. */
export class GoogleSignIn {
  readonly accounts = new Map<string, ServiceAccount>();
  /** Refresh token → whose it is. */
  readonly refreshTokens = new Map<string, string>();
  readonly #tokens = new Map<string, { email: string; expiresAtMs: number }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  token(request: DoubleRequest): DoubleResponse {
    const form = new URLSearchParams(request.body);
    const grant = form.get('grant_type');
    let email: string;
    if (grant === jwtGrant) email = this.#verify(form.get('assertion') ?? '');
    else if (grant === 'refresh_token') {
      const whose = this.refreshTokens.get(form.get('refresh_token') ?? '');
      if (whose === undefined) throw oauthError('invalid_grant', 'Token has been expired or revoked.');
      email = whose;
    } else throw oauthError('unsupported_grant_type', `Invalid grant_type: ${grant ?? ''}`);
    const token = `ya29.${randomBytes(24).toString('base64url')}`;
    this.#tokens.set(token, { email, expiresAtMs: this.#now() + 3_600_000 });
    return { status: 200, body: { access_token: token, expires_in: 3599, token_type: 'Bearer' } };
  }

  /** Whose request it is; 401 in Google's words for a token that is missing, unknown or old. */
  whose(request: DoubleRequest): string {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const known = this.#tokens.get(token);
    if (known && known.expiresAtMs > this.#now()) return known.email;
    throw new Refusal({
      status: 401,
      body: {
        error: {
          code: 401,
          message:
            'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.',
          status: 'UNAUTHENTICATED',
        },
      },
    });
  }

  /** As if Google had withdrawn every token it gave. */
  revokeAll(): void {
    this.#tokens.clear();
  }

  #verify(assertion: string): string {
    const [header, payload, signature] = assertion.split('.');
    if (!header || !payload || !signature) throw oauthError('invalid_grant', 'Bad Request');
    const parsed = claims.safeParse(decode(payload));
    if (!parsed.success) throw oauthError('invalid_grant', 'Invalid JWT: required claims are missing.');
    const { iss, scope, iat, exp } = parsed.data;
    const account = this.accounts.get(iss);
    if (account === undefined) throw oauthError('invalid_grant', 'Invalid grant: account not found');
    const isSigned = createVerify('RSA-SHA256')
      .update(`${header}.${payload}`)
      .verify(account.publicKey, signature, 'base64url');
    if (!isSigned) throw oauthError('invalid_grant', 'Invalid JWT Signature.');
    const now = this.#now() / 1000;
    if (exp < now || iat > now + 300 || exp - iat > 3600) {
      throw oauthError(
        'invalid_grant',
        'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.',
      );
    }
    if (!scope.split(' ').some((one) => sheetsScopes.includes(one))) throw oauthError('invalid_scope', scope);
    return account.email;
  }
}

function decode(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    return null;
  }
}

function oauthError(error: string, description: string): Refusal {
  return new Refusal({ status: 400, body: { error, error_description: description } });
}
