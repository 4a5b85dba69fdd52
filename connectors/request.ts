import { DailiesError } from '#catalog/error.ts';
import type { Pace } from './pace.ts';

/** What came of one HTTP request, told by the client library's adapter. */
export type Failure =
  | { kind: 'throttled'; retryAfterMs: number | null }
  | { kind: 'server'; status: number }
  | { kind: 'connection' }
  | { kind: 'refused'; error: DailiesError };

export interface RequestPolicy {
  pace: Pace;
  bucket: string;
  limit: { count: number; perMs: number };
  /** Google Sheets, Airtable: for sentences. */
  service: string;
  classify(thrown: unknown): Failure;
  /** How long a bucket is shut out by one 429 that names no time. */
  lockOutMs(attempt: number): number;
}

const readAttempts = 4;
const throttledAttempts = 8;

/**
 * Sends one request within the quota. A throttled one was not carried out and is sent again when the service allows it;
 * a failed one is sent again only where repeating it changes nothing.
 *
 * @throws DailiesError destination_unknown for a request that must not be repeated and whose fate is unknown;
 * destination_throttled, destination_unreachable when patience ends; whatever `classify` made of a refusal.
 */
export async function sendRequest<T>(
  policy: RequestPolicy,
  isRepeatable: boolean,
  send: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  let failed = 0;
  let throttled = 0;
  for (;;) {
    await policy.pace.take(policy.bucket, policy.limit, signal);
    try {
      return await send();
    } catch (thrown) {
      signal.throwIfAborted();
      const failure = policy.classify(thrown);
      switch (failure.kind) {
        case 'refused':
          throw failure.error;
        case 'throttled':
          throttled++;
          if (throttled >= throttledAttempts) {
            throw new DailiesError(
              'destination_throttled',
              `${policy.service} keeps answering that its request quota is used up (429). The delivery is tried again later; deliver less often if this stays.`,
              { cause: thrown },
            );
          }
          policy.pace.close(policy.bucket, failure.retryAfterMs ?? policy.lockOutMs(throttled));
          break;
        case 'server':
        case 'connection': {
          const what = failure.kind === 'server' ? `answered ${failure.status}` : 'did not answer';
          if (!isRepeatable) {
            throw new DailiesError(
              'destination_unknown',
              `${policy.service} ${what} to a write, so nobody knows whether it was carried out. It is read again before anything more is written.`,
              { cause: thrown },
            );
          }
          failed++;
          if (failed >= readAttempts) {
            throw new DailiesError(
              'destination_unreachable',
              `${policy.service} ${what} ${readAttempts} times in a row. The delivery is tried again later.`,
              { cause: thrown },
            );
          }
          await policy.pace.clock.sleep(500 * 2 ** failed, signal);
          break;
        }
        default:
          failure satisfies never;
      }
    }
  }
}
