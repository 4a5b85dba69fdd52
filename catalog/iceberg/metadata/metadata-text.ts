/** A metadata file's text with the elements of its two long lists taken out. */
export interface CutMetadata {
  /** The same JSON with these lists empty. */
  rest: string;
  /** The text of each element, in order. */
  snapshots: string[];
  log: string[];
}

/**
 * Cuts the lists of snapshots and of log entries out of a metadata file: from one file to the next nearly all of their
 * elements stay, and need not be parsed again. Null for a text that is not an object, or not whole: a parser says why.
 */
export function cutMetadata(text: string): CutMetadata | null {
  const cut: CutMetadata = { rest: '', snapshots: [], log: [] };
  let from = 0;
  let at = skipSpace(text, 0);
  if (text[at] !== '{') return null;
  at = skipSpace(text, at + 1);
  while (text[at] === '"') {
    const keyEnd = skipString(text, at);
    const key = text.slice(at, keyEnd);
    at = skipSpace(text, keyEnd);
    if (keyEnd < 0 || text[at] !== ':') return null;
    at = skipSpace(text, at + 1);
    const list = key === '"snapshots"' ? cut.snapshots : key === '"snapshot-log"' ? cut.log : null;
    if (list && text[at] === '[') {
      const end = cutElements(text, at, list);
      if (end < 0) return null;
      cut.rest += `${text.slice(from, at)}[]`;
      from = end;
      at = end;
    } else at = skipValue(text, at);
    if (at < 0) return null;
    at = skipSpace(text, at);
    if (text[at] === '}') {
      cut.rest += text.slice(from);
      return cut;
    }
    if (text[at] !== ',') return null;
    at = skipSpace(text, at + 1);
  }
  return null;
}

/** Collects the elements of the array at `at`; where it ends, -1 where it does not. */
function cutElements(text: string, at: number, elements: string[]): number {
  let next = skipSpace(text, at + 1);
  if (text[next] === ']') return next + 1;
  for (;;) {
    const end = skipValue(text, next);
    if (end < 0) return -1;
    elements.push(text.slice(next, end));
    next = skipSpace(text, end);
    if (text[next] === ']') return next + 1;
    if (text[next] !== ',') return -1;
    next = skipSpace(text, next + 1);
  }
}

const quote = 0x22;
const backslash = 0x5c;

/** The place after the value at `at`, -1 where the text ends before. */
function skipValue(text: string, at: number): number {
  if (text.charCodeAt(at) === quote) return skipString(text, at);
  let depth = 0;
  for (let index = at; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case quote:
        index = skipString(text, index) - 1;
        if (index < 0) return -1;
        break;
      case 0x7b: // {
      case 0x5b: // [
        depth += 1;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        if (depth === 0) return index;
        depth -= 1;
        if (depth === 0) return index + 1;
        break;
      case 0x2c: // ,
        if (depth === 0) return index;
        break;
    }
  }
  return -1;
}

/** The place after the string at `at`, -1 where it does not end. */
function skipString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes += 1;
    if (escapes % 2 === 0) return end + 1;
  }
  return -1;
}

function skipSpace(text: string, at: number): number {
  let index = at;
  while (text[index] === ' ' || text[index] === '\n' || text[index] === '\r' || text[index] === '\t') index += 1;
  return index;
}
