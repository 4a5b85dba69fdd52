import { DailiesError, type ErrorCode } from '../../error.ts';
import { jsonResponse } from './rest-response.ts';

/** An error in the protocol's model: HTTP status, the Java class that clients know, a sentence. */
export class RestError extends Error {
  readonly status: number;
  readonly type: string;

  constructor(status: number, type: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.type = type;
  }

  response(): Response {
    return jsonResponse({ error: { message: this.message, type: this.type, code: this.status } }, this.status);
  }
}

export function badRequest(message: string): RestError {
  return new RestError(400, 'BadRequestException', message);
}

export function forbidden(message: string): RestError {
  return new RestError(403, 'ForbiddenException', message);
}

/** What other parts of the product throw, as the protocol says it; what is not listed is a fault of the server. */
const known: Partial<Record<ErrorCode, readonly [status: number, type: string]>> = {
  // Clients throw this one again as what it is.
  invalid: [400, 'IllegalArgumentException'],
  unsupported: [400, 'BadRequestException'],
  unauthenticated: [401, 'NotAuthorizedException'],
  forbidden: [403, 'ForbiddenException'],
  conflict: [409, 'AlreadyExistsException'],
  commit_conflict: [409, 'CommitFailedException'],
  // 503 would have clients try again at once, and a commit that was applied fail the second time.
  commit_unknown: [500, 'CommitStateUnknownException'],
  too_large: [413, 'BadRequestException'],
  throttled: [429, 'ServiceUnavailableException'],
  storage_throttled: [503, 'ServiceUnavailableException'],
  storage_unreachable: [503, 'ServiceUnavailableException'],
};

/** The error of anything thrown; null for a fault whose words clients should not see. */
export function restErrorOf(thrown: unknown): RestError | null {
  if (thrown instanceof RestError) return thrown;
  if (!(thrown instanceof DailiesError) || thrown.code === 'internal') return null;
  if (thrown.code === 'table_corrupt' && thrown.cause instanceof DailiesError && thrown.cause.code === 'not_found') {
    const { location } = thrown.cause.details;
    return new RestError(404, 'NotFoundException', `Failed to open input stream for file: ${location}`, {
      cause: thrown,
    });
  }
  const [status, type] = known[thrown.code] ?? [500, 'InternalServerError'];
  return new RestError(status, type, thrown.message, { cause: thrown });
}
