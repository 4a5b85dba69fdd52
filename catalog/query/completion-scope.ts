/** What a cursor in a text that is still being written can refer to. */
export interface Scope {
  /** Where the word at the cursor begins. */
  from: number;
  /** The word before the cursor, without quotes; may be empty. */
  prefix: string;
  /** What stands before the dot before the word: an alias, a namespace, a table; null without a dot. */
  qualifier: string | null;
  /** `table name` is a table's name within a text: `changes('…`. */
  expects: 'table' | 'table name' | 'expression' | 'nothing';
  /** Tables in the FROM clauses of the SELECT that the cursor is in, also those written after it. */
  tables: ScopeTable[];
  ctes: string[];
}

export interface ScopeTable {
  name: string;
  alias: string | null;
  /** What is read is what changed in the table. */
  isChanges: boolean;
}

interface Token {
  kind: 'word' | 'quoted' | 'text' | 'comment' | 'symbol';
  text: string;
  start: number;
  end: number;
}

/** Reads the text by its tokens alone: it need not parse. */
export function scopeAt(text: string, cursor: number): Scope {
  const all = tokensOf(text);
  const inside = all.find((token) => token.start < cursor && cursor < token.end + (isOpen(token) ? 1 : 0));
  const tokens = all.filter((token) => token.kind !== 'comment');
  if (inside?.kind === 'text' && isChangesName(tokens, inside)) {
    const from = inside.start + 1;
    return { ...nothingAt(from), prefix: text.slice(from, cursor), expects: 'table name' };
  }
  if (inside?.kind === 'text' || inside?.kind === 'comment') return nothingAt(cursor);

  const before = tokens.filter((token) => token.end <= cursor || (token.start < cursor && isName(token)));
  const last = before.at(-1);
  const word = last && isName(last) && cursor <= last.end && last.start < cursor ? last : null;
  const lead = word ? before.slice(0, -1) : before;
  const from = word?.start ?? cursor;
  const prefix = word ? text.slice(word.start, cursor).replace(/^"|"$/g, '').replaceAll('""', '"') : '';
  const { qualifier, rest } = qualifierOf(lead);
  const query = tokensOfQuery(tokens, cursor);
  return {
    from,
    prefix,
    qualifier,
    expects: expectation(rest),
    tables: tablesOf(query, tokens),
    ctes: ctesOf(tokens),
  };
}

function nothingAt(cursor: number): Scope {
  return { from: cursor, prefix: '', qualifier: null, expects: 'nothing', tables: [], ctes: [] };
}

const tokenPattern =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|[\p{L}_][\p{L}\p{N}_$]*|\d[\w.]*|\S/gu;

function tokensOf(text: string): Token[] {
  return [...text.matchAll(tokenPattern)].map((match) => {
    const [token] = match;
    return { kind: kindOf(token), text: token, start: match.index, end: match.index + token.length };
  });
}

function kindOf(token: string): Token['kind'] {
  if (token.startsWith('--') || token.startsWith('/*')) return 'comment';
  if (token.startsWith("'")) return 'text';
  if (token.startsWith('"')) return 'quoted';
  return /^[\p{L}_]/u.test(token) ? 'word' : 'symbol';
}

/** A comment to the end of the line, or a text without its end: the cursor behind it is still inside. */
function isOpen(token: Token): boolean {
  if (token.kind === 'comment') return token.text.startsWith('--') || !token.text.endsWith('*/');
  return token.kind === 'text' && (token.text.length === 1 || !token.text.endsWith("'"));
}

function isName(token: Token): boolean {
  return token.kind === 'word' || token.kind === 'quoted';
}

function nameOf(token: Token): string {
  return token.kind === 'quoted' ? token.text.replace(/^"|"$/g, '').replaceAll('""', '"') : token.text;
}

function isWord(token: Token | undefined, ...words: string[]): boolean {
  return token?.kind === 'word' && words.includes(token.text.toLowerCase());
}

/** `a.b.` before the cursor is the qualifier `a.b`; `rest` is what stands before it. */
function qualifierOf(lead: readonly Token[]): { qualifier: string | null; rest: readonly Token[] } {
  const parts: string[] = [];
  let end = lead.length;
  while (end >= 2 && lead[end - 1]?.text === '.') {
    const name = lead[end - 2];
    if (name === undefined || !isName(name)) break;
    parts.unshift(nameOf(name));
    end -= 2;
  }
  return { qualifier: parts.length > 0 ? parts.join('.') : null, rest: lead.slice(0, end) };
}

const clauseWords =
  /^(select|where|on|using|group|order|having|limit|offset|qualify|set|values|and|or|when|then|else|case|by)$/i;

function expectation(lead: readonly Token[]): Scope['expects'] {
  const last = lead.at(-1);
  if (last === undefined) return 'expression';
  if (isWord(last, 'from', 'join', 'describe', 'summarize', 'table')) return 'table';
  if (isWord(last, 'as')) return 'nothing';
  if (last.text !== ',') return 'expression';
  // After a comma: a table if the clause that the comma belongs to is FROM.
  let depth = 0;
  for (const token of lead.toReversed()) {
    if (token.text === ')') depth++;
    else if (token.text === '(') depth--;
    if (depth < 0) return 'expression';
    if (depth > 0 || token.kind !== 'word') continue;
    if (isWord(token, 'from')) return 'table';
    if (clauseWords.test(token.text)) return 'expression';
  }
  return 'expression';
}

/** The tokens of the innermost parentheses around the cursor, nested ones left out; between semicolons at the outside. */
function tokensOfQuery(tokens: readonly Token[], cursor: number): Token[] {
  const stack: Token[][] = [[]];
  let found: Token[] | null = null;
  for (const token of tokens) {
    if (token.start >= cursor) found ??= stack.at(-1) ?? null;
    if (token.text === '(') {
      stack.at(-1)?.push(token);
      stack.push([]);
    } else if (token.text === ')' && stack.length > 1) {
      stack.pop();
      stack.at(-1)?.push(token);
    } else if (token.text === ';' && stack.length === 1) {
      stack[0] = [];
    } else {
      stack.at(-1)?.push(token);
    }
  }
  const own = found ?? stack.at(-1) ?? [];
  // Parentheses of a call or of a condition are part of the SELECT around them.
  return own.some((token) => isWord(token, 'select', 'from')) ? own : outerQuery(tokens, cursor, own);
}

function outerQuery(tokens: readonly Token[], cursor: number, own: Token[]): Token[] {
  let depth = 0;
  for (const token of tokens.filter(({ end }) => end <= cursor).toReversed()) {
    if (token.text === ')') depth++;
    else if (token.text === '(' && depth-- === 0) return tokensOfQuery(tokens, token.start);
  }
  return own;
}

function tablesOf(query: readonly Token[], tokens: readonly Token[]): ScopeTable[] {
  const tables: ScopeTable[] = [];
  let isInFrom = false;
  for (let index = 0; index < query.length; index++) {
    const token = query[index];
    if (isWord(token, 'from', 'join')) isInFrom = true;
    else if (token?.kind === 'word' && clauseWords.test(token.text)) isInFrom = false;
    else if (!(isInFrom && token?.text === ',')) continue;
    if (!isInFrom) continue;
    const read = readTable(query, index + 1, tokens);
    if (read === null) continue;
    tables.push(read.table);
    index = read.next - 1;
  }
  return tables;
}

const notAlias =
  /^(where|on|using|group|order|having|limit|offset|qualify|join|left|right|inner|full|cross|asof|positional|natural|semi|anti|union|except|intersect|select|window|sample|pivot|unpivot)$/i;

function readTable(
  query: readonly Token[],
  start: number,
  tokens: readonly Token[],
): { table: ScopeTable; next: number } | null {
  const first = query[start];
  if (first === undefined || !isName(first) || isWord(first, 'lateral')) return null;
  const parts = [nameOf(first)];
  let index = start + 1;
  while (query[index]?.text === '.') {
    const part = query[index + 1];
    if (part === undefined || !isName(part)) break;
    parts.push(nameOf(part));
    index += 2;
  }
  let changed: string | null = null;
  if (query[index]?.text === '(') {
    changed = isWord(first, 'changes') ? firstText(tokens, query[index]) : null;
    if (changed === null) return null;
    index += query[index + 1]?.text === ')' ? 2 : 1;
  }
  if (isWord(query[index], 'as')) index++;
  const next = query[index];
  const alias = next && isName(next) && !(next.kind === 'word' && notAlias.test(next.text)) ? nameOf(next) : null;
  const table = { name: changed ?? parts.join('.'), alias, isChanges: changed !== null };
  return { table, next: alias === null ? index : index + 1 };
}

/** The text right after a parenthesis, null if something else is. */
function firstText(tokens: readonly Token[], open: Token | undefined): string | null {
  const next = tokens.find((token) => open !== undefined && token.start >= open.end);
  return next?.kind === 'text' ? next.text.slice(1).replace(/'$/, '').replaceAll("''", "'") : null;
}

function isChangesName(tokens: readonly Token[], text: Token): boolean {
  const at = tokens.indexOf(text);
  return tokens[at - 1]?.text === '(' && isWord(tokens[at - 2], 'changes');
}

/** `WITH a AS (…), b(x) AS (…)`: names followed by AS and a parenthesis. */
function ctesOf(tokens: readonly Token[]): string[] {
  if (!tokens.some((token) => isWord(token, 'with'))) return [];
  return tokens.flatMap((token, index) => {
    const isCte = isName(token) && isWord(tokens[index + 1], 'as') && tokens[index + 2]?.text === '(';
    return isCte && (isWord(tokens[index - 1], 'with', 'recursive') || tokens[index - 1]?.text === ',')
      ? [nameOf(token)]
      : [];
  });
}
