import type { Value } from '#catalog/schemas/schema.ts';
import { type Decode, ODD } from './decode-value.ts';

const QUOTE = 34;
const COMMA = 44;
const BACKSLASH = 92;
const OPEN = 123;
const CLOSE = 125;

/**
 * One-dimensional arrays from lower bound 1, `{1,NULL,"a \"b\""}`, element by element. ODD for more dimensions, other
 * bounds (`[0:1]={…}`), or an element that is odd itself.
 */
export function arrayDecoder(element: Decode): Decode {
  return (bytes, start, end) => {
    if (bytes[start] !== OPEN) return ODD;
    const values: Value[] = [];
    let at = start + 1;
    if (bytes[at] === CLOSE) return values;
    while (at < end) {
      let value: Value | typeof ODD;
      if (bytes[at] === OPEN) return ODD;
      if (bytes[at] === QUOTE) {
        const close = closingQuote(bytes, at + 1);
        value = decodeQuoted(element, bytes, at + 1, close);
        at = close + 1;
      } else {
        const begin = at;
        while (bytes[at] !== COMMA && bytes[at] !== CLOSE) at++;
        value = isNull(bytes, begin, at) ? null : element(bytes, begin, at);
      }
      if (value === ODD) return ODD;
      values.push(value);
      at++;
    }
    return values;
  };
}

function closingQuote(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

function decodeQuoted(element: Decode, bytes: Buffer, start: number, end: number): Value | typeof ODD {
  const escaped = bytes.indexOf(BACKSLASH, start);
  if (escaped < 0 || escaped >= end) return element(bytes, start, end);
  const plain = Buffer.allocUnsafe(end - start);
  let length = 0;
  for (let at = start; at < end; at++) {
    if (bytes[at] === BACKSLASH) at++;
    plain[length++] = bytes[at] as number;
  }
  return element(plain, 0, length);
}

/** An unquoted NULL; the text "NULL" stands in quotes. */
function isNull(bytes: Buffer, start: number, end: number): boolean {
  return (
    end - start === 4 &&
    bytes[start] === 78 &&
    bytes[start + 1] === 85 &&
    bytes[start + 2] === 76 &&
    bytes[start + 3] === 76
  );
}
