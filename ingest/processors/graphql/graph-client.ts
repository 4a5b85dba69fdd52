import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import { parseExactJson } from '../../raw-number.ts';
import { refused } from './query-plan.ts';

export interface GraphClientOptions {
  endpoint: string;
  headers: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** Further tries after the first. */
  retries: number;
  fetch: typeof globalThis.fetch;
}

const replySchema = z.object({
  data: z.record(z.string(), z.unknown()).nullish(),
  errors: z
    .array(
      z.object({
        message: z.string(),
        path: z.array(z.union([z.string(), z.number()])).nullish(),
        locations: z.array(z.unknown()).nullish(),
        extensions: z.object({ code: z.unknown() }).nullish(),
      }),
    )
    .nullish(),
});

export interface GraphError {
  message: string;
  path: readonly (string | number)[];
  code: string | null;
}

export interface GraphReply {
  /** Null where the whole request failed. */
  data: Readonly<Record<string, unknown>> | null;
  errors: readonly GraphError[];
}

/** One try that failed in a way that the next may not. */
class TryAgain extends Error {
  readonly afterMs: number;

  constructor(reason: string, afterMs = 0) {
    super(reason);
    this.afterMs = afterMs;
  }
}

const firstPauseMs = 100;
const longestPauseMs = 10_000;

/** Asks a GraphQL service over HTTP (graphql-over-http), again with growing, jittered pauses while it is down, slow or overloaded. */
export class GraphClient {
  readonly #options: GraphClientOptions;
  readonly name: string;

  constructor(options: GraphClientOptions) {
    this.#options = options;
    this.name = publicAddress(options.endpoint);
  }

  /**
   * The reply of the first try whose reply `isUsable`. Throws `graphql_unreachable` when all tries failed, and
   * `graphql_refused` where trying again is no use: no access, or a query that the graph does not understand.
   */
  async ask(
    query: string,
    variables: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    isUsable: (reply: GraphReply) => boolean = (reply) => reply.data !== null,
  ): Promise<GraphReply> {
    for (let attempt = 1; ; attempt++) {
      try {
        const reply = await this.#tryOnce(JSON.stringify({ query, variables }), signal);
        if (isUsable(reply)) return reply;
        throw new TryAgain(`it answered with an error${codes(reply)}`);
      } catch (error) {
        if (!(error instanceof TryAgain)) throw error;
        if (attempt > this.#options.retries) throw this.#unreachable(error.message, attempt, error);
        await this.pause(attempt, signal, error.afterMs);
      }
    }
  }

  /** Waits before the try after `attempt`: twice as long each time, anywhere between half and all of it. */
  async pause(attempt: number, signal: AbortSignal, atLeastMs = 0): Promise<void> {
    const whole = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1));
    await delay(Math.max(Math.min(atLeastMs, longestPauseMs), whole * (0.5 + Math.random() / 2)), undefined, {
      signal,
    });
  }

  async #tryOnce(body: string, signal: AbortSignal): Promise<GraphReply> {
    const timeout = AbortSignal.timeout(this.#options.timeoutMs);
    let response: Response;
    let text: string;
    try {
      response = await this.#options.fetch(this.#options.endpoint, {
        method: 'POST',
        headers: {
          accept: 'application/json',
          'content-type': 'application/json',
          ...this.#options.headers,
        },
        body,
        signal: AbortSignal.any([signal, timeout]),
      });
      text = await response.text();
    } catch (error) {
      signal.throwIfAborted();
      if (timeout.aborted) throw new TryAgain(`no answer within ${this.#options.timeoutMs} ms`);
      throw new TryAgain(networkReason(error));
    }
    return this.#read(response, text);
  }

  #read(response: Response, text: string): GraphReply {
    const { status } = response;
    if (status === 408 || status === 429 || status >= 500)
      throw new TryAgain(
        `it answered with status ${status}`,
        Number(response.headers.get('retry-after') ?? 0) * 1000 || 0,
      );
    const reply = parseReply(text);
    const [unplaced] = reply?.data === null ? reply.errors.filter(({ path }) => path.length === 0) : [];
    if (unplaced !== undefined && (status === 400 || unplaced.code?.startsWith('GRAPHQL_')))
      throw refused(`The graph at ${this.name} refuses the query: ${unplaced.message}`);
    if (status >= 400) throw refused(`The graph at ${this.name} refuses us with status ${status}.`, { status });
    if (reply === null) throw refused(`What answers at ${this.name} does not speak GraphQL.`, { status });
    return reply;
  }

  #unreachable(reason: string, tries: number, cause: unknown): DailiesError {
    const message = `The graph at ${this.name} cannot be asked: ${reason} (${tries} ${tries === 1 ? 'try' : 'tries'}).`;
    return new DailiesError('graphql_unreachable', message, { cause, details: { endpoint: this.name, tries } });
  }
}

function parseReply(text: string): GraphReply | null {
  let json: unknown;
  try {
    json = parseExactJson(text);
  } catch {
    return null;
  }
  const parsed = replySchema.safeParse(json);
  if (!parsed.success || (parsed.data.data === undefined && parsed.data.errors === undefined)) return null;
  const errors = (parsed.data.errors ?? []).map(({ message, path, extensions }) => ({
    message: message.slice(0, 300),
    path: path ?? [],
    code: typeof extensions?.code === 'string' ? extensions.code : null,
  }));
  return { data: parsed.data.data ?? null, errors };
}

function codes({ errors }: GraphReply): string {
  const known = new Set(errors.flatMap(({ code }) => (code === null ? [] : [code])));
  return known.size === 0 ? '' : ` (${[...known].join(', ')})`;
}

/** Address without credentials or parameters. */
function publicAddress(endpoint: string): string {
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new DailiesError(
      'definition_invalid',
      'The endpoint of graphql-enrich must be an http:// or https:// address.',
    );
  const { origin, pathname, username, password } = new URL(endpoint);
  if (username !== '' || password !== '')
    throw new DailiesError(
      'definition_invalid',
      'The endpoint of graphql-enrich holds credentials: send them in headers.',
    );
  return origin + pathname;
}

/** Node's fetch hides the reason in the cause of a TypeError. */
function networkReason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const { code, errors } = (cause ?? {}) as { code?: unknown; errors?: { code?: unknown }[] };
  const found = code ?? errors?.[0]?.code;
  return typeof found === 'string' ? `the connection failed with ${found}` : 'the connection failed';
}
