import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

/**
 * What the doubles of other companies' APIs share: HTTP, a record of the requests, faults on demand. Everything that the
 * real service does not have lives under paths that begin with `/__`.
 */
export interface DoubleRequest {
  method: string;
  url: URL;
  /** The path's parts, decoded. */
  parts: string[];
  headers: IncomingMessage['headers'];
  body: string;
  signal: AbortSignal;
}

export interface DoubleResponse {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

/** An answer that ends the request where it is thrown. */
export class Refusal extends Error {
  readonly response: DoubleResponse;

  constructor(response: DoubleResponse) {
    super(`refused with ${response.status}`);
    this.response = response;
  }
}

/**
 * `match` is a part of "METHOD /path?query", `*` standing for any run of characters. `status` answers that in place of
 * carrying the request out; `lost-answer` carries it out and cuts the connection; `slow` waits first.
 */
const fault = z.strictObject({
  match: z.string().default(''),
  kind: z.enum(['status', 'lost-answer', 'slow']),
  times: z.int().min(1).default(1),
  /** How many matching requests pass first. */
  after: z.int().min(0).default(0),
  status: z.int().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  body: z.unknown().optional(),
  ms: z.number().optional(),
});
export type Fault = z.input<typeof fault>;

export interface HttpDouble {
  url: string;
  faults: { add(fault: Fault): void; clear(): void };
  /** Newest last; at most the last 10,000. */
  requests: { method: string; path: string; status: number; at: number }[];
  close(): Promise<void>;
}

export interface HttpDoubleOptions {
  port?: number | undefined;
  host?: string | undefined;
  handle(request: DoubleRequest): Promise<DoubleResponse> | DoubleResponse;
  /** A path of the double's own; true if it answered. */
  admin?(request: DoubleRequest, response: ServerResponse): boolean;
  /** The service's own words for an error status. */
  errorBody(status: number): unknown;
}

const keptRequests = 10_000;

export async function startHttpDouble(options: HttpDoubleOptions): Promise<HttpDouble> {
  const faults: z.output<typeof fault>[] = [];
  const requests: HttpDouble['requests'] = [];

  const takeFault = (line: string) => {
    for (const one of faults) {
      const pattern = new RegExp(one.match.split('*').map(escapeForPattern).join('.*'));
      if (!pattern.test(line)) continue;
      if (one.after > 0) {
        one.after--;
        continue;
      }
      one.times--;
      if (one.times === 0) faults.splice(faults.indexOf(one), 1);
      return one;
    }
    return null;
  };

  const answerOwn = (request: DoubleRequest, response: ServerResponse): boolean => {
    if (request.parts[0] === '__faults') {
      if (request.method === 'POST') faults.push(fault.parse(JSON.parse(request.body)));
      if (request.method === 'DELETE') faults.length = 0;
      send(response, { status: 200, body: { faults } });
      return true;
    }
    if (request.parts[0] === '__requests') {
      if (request.method === 'DELETE') requests.length = 0;
      send(response, { status: 200, body: { requests } });
      return true;
    }
    return options.admin?.(request, response) ?? false;
  };

  const serve = async (incoming: IncomingMessage, response: ServerResponse) => {
    const request = await readRequest(incoming, response);
    if (request.parts[0]?.startsWith('__') && answerOwn(request, response)) return;
    const path = request.url.pathname + request.url.search;
    const injected = takeFault(`${request.method} ${decodeURIComponent(path)}`);
    const record = { method: request.method, path, status: 0, at: Date.now() };
    requests.push(record);
    if (requests.length > keptRequests) requests.shift();
    if (injected?.kind === 'slow') await delay(injected.ms ?? 1_000);
    let answer: DoubleResponse;
    if (injected?.kind === 'status') {
      const status = injected.status ?? 500;
      const headers = injected.headers === undefined ? {} : { headers: injected.headers };
      answer = { status, body: injected.body ?? options.errorBody(status), ...headers };
    } else answer = await answerOf(options, request);
    record.status = answer.status;
    if (injected?.kind === 'lost-answer') response.destroy();
    else send(response, answer);
  };

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch((thrown: unknown) => {
      // A broken double must not look like the service's own fault: the connection ends, and the reason is told.
      process.emitWarning(thrown instanceof Error ? thrown : String(thrown));
      response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    faults: { add: (one) => faults.push(fault.parse(one)), clear: () => faults.splice(0) },
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function escapeForPattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

async function answerOf(options: HttpDoubleOptions, request: DoubleRequest): Promise<DoubleResponse> {
  try {
    return await options.handle(request);
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown.response;
    throw thrown;
  }
}

async function readRequest(incoming: IncomingMessage, response: ServerResponse): Promise<DoubleRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = new URL(incoming.url ?? '/', 'http://double');
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  return {
    method: incoming.method ?? 'GET',
    url,
    parts: url.pathname.split('/').filter(Boolean).map(decodeURIComponent),
    headers: incoming.headers,
    body: Buffer.concat(chunks).toString('utf8'),
    signal: gone.signal,
  };
}

export function send(response: ServerResponse, answer: DoubleResponse): void {
  response.writeHead(answer.status, { 'content-type': 'application/json; charset=UTF-8', ...answer.headers });
  response.end(JSON.stringify(answer.body));
}

/** Counts requests in a sliding window; true where one more is too many. */
export class Quota {
  readonly #at = new Map<string, number[]>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  exceeds(bucket: string, limit: { count: number; perMs: number }): boolean {
    const now = this.#now();
    const recent = (this.#at.get(bucket) ?? []).filter((at) => at > now - limit.perMs);
    this.#at.set(bucket, recent);
    if (recent.length >= limit.count) return true;
    recent.push(now);
    return false;
  }
}

/** Tells those who watch that something changed, as server-sent events. */
export class Watchers {
  readonly #byTopic = new Map<string, Set<ServerResponse>>();

  watch(topic: string, version: number, request: DoubleRequest, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(`data: ${JSON.stringify({ version })}\n\n`);
    const watching = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, watching.add(response));
    request.signal.addEventListener('abort', () => watching.delete(response));
  }

  tell(topic: string, version: number): void {
    for (const response of this.#byTopic.get(topic) ?? []) response.write(`data: ${JSON.stringify({ version })}\n\n`);
  }
}
