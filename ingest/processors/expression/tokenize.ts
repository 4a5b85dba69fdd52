import { refuse } from './refusal.ts';

export interface Token {
  /** `word` is an unquoted name or keyword, `name` one in double quotes, `text` one in single quotes (unescaped). */
  kind: 'word' | 'name' | 'text' | 'number' | 'symbol' | 'end';
  value: string;
  at: number;
}

const blank = /\s*(?:--[^\n]*\s*)*/y;
const word = /[\p{L}_][\p{L}\p{N}_$]*/uy;
const number = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y;
const symbol = /<>|!=|<=|>=|\|\||[=<>+\-*/(),.]/y;

/** Splits an expression into tokens, the last one `end`. Quotes are doubled to stand for themselves, as in SQL. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0] ?? null;
  };
  for (;;) {
    at += take(blank)?.length ?? 0;
    if (at >= text.length) break;
    const start = at;
    const first = text[at];
    if (first === "'" || first === '"') {
      const { value, end } = readQuoted(text, at, first);
      tokens.push({ kind: first === "'" ? 'text' : 'name', value, at: start });
      at = end;
      continue;
    }
    const found = matchAt(take);
    if (found === null)
      throw refuse(text, at, `Unexpected character ${JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0))}`);
    tokens.push({ ...found, at: start });
    at += found.value.length;
    if (found.kind === 'number' && take(word) !== null) throw refuse(text, start, 'A number runs into a name');
  }
  tokens.push({ kind: 'end', value: '', at: text.length });
  return tokens;
}

function matchAt(take: (pattern: RegExp) => string | null): { kind: Token['kind']; value: string } | null {
  const asWord = take(word);
  if (asWord !== null) return { kind: 'word', value: asWord };
  const asNumber = take(number);
  if (asNumber !== null) return { kind: 'number', value: asNumber };
  const asSymbol = take(symbol);
  return asSymbol === null ? null : { kind: 'symbol', value: asSymbol };
}

function readQuoted(text: string, start: number, quote: string): { value: string; end: number } {
  let value = '';
  let at = start + 1;
  for (;;) {
    const close = text.indexOf(quote, at);
    if (close === -1)
      throw refuse(text, start, `A ${quote === "'" ? 'text' : 'quoted name'} without its closing ${quote}`);
    value += text.slice(at, close);
    if (text[close + 1] !== quote) {
      if (quote === '"' && value === '') throw refuse(text, start, 'An empty quoted name');
      return { value, end: close + 1 };
    }
    value += quote;
    at = close + 2;
  }
}
