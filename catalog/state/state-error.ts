import { Prisma } from '#prisma/generated/client.ts';
import { DailiesError, toDailiesError } from '../error.ts';

/** Prisma's codes of a connection that failed, ended or did not come in time. */
const unreachable = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028']);
const unreachableKinds = new Set(['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout', 'TooManyConnections']);

/**
 * Any thrown value as an error whose code says what happens next. An outage of our own state database passes by itself
 * (`timeout`); what that database refused is `internal`, in words that hold none of its data.
 */
export function stateError(thrown: unknown): DailiesError {
  if (thrown instanceof Prisma.PrismaClientInitializationError) return outage(thrown);
  if (!(thrown instanceof Prisma.PrismaClientKnownRequestError)) return toDailiesError(thrown);
  const cause = (thrown.meta as { driverAdapterError?: { cause?: { kind?: string; code?: string } } } | undefined)
    ?.driverAdapterError?.cause;
  // SQLSTATE classes 08 (connection) and 57P (shutdown), and 53300 (too many connections).
  const isCut = /^(08|57P|53300)/.test(cause?.code ?? '');
  if (unreachable.has(thrown.code) || unreachableKinds.has(cause?.kind ?? '') || isCut) return outage(thrown);
  const code = cause?.code ?? thrown.code;
  return new DailiesError('internal', `The state database refused a statement (${code}).`, {
    cause: thrown,
    details: { code },
  });
}

function outage(cause: unknown): DailiesError {
  return new DailiesError('timeout', 'The state database does not answer; it is tried again.', { cause });
}
