import { DailiesError } from '#catalog/error.ts';
import { parseExactJson } from '../../raw-number.ts';

/**
 * The events of a request's body, a JSON array or NDJSON (one event a line, empty lines are passed over), as values of
 * `parseExactJson`. Throws `invalid` naming the line or place that is not JSON.
 */
export function readBody(body: string): unknown[] {
  const isArray = body.trimStart().startsWith('[');
  if (isArray) {
    const items = parse(body, 'The request');
    if (Array.isArray(items)) return items;
  }
  return body
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, number }) => parse(line, `Line ${number} of the request`));
}

function parse(text: string, what: string): unknown {
  // Most texts hold no number that a double would change, and the exact way is several times slower.
  const isPlain = !/\d{16}|\d[.eE]/.test(text);
  let value: unknown;
  try {
    value = isPlain ? JSON.parse(text) : parseExactJson(text);
  } catch (cause) {
    throw new DailiesError('invalid', `${what} is not JSON: send an array of events, or one event a line.`, { cause });
  }
  if (!text.isWellFormed() || /\\u0000|\\u[dD][89a-fA-F]/.test(text)) refuseUnkept(value, what);
  return value;
}

/** Tables keep neither the character NUL nor half a surrogate pair. */
function refuseUnkept(value: unknown, what: string): void {
  if (typeof value === 'string') {
    if (!value.includes('\0') && value.isWellFormed()) return;
    throw new DailiesError('invalid', `${what} holds the character NUL or half a character.`);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, item] of Object.entries(value)) {
    refuseUnkept(name, what);
    refuseUnkept(item, what);
  }
}
