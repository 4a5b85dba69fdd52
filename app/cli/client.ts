import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { json as readJson } from 'node:stream/consumers';
import type { Environment } from '#catalog/environment.ts';
import { DailiesError, type ErrorCode, errorPolicy } from '#catalog/error.ts';
import { socketPath } from '../server/socket-path.ts';

/** The running product, as commands reach it. */
export interface Client {
  /** Sends JSON, gives the parsed JSON answer. Throws what the product answered as a problem, with its code. */
  json<T>(method: string, address: string, body?: unknown): Promise<T>;
  /** The body as it comes. `accept` names its media type. */
  stream(address: string, accept?: string): Promise<Readable>;
  /** The same, on behalf of somebody else; for admins. */
  as(email: string): Client;
}

/**
 * Through the socket in the home folder where one answers, else through DAILIES_URL with DAILIES_TOKEN. Throws
 * `not_found` with what to do where neither is there.
 */
export async function connect(environment: Environment, env: NodeJS.ProcessEnv = process.env): Promise<Client> {
  const socket = socketPath(environment.home);
  if (fs.existsSync(socket) && (await answers(socket))) return client({ socketPath: socket, host: 'localhost' });
  if (!env.DAILIES_URL) {
    const message = `Nothing runs on ${path.relative(process.cwd(), environment.home) || '.'}: start it with "dailies up", or set DAILIES_URL and DAILIES_TOKEN to reach one elsewhere.`;
    throw new DailiesError('not_found', message);
  }
  if (!env.DAILIES_TOKEN) {
    throw new DailiesError(
      'unauthenticated',
      'DAILIES_URL is set, DAILIES_TOKEN is not: make a token with "dailies token create".',
    );
  }
  const token = env.DAILIES_TOKEN.trim();
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new DailiesError('unauthenticated', 'DAILIES_TOKEN is no API token: one is a single word, as it was shown.');
  return client({ url: new URL(environment.url), token });
}

type Way = { socketPath: string; host: string } | { url: URL; token: string };

function client(way: Way, always: http.OutgoingHttpHeaders = {}): Client {
  const send = async (method: string, address: string, body?: unknown, accept = 'application/json') => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers: http.OutgoingHttpHeaders = { ...always, accept };
    if (text !== undefined)
      Object.assign(headers, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    const answer = await request(way, method, address, headers, text);
    if ((answer.statusCode ?? 500) >= 400) throw await problem(answer);
    return answer;
  };
  return {
    json: async <T>(method: string, address: string, body?: unknown) => {
      const answer = await send(method, address, body);
      if (answer.statusCode === 204) {
        answer.resume();
        return undefined as T;
      }
      return (await readJson(answer)) as T;
    },
    stream: (address, accept) => send('GET', address, undefined, accept),
    as: (email) => client(way, { ...always, 'dailies-as': email }),
  };
}

function request(
  way: Way,
  method: string,
  address: string,
  headers: http.OutgoingHttpHeaders,
  body: string | undefined,
) {
  return new Promise<http.IncomingMessage>((resolve, reject) => {
    const isRemote = 'url' in way;
    const options: http.RequestOptions = isRemote
      ? { method, headers: { ...headers, authorization: `Bearer ${way.token}` } }
      : { method, headers, socketPath: way.socketPath, host: way.host, path: address };
    const call = isRemote
      ? (way.url.protocol === 'https:' ? https : http).request(
          new URL(way.url.pathname.replace(/\/$/, '') + address, way.url),
          options,
        )
      : http.request(options);
    call.once('response', resolve);
    call.once('error', (cause) => {
      const where = isRemote ? way.url.href : way.socketPath;
      reject(new DailiesError('not_found', `${where} did not answer: ${cause.message}.`, { cause }));
    });
    call.end(body);
  });
}

async function problem(answer: http.IncomingMessage): Promise<DailiesError> {
  let body: { code?: string; title?: string; detail?: string; details?: Record<string, unknown> };
  try {
    body = (await readJson(answer)) as typeof body;
  } catch (cause) {
    return new DailiesError('internal', `The answer was ${answer.statusCode} without an explanation.`, { cause });
  }
  const code = body.code !== undefined && Object.hasOwn(errorPolicy, body.code) ? (body.code as ErrorCode) : 'internal';
  return new DailiesError(code, body.detail ?? body.title ?? `The answer was ${answer.statusCode}.`, {
    details: body.details ?? {},
  });
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const call = http.request({ socketPath: socket, path: '/healthz', timeout: 30_000 }, (answer) => {
      answer.resume();
      resolve(true);
    });
    call.once('error', () => resolve(false));
    call.once('timeout', () => call.destroy());
    call.end();
  });
}
