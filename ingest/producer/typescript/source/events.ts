/** One change to one row; see the README of the producers for what each field may hold. */
export interface ProducerEvent {
  /** Create, update, delete, read (a row as it is), truncate. */
  op: 'c' | 'u' | 'd' | 'r' | 't';
  key?: unknown;
  before?: object | null;
  /** The whole row after the change; a field that is left out is NULL. A bigint is sent with all its digits. */
  after?: object | null;
  /** When it happened: a Date, ISO 8601 with a zone, or milliseconds since 1970. */
  ts?: Date | string | number;
}

/** What is wrong with one event; `index` counts from 0 within the `send` that brought it. */
export interface EventProblem {
  index: number;
  field?: string;
  message: string;
}

/** Dailies refused; or, without a status, it could not be reached for as long as the producer was told to try. */
export class ProducerError extends Error {
  readonly status: number | null;
  /** Dailies' own word for it: `invalid`, `conflict`, `forbidden` … */
  readonly code: string;
  readonly problems: readonly EventProblem[];

  constructor(
    message: string,
    options: { status?: number | null; code: string; problems?: readonly EventProblem[]; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ProducerError';
    this.status = options.status ?? null;
    this.code = options.code;
    this.problems = options.problems ?? [];
  }
}

/** An event as one line of NDJSON. Throws TypeError for what JSON has no form for. */
export function eventText(event: ProducerEvent): string {
  return JSON.stringify(event, (_, value: unknown) => {
    if (typeof value === 'bigint') return String(value);
    if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    return value;
  });
}
