/**
 * Finds the `:name` marks of a statement and writes them as DuckDB's `$name`, character for character, so that every
 * place in the text stays where it was. A colon is a mark where a value can begin: not in texts, quoted names, comments,
 * `::` casts, `{'a':x}`, `list[1:n]` or `alias: expression`, where an operand stands before it.
 */
export function markParameters(sql: string): { sql: string; names: string[] } {
  const names = new Map<string, string>();
  let out = '';
  let isAfterOperand = false;
  let index = 0;
  while (index < sql.length) {
    const token = nextToken(sql, index);
    const text = sql.slice(index, index + token.length);
    if (token.kind === 'space') {
      out += text;
    } else if (token.kind === 'mark' && !isAfterOperand) {
      // DuckDB tells parameters apart without regard to case: the first spelling is the name.
      const name = text.slice(1);
      const known = names.get(name.toLowerCase()) ?? name;
      names.set(name.toLowerCase(), known);
      out += `$${known}`;
      isAfterOperand = true;
    } else if (token.kind === 'mark') {
      out += text;
      isAfterOperand = true;
    } else {
      out += text;
      isAfterOperand = token.kind === 'operand' || (token.kind === 'word' && !expectsValue.has(text.toLowerCase()));
    }
    index += token.length;
  }
  return { sql: out, names: [...names.values()] };
}

type TokenKind = 'space' | 'word' | 'operand' | 'mark' | 'other';

/** Words after which a value follows, so that a colon behind them begins a parameter. */
const expectsValue = new Set(
  `all and any as asc between by case cast date desc distinct else escape except exists fetch filter first following from glob
   group having ilike in intersect interval is isnull join last like limit not notnull nulls offset on or order over partition
   preceding qualify range returning rows select similar some then time timestamp timestamptz to top union using values when where window with within`.split(
    /\s+/,
  ),
);

const patterns: readonly [TokenKind, RegExp][] = [
  ['space', /\s+|--[^\n]*/y],
  ['operand', /e?'(?:[^']|'')*'|"(?:[^"]|"")*"/iy],
  ['operand', /\$(\w*)\$[\s\S]*?\$\1\$/y],
  ['operand', /\$\w+|\d[\w.]*|[)\]}?]/y],
  ['word', /[\p{L}_][\p{L}\p{N}_$]*/uy],
  ['other', /::|:=/y],
  ['mark', /:[A-Za-z_]\w*/y],
];

/** The token at `index`; texts, quoted names and comments are one each. */
export function nextToken(sql: string, index: number): { kind: TokenKind; length: number } {
  if (sql.startsWith('/*', index)) return { kind: 'space', length: commentLength(sql, index) };
  if (/[eE]/.test(sql[index] ?? '') && sql[index + 1] === "'")
    return { kind: 'operand', length: escapedTextLength(sql, index) };
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = index;
    const match = pattern.exec(sql);
    if (match && match[0].length > 0) return { kind, length: match[0].length };
  }
  return { kind: 'other', length: 1 };
}

/** Block comments nest, as in Postgres. */
function commentLength(sql: string, start: number): number {
  let depth = 0;
  for (let index = start; index < sql.length; index++) {
    if (sql.startsWith('/*', index)) {
      depth++;
      index++;
    } else if (sql.startsWith('*/', index)) {
      depth--;
      index++;
      if (depth === 0) return index + 1 - start;
    }
  }
  return sql.length - start;
}

function escapedTextLength(sql: string, start: number): number {
  for (let index = start + 2; index < sql.length; index++) {
    if (sql[index] === '\\') index++;
    else if (sql[index] === "'" && sql[index + 1] === "'") index++;
    else if (sql[index] === "'") return index + 1 - start;
  }
  return sql.length - start;
}
