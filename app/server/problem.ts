import { DailiesError, type ErrorCode, type ErrorRecord } from '#catalog/error.ts';
import { stateError } from '#catalog/state/state-error.ts';

/** Every error code as an HTTP status and a title. */
const statuses: Readonly<Record<ErrorCode, readonly [status: number, title: string]>> = {
  internal: [500, 'A fault of Dailies itself'],
  invalid: [422, 'Not valid'],
  not_found: [404, 'Not found'],
  conflict: [409, 'In conflict with what is there'],
  unauthenticated: [401, 'Not signed in'],
  forbidden: [403, 'Not allowed'],
  unsupported: [422, 'Not supported'],
  cancelled: [409, 'Cancelled'],
  timeout: [504, 'Took too long'],
  too_large: [413, 'Too large'],
  throttled: [429, 'Too many attempts'],
  definition_invalid: [422, 'The definition is not valid'],
  environment_invalid: [500, 'The environment is not valid'],
  home_in_use: [409, 'The home folder is in use'],
  port_in_use: [409, 'The port is in use'],
  secret_missing: [422, 'A secret is missing'],
  source_unreachable: [502, 'The source does not answer'],
  source_refused: [502, 'The source refused'],
  source_not_ready: [409, 'The source is not ready'],
  source_slot_lost: [409, 'The source has lost our place'],
  source_protocol: [502, 'The source answered unexpectedly'],
  table_unknown: [404, 'No such table'],
  type_unsupported: [422, 'Type not supported'],
  value_unsupported: [422, 'Value not supported'],
  expression_invalid: [422, 'The expression is not valid'],
  schema_incompatible: [409, 'The schema does not fit'],
  graphql_refused: [422, 'The graph refused the query'],
  graphql_unreachable: [502, 'The graph does not answer'],
  graphql_no_answer: [502, 'The graph has no answer'],
  log_corrupt: [500, 'The log is damaged'],
  log_full: [507, 'The log is full'],
  commit_conflict: [409, 'Somebody else committed first'],
  commit_unknown: [503, 'It is not known whether this was committed'],
  table_corrupt: [500, 'The table is damaged'],
  disk_full: [507, 'The disk is full'],
  catalog_refused: [502, 'The Iceberg catalog refused'],
  catalog_unreachable: [502, 'The Iceberg catalog does not answer'],
  storage_refused: [502, 'The storage of the warehouse refused'],
  storage_throttled: [503, 'The storage of the warehouse is busy'],
  storage_unreachable: [502, 'The storage of the warehouse does not answer'],
  sql_invalid: [422, 'The SQL is not valid'],
  sql_refused: [422, 'The SQL is not allowed'],
  query_limit: [429, 'Over a limit'],
  destination_unauthenticated: [502, 'The destination did not accept the credentials'],
  destination_forbidden: [502, 'The destination refused'],
  destination_not_found: [502, 'The destination is not there'],
  destination_throttled: [503, 'The destination is busy'],
  destination_unreachable: [502, 'The destination does not answer'],
  destination_unknown: [502, 'It is not known whether the destination took it'],
  destination_invalid: [422, 'The destination does not fit'],
};

export function statusOf(code: ErrorCode): number {
  return statuses[code][0];
}

/** RFC 9457. What was not foreseen is told without its words, which may hold values: `tellFault` gets it whole. */
export function problemResponse(thrown: unknown, tellFault: (error: unknown) => void): Response {
  const error = presentable(thrown, tellFault);
  return problem(error, statuses[error.code]);
}

/** The path is there, but not for this method; `allowed` may be none. */
export function wrongMethod(method: string, allowed: readonly string[]): Response {
  const hint = allowed.length === 0 ? '.' : `; use ${allowed.join(' or ')}.`;
  const error = new DailiesError('unsupported', `${method} does not work here${hint}`);
  const answer = problem(error.toJSON(), [405, 'Method not allowed']);
  answer.headers.set('allow', allowed.join(', '));
  return answer;
}

function problem(error: ErrorRecord, [status, title]: readonly [status: number, title: string]): Response {
  const headers = new Headers({
    'content-type': 'application/problem+json; charset=utf-8',
    'cache-control': 'no-store',
  });
  if (status === 401) headers.set('www-authenticate', 'Bearer realm="dailies"');
  const retryAfter = error.details.retryAfterSeconds;
  if (typeof retryAfter === 'number') headers.set('retry-after', String(retryAfter));
  const body = { type: 'about:blank', title, status, code: error.code, detail: error.message, details: error.details };
  return new Response(JSON.stringify(body), { status, headers });
}

/** The error as clients may see it. */
export function presentable(thrown: unknown, tellFault: (error: unknown) => void): ErrorRecord {
  if (thrown instanceof DailiesError && thrown.code !== 'internal') return thrown.toJSON();
  tellFault(thrown);
  return unforeseen(thrown).toJSON();
}

/** What is told of an error that nobody foresaw: not its own words, which may hold values. */
export function unforeseen(cause: unknown): DailiesError {
  if (stateError(cause).code === 'timeout')
    return new DailiesError('timeout', 'The state database does not answer. Try again in a moment.', { cause });
  const message = 'Dailies met a fault of its own. Its log says more; try again in a moment.';
  return new DailiesError('internal', message, { cause });
}
