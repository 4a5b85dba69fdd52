/** A word, a quoted name, a text (both without their quotes and escapes), or any other sign. */
export interface Token {
  kind: 'word' | 'quoted' | 'text' | 'sign';
  value: string;
}

const ANSI_QUOTES = 0x4n;
const NO_BACKSLASH_ESCAPES = 0x100000n;

/** Words, quoted names, texts and signs; comments are left out, but what stands in a versioned one counts, since it was run. */
export function tokenize(sql: string, sqlMode: bigint): Token[] {
  const isNameQuote = (sqlMode & ANSI_QUOTES) !== 0n;
  const hasEscapes = (sqlMode & NO_BACKSLASH_ESCAPES) === 0n;
  const tokens: Token[] = [];
  let at = 0;
  while (at < sql.length) {
    const letter = sql[at] as string;
    if (/\s/.test(letter)) at += 1;
    else if (letter === '#' || /^--(\s|$)/.test(sql.slice(at, at + 3))) {
      const end = sql.indexOf('\n', at);
      at = end < 0 ? sql.length : end + 1;
    } else if (sql.startsWith('/*', at)) {
      const [marker] = /^\/\*M?!\d*/.exec(sql.slice(at, at + 12)) ?? [];
      if (marker !== undefined) at += marker.length;
      else {
        const end = sql.indexOf('*/', at + 2);
        at = end < 0 ? sql.length : end + 2;
      }
    } else if (sql.startsWith('*/', at)) at += 2;
    else if (letter === '`' || letter === '"' || letter === "'") {
      const isName = letter === '`' || (letter === '"' && isNameQuote);
      const { value, end } = quotedAt(sql, at, !isName && hasEscapes);
      tokens.push({ kind: isName ? 'quoted' : 'text', value });
      at = end;
    } else {
      const [run] = /^[\p{L}\p{N}_$\u0080-\uffff]+/u.exec(sql.slice(at, at + 256)) ?? [];
      tokens.push(run === undefined ? { kind: 'sign', value: letter } : { kind: 'word', value: run });
      at += run?.length ?? 1;
    }
  }
  return tokens;
}

/** What stands behind a backslash for something else than itself (dev.mysql.com, String Literals). */
const escapes: Readonly<Record<string, string>> = {
  ...{ '0': '\0', b: '\b', n: '\n', r: '\r', t: '\t', Z: '\x1a', '%': '\\%', _: '\\_' },
};

function quotedAt(sql: string, start: number, hasEscapes: boolean): { value: string; end: number } {
  const quote = sql[start] as string;
  let value = '';
  for (let at = start + 1; at < sql.length; at++) {
    const letter = sql[at] as string;
    if (letter === '\\' && hasEscapes) {
      at += 1;
      const escaped = sql[at] ?? '';
      value += escapes[escaped] ?? escaped;
    } else if (letter !== quote) value += letter;
    else if (sql[at + 1] === quote) {
      at += 1;
      value += quote;
    } else return { value, end: at + 1 };
  }
  return { value, end: sql.length };
}

/** In capitals; empty for all that is no word. */
export function word(token: Token | undefined): string {
  return token?.kind === 'word' ? token.value.toUpperCase() : '';
}

export function isSign(token: Token | undefined, value: string): boolean {
  return token?.kind === 'sign' && token.value === value;
}
