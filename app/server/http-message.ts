import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DailiesError } from '#catalog/error.ts';

/** Node's request as fetch has it. Aborted when the client goes away. */
export function toRequest(message: IncomingMessage, response: ServerResponse, origin: string): Request {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers)) {
    if (value === undefined || name.startsWith(':')) continue;
    for (const item of Array.isArray(value) ? value : [value]) headers.append(name, item);
  }
  const method = message.method ?? 'GET';
  const hasBody = method !== 'GET' && method !== 'HEAD';
  return new Request(new URL(message.url ?? '/', origin), {
    method,
    headers,
    signal: gone.signal,
    ...(hasBody ? { body: bodyOf(message), duplex: 'half' } : {}),
  } as RequestInit);
}

/** More than any request of ours needs; routes have lower limits of their own. */
const maxBodyBytes = 32 << 20;

function bodyOf(message: IncomingMessage): ReadableStream<Uint8Array> {
  let length = 0;
  const limited = async function* () {
    for await (const chunk of message as AsyncIterable<Uint8Array>) {
      length += chunk.byteLength;
      if (length > maxBodyBytes)
        throw new DailiesError('too_large', `The request is larger than ${maxBodyBytes >> 20} MiB.`);
      yield chunk;
    }
  };
  return Readable.toWeb(Readable.from(limited(), { objectMode: false })) as ReadableStream<Uint8Array>;
}

/** Sends it, as fast as the client takes it. A client that goes away in between is no error. */
export async function sendResponse(
  answer: Response,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.statusCode = answer.status;
  const cookies = answer.headers.getSetCookie();
  for (const [name, value] of answer.headers) if (name !== 'set-cookie') response.setHeader(name, value);
  if (cookies.length > 0) response.setHeader('set-cookie', cookies);
  if (answer.body === null || message.method === 'HEAD') {
    response.end();
    return;
  }
  try {
    await pipeline(answer.body as unknown as AsyncIterable<Uint8Array>, response);
  } catch (error) {
    if (!response.destroyed) throw error;
  }
}

/** Throws `too_large` before more than `maxBytes` are held. */
export async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = () =>
    new DailiesError('too_large', `The request is larger than ${Math.round(maxBytes / 1024)} KiB.`);
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  if (request.body === null) return '';
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return new TextDecoder('utf-8', { fatal: false }).decode(Buffer.concat(chunks));
}

/** Throws `invalid` where it is not JSON, or holds a text that cannot be kept. An empty body is an empty object. */
export async function readJson(request: Request, maxBytes = 1 << 20): Promise<unknown> {
  const text = await readText(request, maxBytes);
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text, refuseUnkept);
  } catch (cause) {
    if (cause instanceof DailiesError) throw cause;
    throw new DailiesError('invalid', 'The request is not JSON.', { cause });
  }
}

/** Postgres takes neither the character NUL nor half a surrogate pair. */
function refuseUnkept(name: string, value: unknown): unknown {
  for (const text of [name, value])
    if (typeof text === 'string' && (text.includes('\0') || !text.isWellFormed()))
      throw new DailiesError('invalid', 'The request holds the character NUL or half a character.');
  return value;
}

export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  const text = JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item));
  return new Response(text, {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...headers },
  });
}

export function noContent(): Response {
  return new Response(null, { status: 204 });
}
