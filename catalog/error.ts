/**
 * The one error of Dailies. `message` is a sentence for the person who meets it: it names the thing and says what to do.
 * `details` holds names, ids and counts, never cell values or secrets.
 */
export class DailiesError extends Error {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DailiesError';
    this.code = code;
    this.details = options.details ?? {};
  }

  /** What is stored in a `lastError` column and sent to clients. */
  toJSON(): ErrorRecord {
    return { code: this.code, message: this.message, details: this.details };
  }
}

export interface ErrorRecord {
  code: ErrorCode;
  message: string;
  details: Record<string, unknown>;
}

/**
 * Who tries again after an error, and when: `auto` by itself with back-off, `manual` after a person has mended something
 * and resumes, `never` since the same input always fails.
 */
export type Retry = 'auto' | 'manual' | 'never';

/** Every error code, with its retry policy. Codes are stable: clients and tests rely on them. */
export const errorPolicy = {
  // anything
  internal: 'manual',
  invalid: 'never',
  not_found: 'never',
  conflict: 'never',
  unauthenticated: 'never',
  forbidden: 'never',
  unsupported: 'never',
  cancelled: 'never',
  timeout: 'auto',
  throttled: 'manual',
  too_large: 'never',
  // definition, environment, start
  definition_invalid: 'never',
  environment_invalid: 'manual',
  home_in_use: 'manual',
  port_in_use: 'manual',
  secret_missing: 'manual',
  // sources
  source_unreachable: 'auto',
  source_refused: 'manual',
  source_not_ready: 'manual',
  source_slot_lost: 'manual',
  source_protocol: 'auto',
  table_unknown: 'manual',
  type_unsupported: 'manual',
  value_unsupported: 'manual',
  // steps
  expression_invalid: 'never',
  schema_incompatible: 'manual',
  graphql_refused: 'manual',
  graphql_unreachable: 'auto',
  graphql_no_answer: 'manual',
  // log, warehouse
  log_corrupt: 'manual',
  log_full: 'manual',
  commit_conflict: 'auto',
  commit_unknown: 'auto',
  table_corrupt: 'manual',
  disk_full: 'manual',
  catalog_refused: 'manual',
  catalog_unreachable: 'auto',
  storage_refused: 'manual',
  storage_throttled: 'auto',
  storage_unreachable: 'auto',
  // queries
  sql_invalid: 'never',
  sql_refused: 'never',
  query_limit: 'never',
  // destinations
  destination_unauthenticated: 'manual',
  destination_forbidden: 'manual',
  destination_not_found: 'manual',
  destination_throttled: 'auto',
  destination_unreachable: 'auto',
  destination_unknown: 'auto',
  destination_invalid: 'manual',
} as const satisfies Record<string, Retry>;

export type ErrorCode = keyof typeof errorPolicy;

/** Any thrown value as a DailiesError; one that is not ours becomes `internal` and keeps the thrown value as its cause. */
export function toDailiesError(thrown: unknown, code: ErrorCode = 'internal'): DailiesError {
  if (thrown instanceof DailiesError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new DailiesError(code, message, { cause: thrown });
}
