import { chmod, rm } from 'node:fs/promises';
import http from 'node:http';
import { text as readAll } from 'node:stream/consumers';
import { DailiesError, type ErrorCode, errorPolicy, toDailiesError } from '#catalog/error.ts';
import type { RetainedChanges } from '#catalog/services/pipeline/replay.ts';
import type { Intake, ProducerReceipt, ProducerRequest } from '#ingest/intake.ts';
import { closeServer } from './close-server.ts';
import { listen } from './listen.ts';
import { socketPath } from './socket-path.ts';

/*
 * Between the process that producers talk to and the one that runs their sources: HTTP on a socket in the home folder, which
 * only its owner may open. Who asks is already known to be allowed.
 */

const socketName = 'intake.sock';
/** The whole log may have to be looked through. */
const retainedWithinMs = 60_000;

/** Stands in the query of the address; events are the body, as their sender wrote them. */
type Question =
  | { kind: 'events'; source: string; table: string; producer: { id: string; sequence: string } | null }
  | { kind: 'head'; source: string }
  | { kind: 'retained'; pipeline: string; key: string | null };

/** What the process answers of its pipelines. */
interface Pipelines {
  retained(pipeline: string, key: string | null): Promise<RetainedChanges[]>;
}

/** Serves the intake of this process, and answers of its pipelines, until closed. */
export async function serveIntake(
  home: string,
  intake: Intake,
  pipelines: Pipelines,
  tellFault: (error: unknown) => void,
): Promise<{ close(): Promise<void> }> {
  const path = socketPath(home, socketName);
  const server = http.createServer(async (message, response) => {
    let status = 200;
    let answer: unknown;
    try {
      const { searchParams } = new URL(message.url ?? '/', 'http://intake');
      const question = JSON.parse(searchParams.get('question') ?? '') as Question;
      answer = await reply(intake, pipelines, question, await readAll(message));
    } catch (thrown) {
      const error = toDailiesError(thrown);
      if (error.code === 'internal') tellFault(thrown);
      status = 500;
      answer = error.toJSON();
    }
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  // A socket that a killed process left behind; the supervisor runs one process of this kind on a home.
  await rm(path, { force: true });
  await listen(server, { path });
  await chmod(path, 0o600);
  return {
    async close() {
      await closeServer(server);
      await rm(path, { force: true });
    },
  };
}

async function reply(intake: Intake, pipelines: Pipelines, question: Question, body: string): Promise<unknown> {
  if (question.kind === 'retained') return pipelines.retained(question.pipeline, question.key);
  if (question.kind === 'head') return { position: intake.head(question.source) };
  const { source, table, producer } = question;
  const sender = producer && { id: producer.id, sequence: BigInt(producer.sequence) };
  return intake.receive(source, { table, body, producer: sender });
}

/** As `Intake.receive`, of the process that runs the source. */
export function sendToIntake(home: string, source: string, request: ProducerRequest): Promise<ProducerReceipt> {
  const { table, body, producer } = request;
  const sender = producer && { id: producer.id, sequence: String(producer.sequence) };
  return ask<ProducerReceipt>(home, { kind: 'events', source, table, producer: sender }, body);
}

/** As `Intake.head`, of the process that runs the source. */
export async function askIntakeHead(home: string, source: string, signal: AbortSignal): Promise<string> {
  const { position } = await ask<{ position: string }>(home, { kind: 'head', source }, '', signal);
  return position;
}

/** What the log of the process that runs the pipeline holds for it. Throws `source_unreachable` where none answers. */
export async function askRetained(home: string, pipeline: string, key: string | null): Promise<RetainedChanges[]> {
  try {
    return await ask<RetainedChanges[]>(
      home,
      { kind: 'retained', pipeline, key },
      '',
      AbortSignal.timeout(retainedWithinMs),
    );
  } catch (cause) {
    if (!(cause instanceof DailiesError && cause.code === 'source_unreachable')) throw cause;
    throw new DailiesError(
      'source_unreachable',
      'The worker does not answer, so that nobody knows what its log holds. Try again in a second.',
      { cause },
    );
  }
}

async function ask<T>(home: string, question: Question, text: string, signal?: AbortSignal): Promise<T> {
  const query = new URLSearchParams({ question: JSON.stringify(question) });
  const { status, body } = await exchange(socketPath(home, socketName), `/?${query}`, text, signal);
  if (status === 200) return JSON.parse(body) as T;
  const { code, message, details } = JSON.parse(body) as {
    code: string;
    message: string;
    details: Record<string, unknown>;
  };
  throw new DailiesError(Object.hasOwn(errorPolicy, code) ? (code as ErrorCode) : 'internal', message, { details });
}

/** Throws `source_unreachable` where nobody answers, or not to the end: it is not known then what was taken. */
function exchange(
  socket: string,
  path: string,
  text: string,
  signal: AbortSignal | undefined,
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(
        new DailiesError(
          'source_unreachable',
          'The worker that takes events does not answer. Send them again in a second, under the same Producer-Sequence.',
          { cause, details: { retryAfterSeconds: 1 } },
        ),
      );
    const call = http.request({ socketPath: socket, path, method: 'POST', ...(signal ? { signal } : {}) }, (answer) => {
      readAll(answer).then((body) => resolve({ status: answer.statusCode, body }), fail);
    });
    call.once('error', fail);
    call.end(text);
  });
}
