import Airtable from 'airtable';
import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import type { DestinationDeps } from '../destination.ts';
import { type Failure, sendRequest } from '../request.ts';

/** Airtable's limit for one base. */
export const quota = { count: 5, perMs: 1_020 };
/** After a 429 the base answers nothing else for so long. */
const lockOutMs = 30_000;

export interface AirtableRequest {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  qs?: Record<string, unknown>;
  body?: Record<string, unknown>;
}

/** One base through Airtable's own client, with our policy of quota, retry and plain sentences. */
export class AirtableClient {
  /** Write requests sent. */
  written = 0;
  readonly #airtable: Airtable;
  readonly #base: string;
  readonly #deps: DestinationDeps;

  constructor(base: string, credentials: string, deps: DestinationDeps) {
    this.#base = base;
    this.#deps = deps;
    this.#airtable = new Airtable({
      apiKey: credentials.trim(),
      noRetryIfRateLimited: true,
      requestTimeout: 60_000,
      ...(deps.airtableUrl === null ? {} : { endpointUrl: deps.airtableUrl.replace(/\/+$/, '') }),
    });
  }

  /** A request on the base's records. Upserts by key, deletions and reads may be repeated, so they are when they fail. */
  records<T extends z.ZodType>(request: AirtableRequest, answer: T, signal: AbortSignal): Promise<z.output<T>> {
    return this.#send(this.#base, request, answer, signal);
  }

  /** A request on the base's schema: /meta/bases/{base}{path}. Making a field fails when it is there, so it may be repeated. */
  schema<T extends z.ZodType>(request: AirtableRequest, answer: T, signal: AbortSignal): Promise<z.output<T>> {
    return this.#send('meta', { ...request, path: `/bases/${this.#base}${request.path}` }, answer, signal);
  }

  #send<T extends z.ZodType>(
    root: string,
    request: AirtableRequest,
    answer: T,
    signal: AbortSignal,
  ): Promise<z.output<T>> {
    const isWrite = request.method !== 'GET';
    return sendRequest(
      {
        pace: this.#deps.pace,
        bucket: `airtable/${this.#base}`,
        limit: quota,
        service: 'Airtable',
        classify: (thrown) => this.#classify(thrown),
        lockOutMs: () => lockOutMs,
      },
      true,
      async () => {
        if (isWrite) this.written++;
        const response = await this.#airtable.base(root).makeRequest({ ...request });
        return answer.parse(response.body);
      },
      signal,
    );
  }

  #classify(thrown: unknown): Failure {
    if (thrown instanceof DailiesError) return { kind: 'refused', error: thrown };
    const failure = airtableError.safeParse(thrown);
    if (!failure.success) {
      return {
        kind: 'refused',
        error: new DailiesError(
          'destination_invalid',
          'Airtable answered something that is not its API. Check DAILIES_AIRTABLE_URL.',
          {
            cause: thrown,
          },
        ),
      };
    }
    const { error: type, statusCode: status } = failure.data;
    if (status === null || status === undefined) return { kind: 'connection' };
    if (status === 429) return { kind: 'throttled', retryAfterMs: null };
    if (status >= 500 || status < 400) return { kind: 'server', status };
    return { kind: 'refused', error: this.#refusal(status, type) };
  }

  #refusal(status: number, type: string): DailiesError {
    const details = { base: this.#base, status, type };
    if (status === 401) {
      return new DailiesError(
        'destination_unauthenticated',
        'Airtable does not accept the token (401). It was revoked or is not whole: make a personal access token and set the secret again.',
        { details },
      );
    }
    if (status === 403) {
      return new DailiesError(
        'destination_forbidden',
        `The token may not do this in the Airtable base ${this.#base} (403). Give it access to the base and the scopes data.records:read, data.records:write, schema.bases:read and schema.bases:write.`,
        { details },
      );
    }
    if (status === 404) {
      return new DailiesError(
        'destination_not_found',
        `There is no Airtable base ${this.#base}, or not the table, that the token can see (404). Check the ids and give the token access to the base.`,
        { details },
      );
    }
    return new DailiesError(
      'destination_invalid',
      `Airtable refused a request on the base ${this.#base} (${status} ${type}).`,
      {
        details,
      },
    );
  }
}

/** airtable.js throws objects of a class of its own that is no Error. */
const airtableError = z.object({ error: z.string(), statusCode: z.number().nullish() });
