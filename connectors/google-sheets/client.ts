import { createHash, createSign } from 'node:crypto';
import { sheets, type sheets_v4 } from '@googleapis/sheets';
import { OAuth2Client } from 'google-auth-library';
import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import type { DestinationDeps } from '../destination.ts';
import type { Pace } from '../pace.ts';
import { type Failure, sendRequest } from '../request.ts';

/** Google's quota for one account on one project, for reads and writes apart. */
export const quota = { count: 60, perMs: 61_000 };

const scope = 'https://www.googleapis.com/auth/spreadsheets';
const googleTokenUrl = 'https://oauth2.googleapis.com/token';
const requestTimeoutMs = 180_000;

const serviceAccount = z.object({
  client_email: z.string().min(3),
  private_key: z.string().min(20),
  private_key_id: z.string().optional(),
  token_uri: z.string().optional(),
});
const refreshToken = z.object({
  client_id: z.string().default(''),
  client_secret: z.string().default(''),
  refresh_token: z.string().min(1),
});
type Credential =
  | { kind: 'service-account'; email: string; key: z.output<typeof serviceAccount> }
  | { kind: 'oauth'; token: z.output<typeof refreshToken> };

/** A service account's JSON file, `{client_id, client_secret, refresh_token}`, or a refresh token alone. */
export function readCredential(text: string): Credential {
  const trimmed = text.trim();
  if (trimmed !== '' && !trimmed.startsWith('{')) {
    return { kind: 'oauth', token: { client_id: '', client_secret: '', refresh_token: trimmed } };
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(trimmed);
  } catch {
    throw badCredential();
  }
  const account = serviceAccount.safeParse(parsed);
  if (account.success) return { kind: 'service-account', email: account.data.client_email, key: account.data };
  const oauth = refreshToken.safeParse(parsed);
  if (oauth.success) return { kind: 'oauth', token: oauth.data };
  throw badCredential();
}

function badCredential(): DailiesError {
  return new DailiesError(
    'destination_unauthenticated',
    "The credential for Google is neither a service account's JSON nor an OAuth refresh token. Set the secret again with the whole file that Google gave you.",
  );
}

interface AccessToken {
  token: string;
  expiresAtMs: number;
}

/** Access tokens of this process, by credential and address; they live as long as what counts the quota. */
const tokensByPace = new WeakMap<Pace, Map<string, AccessToken>>();

/** One spreadsheet through Google's own client, with our policy of quota, retry and plain sentences. */
export class SheetsClient {
  readonly spreadsheet: string;
  /** The address that the sheet has to be shared with; null for a person's own token. */
  readonly email: string | null;
  /** Write requests sent. */
  written = 0;
  readonly #credential: Credential;
  readonly #account: string;
  readonly #deps: DestinationDeps;

  constructor(spreadsheet: string, credentials: string, deps: DestinationDeps) {
    this.spreadsheet = spreadsheet;
    this.#credential = readCredential(credentials);
    this.email = this.#credential.kind === 'service-account' ? this.#credential.email : null;
    this.#account = createHash('sha256').update(credentials).digest('base64url');
    this.#deps = deps;
  }

  /** A request that changes nothing; repeated when it fails. */
  read<T>(
    call: (api: sheets_v4.Sheets, options: CallOptions) => Promise<{ data: T }>,
    signal: AbortSignal,
  ): Promise<T> {
    return this.#send('read', call, signal);
  }

  /** A request that changes the spreadsheet, whole or not at all; never repeated when its answer is lost. */
  write<T>(
    call: (api: sheets_v4.Sheets, options: CallOptions) => Promise<{ data: T }>,
    signal: AbortSignal,
  ): Promise<T> {
    return this.#send('write', call, signal);
  }

  async #send<T>(
    kind: 'read' | 'write',
    call: (api: sheets_v4.Sheets, options: CallOptions) => Promise<{ data: T }>,
    signal: AbortSignal,
  ): Promise<T> {
    try {
      return await this.#sendOnce(kind, call, signal);
    } catch (thrown) {
      // Google may withdraw an access token before its time: one new one is asked for. Nothing was carried out.
      if (!(thrown instanceof DailiesError) || thrown.details.status !== 401) throw thrown;
      return this.#sendOnce(kind, call, signal);
    }
  }

  async #sendOnce<T>(
    kind: 'read' | 'write',
    call: (api: sheets_v4.Sheets, options: CallOptions) => Promise<{ data: T }>,
    signal: AbortSignal,
  ): Promise<T> {
    const token = await this.#accessToken(signal);
    const auth = new OAuth2Client();
    auth.setCredentials({ access_token: token });
    const base = this.#deps.googleUrl;
    const prefix = base === null ? '' : new URL(base).pathname.replace(/\/+$/, '');
    if (prefix !== '') {
      // The client keeps only the origin of an address that it is given.
      auth.transporter.interceptors.request.add({
        resolved: async (config) => {
          const url = new URL(config.url);
          url.pathname = prefix + url.pathname;
          config.url = url;
          return config;
        },
      });
    }
    const api = sheets({ version: 'v4', auth, ...(base === null ? {} : { rootUrl: base }) });
    const options: CallOptions = { retry: false, timeout: requestTimeoutMs, signal };
    return sendRequest(
      {
        pace: this.#deps.pace,
        bucket: `google/${this.#account}/${kind}`,
        limit: quota,
        service: 'Google Sheets',
        classify: (thrown) => this.#classify(thrown),
        lockOutMs: (attempt) => Math.min(64_000, 1000 * 2 ** attempt),
      },
      kind === 'read',
      async () => {
        if (kind === 'write') this.written++;
        return (await call(api, options)).data;
      },
      signal,
    );
  }

  async #accessToken(signal: AbortSignal): Promise<string> {
    const { pace, googleUrl } = this.#deps;
    const tokens = tokensByPace.get(pace) ?? new Map<string, AccessToken>();
    tokensByPace.set(pace, tokens);
    const name = `${googleUrl ?? ''} ${this.#account}`;
    const kept = tokens.get(name);
    if (kept && kept.expiresAtMs > pace.clock.now() + 60_000) return kept.token;
    const fresh = await sendRequest(
      {
        pace,
        bucket: `google/${this.#account}/token`,
        limit: quota,
        service: "Google's sign-in",
        classify: (thrown) => this.#classify(thrown),
        lockOutMs: (attempt) => 1000 * 2 ** attempt,
      },
      true,
      () => this.#requestToken(signal),
      signal,
    );
    tokens.set(name, fresh);
    return fresh.token;
  }

  async #requestToken(signal: AbortSignal): Promise<AccessToken> {
    const { pace, googleUrl } = this.#deps;
    const response = await fetch(googleUrl === null ? googleTokenUrl : `${googleUrl.replace(/\/+$/, '')}/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(this.#grant()),
      signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)]),
    });
    if (!response.ok) throw { status: response.status, isTokenRequest: true, headers: response.headers };
    const answer = z
      .object({ access_token: z.string(), expires_in: z.number().default(3600) })
      .parse(await response.json());
    return { token: answer.access_token, expiresAtMs: pace.clock.now() + answer.expires_in * 1000 };
  }

  /** RFC 7523 for a service account, RFC 6749 section 6 for a refresh token. */
  #grant(): Record<string, string> {
    const credential = this.#credential;
    if (credential.kind === 'oauth') {
      const { client_id, client_secret, refresh_token } = credential.token;
      return {
        grant_type: 'refresh_token',
        refresh_token,
        ...(client_id === '' ? {} : { client_id }),
        ...(client_secret === '' ? {} : { client_secret }),
      };
    }
    const issuedAt = Math.floor(this.#deps.pace.clock.now() / 1000);
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const { client_email, private_key, private_key_id, token_uri } = credential.key;
    const unsigned = `${part({ alg: 'RS256', typ: 'JWT', ...(private_key_id ? { kid: private_key_id } : {}) })}.${part({
      iss: client_email,
      scope,
      aud: token_uri ?? googleTokenUrl,
      iat: issuedAt,
      exp: issuedAt + 3600,
    })}`;
    let signature: string;
    try {
      signature = createSign('RSA-SHA256').update(unsigned).sign(private_key, 'base64url');
    } catch {
      throw badCredential();
    }
    return { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: `${unsigned}.${signature}` };
  }

  #classify(thrown: unknown): Failure {
    if (thrown instanceof DailiesError) return { kind: 'refused', error: thrown };
    const { status, reasons, retryAfterMs, isTokenRequest } = readFailure(thrown);
    if (status === null) return { kind: 'connection' };
    if (status === 429 || reasons.some((reason) => /^(user)?rateLimitExceeded$/i.test(reason))) {
      return { kind: 'throttled', retryAfterMs };
    }
    if (status >= 500) return { kind: 'server', status };
    return { kind: 'refused', error: this.#refusal(status, reasons, isTokenRequest) };
  }

  #refusal(status: number, reasons: readonly string[], isTokenRequest: boolean): DailiesError {
    const details = { spreadsheet: this.spreadsheet, status, reasons };
    const who = this.email ?? 'the person whose token this is';
    if (status === 401 || isTokenRequest) {
      tokensByPace.get(this.#deps.pace)?.clear();
      return new DailiesError(
        'destination_unauthenticated',
        `Google does not accept the credential of ${who} (${status}). It was revoked, deleted or is not whole: set the secret again.`,
        { details },
      );
    }
    if (status === 403 && reasons.includes('SERVICE_DISABLED')) {
      return new DailiesError(
        'destination_forbidden',
        `The Google Sheets API is switched off in the Google Cloud project of ${who}. Enable it there, then run the report again.`,
        { details },
      );
    }
    if (status === 403 && reasons.includes('storageQuotaExceeded')) {
      return new DailiesError(
        'destination_forbidden',
        `${who} owns no storage at Google, so it cannot make a spreadsheet. Make the sheet yourself and share it with ${who} as an editor.`,
        { details },
      );
    }
    if (status === 403) {
      return new DailiesError(
        'destination_forbidden',
        `${who} may not edit the Google sheet ${this.spreadsheet} (403). Share the sheet with ${who} as an editor, then run the report again.`,
        { details },
      );
    }
    if (status === 404) {
      return new DailiesError(
        'destination_not_found',
        `There is no Google sheet ${this.spreadsheet} that ${who} can see (404). Check the spreadsheet's id (the long part of its address) and share the sheet with ${who} as an editor.`,
        { details },
      );
    }
    return new DailiesError(
      'destination_invalid',
      `Google refused a request on the sheet ${this.spreadsheet} (${status}). Check that its tab, its protected ranges and its size allow what the report delivers.`,
      { details },
    );
  }
}

export interface CallOptions {
  retry: false;
  timeout: number;
  signal: AbortSignal;
}

const googleError = z.object({
  error: z.object({
    status: z.string().optional(),
    errors: z.array(z.object({ reason: z.string().optional() })).optional(),
    details: z.array(z.object({ reason: z.string().optional() })).optional(),
  }),
});

/** What a thrown GaxiosError, or our own token request, says; `status` null where no answer came. */
function readFailure(thrown: unknown): {
  status: number | null;
  reasons: string[];
  retryAfterMs: number | null;
  isTokenRequest: boolean;
} {
  const failure = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as {
    status?: unknown;
    isTokenRequest?: boolean;
    headers?: Headers;
    response?: { status?: number; headers?: Headers; data?: unknown };
  };
  const status = failure.response?.status ?? (typeof failure.status === 'number' ? failure.status : null);
  const body = googleError.safeParse(failure.response?.data);
  const error = body.success ? body.data.error : {};
  const reasons = [
    error.status,
    ...(error.errors ?? []).map((one) => one.reason),
    ...(error.details ?? []).map((one) => one.reason),
  ];
  const retryAfter = readHeader(failure.response?.headers ?? failure.headers, 'retry-after');
  return {
    status,
    reasons: reasons.filter((reason) => reason !== undefined),
    retryAfterMs: typeof retryAfter !== 'string' ? null : retryAfterMs(retryAfter),
    isTokenRequest: failure.isTokenRequest === true,
  };
}

function readHeader(headers: unknown, name: string): string | null {
  if (typeof headers !== 'object' || headers === null) return null;
  // Each HTTP library has a Headers class of its own.
  if ('get' in headers && typeof headers.get === 'function') return headers.get(name) ?? null;
  const value = (headers as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : null;
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
function retryAfterMs(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}
