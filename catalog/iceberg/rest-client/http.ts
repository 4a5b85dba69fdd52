import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { parseJson, printJson } from '../metadata/json.ts';

export interface RestRequest {
  method: 'GET' | 'POST' | 'DELETE';
  url: string;
  headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, bigints as plain integers. */
  body?: unknown;
  /** Sent as a form in place of JSON. */
  form?: Readonly<Record<string, string>>;
}

export interface RestAnswer {
  status: number;
  headers: Headers;
  /** Parsed JSON, integers beyond 2^53 as bigint; null for none. */
  json: unknown;
  /** How long the answer was, in characters. */
  length: number;
}

/** The server answered with an error of its own: what was asked has certainly not been done, unless it is a 5xx. */
export class RestRefusal extends Error {
  readonly status: number;
  /** The exception's name in the protocol's error model, '' where the answer is none. */
  readonly type: string;
  readonly retryAfterMs: number;

  constructor(status: number, type: string, message: string, retryAfterMs: number) {
    super(message);
    this.status = status;
    this.type = type;
    this.retryAfterMs = retryAfterMs;
  }
}

/** No whole answer came. */
export class RestSilence extends Error {
  /** False where the request certainly did not reach the server. */
  readonly isSent: boolean;

  constructor(message: string, isSent: boolean, cause: unknown) {
    super(message, { cause });
    this.isSent = isSent;
  }
}

const errorBody = z.object({
  error: z.object({ message: z.string().nullish(), type: z.string().nullish(), code: z.int().optional() }),
});
/** OAuth2 has an error model of its own (RFC 6749, 5.2). */
const oauthErrorBody = z.object({ error: z.string(), error_description: z.string().optional() });

/** Asks once. Throws `RestRefusal` for every status of 400 and above, `RestSilence` where no whole answer came in time. */
export async function sendOnce(request: RestRequest, timeoutMs: number): Promise<RestAnswer> {
  const timeout = AbortSignal.timeout(timeoutMs);
  let response: Response;
  let text: string;
  try {
    response = await fetch(request.url, {
      method: request.method,
      headers: { accept: 'application/json', ...contentType(request), ...request.headers },
      ...bodyOf(request),
      signal: timeout,
    });
    text = await response.text();
  } catch (thrown) {
    if (timeout.aborted) throw new RestSilence(`no answer within ${timeoutMs / 1000} s`, true, thrown);
    const code = networkCode(thrown);
    throw new RestSilence(
      code === null ? 'the connection failed' : `the connection failed with ${code}`,
      !isUnsent(code),
      thrown,
    );
  }
  if (response.status >= 400) throw refusalOf(response, text);
  return { status: response.status, headers: response.headers, json: jsonOf(text), length: text.length };
}

/** Attempts of one request, the first at once, the others after waits that double, with jitter. */
export interface Patience {
  attempts: number;
  firstWaitMs: number;
  longestWaitMs: number;
}

export async function waitBefore(attempt: number, patience: Patience, atLeastMs = 0): Promise<void> {
  const whole = Math.min(patience.longestWaitMs, patience.firstWaitMs * 2 ** (attempt - 1));
  await delay(Math.max(Math.min(atLeastMs, patience.longestWaitMs), whole * (0.5 + Math.random() / 2)));
}

/** True for errors that may pass by themselves. */
export function isPassing(thrown: unknown): boolean {
  if (thrown instanceof RestSilence) return true;
  return thrown instanceof RestRefusal && (thrown.status === 408 || thrown.status === 429 || thrown.status >= 500);
}

function bodyOf(request: RestRequest): { body?: string } {
  if (request.form) return { body: new URLSearchParams(request.form).toString() };
  return request.body === undefined ? {} : { body: printJson(request.body) };
}

function contentType(request: RestRequest): Record<string, string> {
  if (request.form) return { 'content-type': 'application/x-www-form-urlencoded' };
  return request.body === undefined ? {} : { 'content-type': 'application/json' };
}

function refusalOf(response: Response, text: string): RestRefusal {
  const json = jsonOf(text);
  const retryAfterMs = Number(response.headers.get('retry-after') ?? 0) * 1000 || 0;
  const iceberg = errorBody.safeParse(json).data?.error;
  if (iceberg) {
    return new RestRefusal(response.status, iceberg.type ?? '', shorten(iceberg.message ?? ''), retryAfterMs);
  }
  const oauth = oauthErrorBody.safeParse(json).data;
  // What stands in front of a server, or holds it, says it in a page.
  const title = /<title>([^<]*)<\/title>/.exec(text)?.[1]?.trim() ?? '';
  const message = oauth ? `${oauth.error} ${oauth.error_description ?? ''}`.trim() : title;
  return new RestRefusal(response.status, '', shorten(message), retryAfterMs);
}

function jsonOf(text: string): unknown {
  if (text === '') return null;
  try {
    return parseJson(text);
  } catch (thrown) {
    // What stands in front of a server answers in HTML: whoever wants JSON of it says that it is none.
    if (thrown instanceof SyntaxError) return null;
    throw thrown;
  }
}

function shorten(message: string): string {
  const line = message.split('\n', 1)[0] ?? '';
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

/** Node's fetch hides the reason in the cause of a TypeError. */
function networkCode(thrown: unknown): string | null {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  const { code, errors } = (cause ?? {}) as { code?: unknown; errors?: { code?: unknown }[] };
  const found = code ?? errors?.[0]?.code;
  return typeof found === 'string' ? found : null;
}

function isUnsent(code: string | null): boolean {
  return code !== null && ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'].includes(code);
}
