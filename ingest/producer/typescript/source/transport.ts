import { type EventProblem, ProducerError } from './events.ts';

export interface TransportOptions {
  url: string;
  token: string;
  source: string;
  /** A request that is not answered by then is sent again. */
  timeoutMs: number;
  /** How long to try in all before giving up a request; Infinity: until the producer is closed. */
  giveUpAfterMs: number;
  fetch: typeof fetch;
}

const firstPauseMs = 100;
const longestPauseMs = 10_000;

/**
 * Sends one request until it is answered: again after what passes by itself (no connection, no answer in time, 408, 429, 5xx),
 * with pauses that double from 0.1 to 10 s, or as `Retry-After` says. Repeats bear the same sequence, so that Dailies takes
 * the events once. Resolves when they are durable there; throws ProducerError for a refusal, or when `signal` is aborted.
 */
export async function deliver(
  options: TransportOptions,
  request: { id: string; sequence: bigint; table: string; body: string },
  signal: AbortSignal,
): Promise<void> {
  const startedMs = Date.now();
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const answer = await attempt(options, request, signal);
    if (answer === null) return;
    const waitMs = answer.retryAfterMs ?? pauseMs * (0.5 + Math.random() / 2);
    if (signal.aborted || Date.now() - startedMs + waitMs > options.giveUpAfterMs) throw answer.error;
    await pause(waitMs, signal);
  }
}

/** What may be otherwise the next time. */
class Passing {
  readonly error: ProducerError;
  readonly retryAfterMs: number | null;

  constructor(error: ProducerError, retryAfterMs: number | null = null) {
    this.error = error;
    this.retryAfterMs = retryAfterMs;
  }
}

async function attempt(
  { url, token, source, timeoutMs, fetch }: TransportOptions,
  { id, sequence, table, body }: { id: string; sequence: bigint; table: string; body: string },
  signal: AbortSignal,
): Promise<Passing | null> {
  const address = `${url.replace(/\/$/, '')}/api/v1/sources/${encodeURIComponent(source)}/${encodeURIComponent(table)}/events`;
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(address, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/x-ndjson',
        'producer-id': id,
        'producer-sequence': String(sequence),
      },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    text = await answer.text();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new Passing(new ProducerError(`Dailies does not answer: ${reason}`, { code: 'unreachable', cause }));
  }
  if (answer.status === 202) return null;
  const error = refusal(answer.status, text);
  const isPassing = answer.status === 408 || answer.status === 429 || answer.status >= 500;
  if (!isPassing) throw error;
  const seconds = Number(answer.headers.get('retry-after') ?? Number.NaN);
  return new Passing(error, Number.isFinite(seconds) ? seconds * 1000 : null);
}

/** RFC 9457, as Dailies answers; anything else is from something in between. */
function refusal(status: number, text: string): ProducerError {
  let problem: { code?: string; detail?: string; details?: { problems?: EventProblem[] } } = {};
  try {
    problem = JSON.parse(text) as typeof problem;
  } catch (cause) {
    return new ProducerError(`The answer was ${status}, without an explanation.`, { status, code: 'unknown', cause });
  }
  return new ProducerError(problem.detail ?? `The answer was ${status}.`, {
    status,
    code: problem.code ?? 'unknown',
    problems: problem.details?.problems ?? [],
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
