import { DailiesError } from '#catalog/error.ts';

/** Bytes that cannot be what they should be. `what` names the event or message, never a value of a row. */
export function malformed(what: string, details: Record<string, unknown> = {}): DailiesError {
  return new DailiesError(
    'source_protocol',
    `The source's binary log cannot be read: ${what}. Reading begins again at the last transaction; if it stays, tell us with the server's version.`,
    { details },
  );
}
