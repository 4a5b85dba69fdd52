import { createHash } from 'node:crypto';
import type { Prisma } from '#prisma/generated/client.ts';
import type { IcebergRestDeps } from './rest-deps.ts';
import { badRequest, RestError, restErrorOf } from './rest-error.ts';
import { textResponse } from './rest-response.ts';

/*
 * Requests with an `Idempotency-Key` (REST catalog's OpenAPI): worked once, however often a client sends them.
 *
 *   no row ──insert──► row without status ──answered: 2xx, 4xx──► row with status ──lifetime──► no row
 *                          │    ▲                                      │
 *                          │    └─ a repeat meanwhile: 503             └─ a repeat: the same answer
 *                          └─ 5xx, or nothing for so long that its server must have died ──► no row
 *
 * A commit of tables sets the status in its own transaction: one that was applied is never worked again.
 */

/** How long a key is known, as the catalog's config says it (ISO 8601), and in ms. */
export const idempotencyLifetime = 'PT30M';
const lifetimeMs = 30 * 60_000;

const abandonedMs = 5 * 60_000;

/** Answers a request with a key. `reload` answers a repeat anew, where an answer may be large or hold credentials. */
export async function answerOnce(
  deps: IcebergRestDeps,
  request: Request,
  body: string,
  work: (deps: IcebergRestDeps) => Promise<Response>,
  reload: (() => Promise<Response>) | null,
): Promise<Response> {
  const key = request.headers.get('idempotency-key') ?? '';
  if (!/^[0-9a-f-]{36}$/i.test(key)) throw badRequest('The Idempotency-Key must be a UUID.');
  const id = `${deps.who.email} ${key.toLowerCase()}`;
  const fingerprint = fingerprintOf(request, body);
  const { icebergReply } = deps.catalog.state;
  const before = (ms: number) => ({ createdAt: { lt: new Date(Date.now() - ms) } });
  await icebergReply.deleteMany({ where: { OR: [before(lifetimeMs), { id, status: null, ...before(abandonedMs) }] } });
  const { count } = await icebergReply.createMany({ data: [{ id, fingerprint }], skipDuplicates: true });
  if (count === 0) return await knownAnswer(deps, id, fingerprint, reload);
  const finish = async (tx: Prisma.TransactionClient) => {
    await tx.icebergReply.updateMany({ where: { id }, data: { status: 200, body: '' } });
  };
  try {
    const answer = await work({ ...deps, alongsideCommit: finish });
    const text = reload === null ? await answer.clone().text() : '';
    await icebergReply.updateMany({ where: { id }, data: { status: answer.status, body: text } });
    return answer;
  } catch (thrown) {
    const error = restErrorOf(thrown);
    if (error !== null && error.status < 500 && error.status !== 429) {
      const told = JSON.stringify({ type: error.type, message: error.message });
      await icebergReply.updateMany({ where: { id, status: null }, data: { status: error.status, body: told } });
    } else {
      await icebergReply.deleteMany({ where: { id, status: null } });
    }
    throw thrown;
  }
}

async function knownAnswer(
  deps: IcebergRestDeps,
  id: string,
  fingerprint: Uint8Array,
  reload: (() => Promise<Response>) | null,
): Promise<Response> {
  const known = await deps.catalog.state.icebergReply.findUnique({ where: { id } });
  if (known !== null && !Buffer.from(known.fingerprint).equals(fingerprint)) {
    throw new RestError(422, 'UnprocessableEntityException', 'This Idempotency-Key was used for another request.');
  }
  const status = known?.status ?? null;
  if (known === null || status === null) {
    throw new RestError(
      503,
      'ServiceUnavailableException',
      'The first request with this Idempotency-Key is not done yet.',
    );
  }
  if (status >= 400) {
    const { type, message } = JSON.parse(known.body ?? '') as { type: string; message: string };
    throw new RestError(status, type, message);
  }
  if (reload !== null) return await reload();
  return status === 204 || known.body === ''
    ? new Response(null, { status: 204 })
    : textResponse(known.body ?? '', status);
}

function fingerprintOf(request: Request, body: string): Uint8Array<ArrayBuffer> {
  const { pathname, search } = new URL(request.url);
  return Uint8Array.from(createHash('sha256').update(`${request.method} ${pathname}${search}\n`).update(body).digest());
}
