import type { Value } from '#catalog/schemas/schema.ts';
import { type Decode, malformed, ODD } from './decode-value.ts';

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
    const last = end - 1;
    if (last <= start || bytes[last] !== CLOSE) throw malformed();
    if (last === start + 1) return values;
    for (let at = start + 1; ; at++) {
      let value: Value | typeof ODD;
      if (bytes[at] === OPEN) return ODD;
      if (bytes[at] === QUOTE) {
        const close = closingQuote(bytes, at + 1, last);
        value = decodeQuoted(element, bytes, at + 1, close);
        at = close + 1;
      } else {
        const begin = at;
        while (at < last && bytes[at] !== COMMA) at++;
        if (at === begin) throw malformed();
        value = isNull(bytes, begin, at) ? null : element(bytes, begin, at);
      }
      if (value === ODD) return ODD;
      values.push(value);
      if (at === last) return values;
      if (at > last || bytes[at] !== COMMA) throw malformed();
    }
  };
}

function closingQuote(bytes: Buffer, start: number, last: number): number {
  let at = start;
  while (at < last && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  if (at >= last) throw malformed();
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
