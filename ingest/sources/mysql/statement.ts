/**
 * What a statement of the log may mean for tables. The log tells changes of rows as rows, so that statements are DDL, and
 * changes of data of sessions that have left binlog_format = ROW. Nothing is concluded from a statement's grammar but what
 * kind it is and which names stand in it: what became of a table is asked of the catalog.
 */
export type Statement =
  /** Rows of these tables are gone, without events. */
  | { kind: 'truncate'; tables: readonly TableName[] }
  /** Whatever stood under these names is gone, and what stands there from now on is another table. */
  | { kind: 'drop'; tables: readonly TableName[] }
  /** All tables of a database are gone. */
  | { kind: 'drop-database'; database: string }
  /** `isIfMissing`: nothing happened if there was one. */
  | { kind: 'create'; tables: readonly TableName[]; isIfMissing: boolean }
  | { kind: 'alter'; tables: readonly TableName[]; alteration: Alteration }
  /** A change of rows that was logged as text; the tables are all names in it. */
  | { kind: 'data'; names: readonly TableName[] }
  /** Back to a savepoint, in a transaction with tables that cannot go back. */
  | { kind: 'rollback-to' }
  | { kind: 'other' };

export interface TableName {
  database: string;
  table: string;
}

export interface Alteration {
  /** Names in lower case that it drops, or gives to something else: columns, and other things that have names. */
  dropped: readonly string[];
  /** A column has another name now. */
  renamesColumns: boolean;
  /** Partitions emptied, dropped or exchanged, a tablespace exchanged: rows came or went without events. */
  movesRows: boolean;
}

/** `database` is the statement's default; `sqlMode` as the log tells it. */
export function readStatement(sql: string, database: string, sqlMode: bigint): Statement {
  const tokens = tokenize(sql, sqlMode);
  switch (word(tokens[0])) {
    case 'TRUNCATE':
      return { kind: 'truncate', tables: firstName(tokens, database) };
    case 'ALTER':
      if (!isTableStatement(tokens)) return { kind: 'other' };
      return readAlter(tokens, database);
    case 'CREATE':
      if (!isTableStatement(tokens)) return { kind: 'other' };
      return {
        kind: 'create',
        tables: firstName(tokens, database),
        isIfMissing: tokens.slice(0, 6).some((token) => word(token) === 'EXISTS'),
      };
    case 'DROP':
    case 'RENAME':
      if (word(tokens[0]) === 'DROP' && ['DATABASE', 'SCHEMA'].includes(word(tokens[1]))) {
        return { kind: 'drop-database', database: firstName(tokens.slice(1), database)[0]?.table ?? '' };
      }
      if (!isTableStatement(tokens)) return { kind: 'other' };
      return { kind: 'drop', tables: namesIn(tokens, database) };
    case 'ROLLBACK':
      return { kind: 'rollback-to' };
    case 'INSERT':
    case 'UPDATE':
    case 'DELETE':
    case 'REPLACE':
    case 'LOAD':
    case 'WITH':
    case 'CALL':
    case 'DO':
    case 'SELECT':
      return { kind: 'data', names: namesIn(tokens, database) };
    default:
      return { kind: 'other' };
  }
}

interface Token {
  kind: 'word' | 'quoted' | 'text' | 'sign';
  value: string;
}

const ANSI_QUOTES = 0x4n;
const NO_BACKSLASH_ESCAPES = 0x100000n;

/** Words, quoted names, texts and signs; comments are left out, but what stands in a versioned one counts, since it was run. */
function tokenize(sql: string, sqlMode: bigint): Token[] {
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

function quotedAt(sql: string, start: number, hasEscapes: boolean): { value: string; end: number } {
  const quote = sql[start] as string;
  let value = '';
  for (let at = start + 1; at < sql.length; at++) {
    const letter = sql[at] as string;
    if (letter === '\\' && hasEscapes) {
      at += 1;
      value += sql[at] ?? '';
    } else if (letter !== quote) value += letter;
    else if (sql[at + 1] === quote) {
      at += 1;
      value += quote;
    } else return { value, end: at + 1 };
  }
  return { value, end: sql.length };
}

function word(token: Token | undefined): string {
  return token?.kind === 'word' ? token.value.toUpperCase() : '';
}

const beforeTable: ReadonlySet<string> = new Set(['OR', 'REPLACE', 'TEMPORARY', 'ONLINE', 'OFFLINE', 'IGNORE']);

function isTableStatement(tokens: readonly Token[]): boolean {
  const second = tokens.slice(1).find((token) => !beforeTable.has(word(token)));
  // A temporary table is its session's own; nothing of it is logged as rows.
  return (
    (word(second) === 'TABLE' || word(second) === 'TABLES') && !tokens.slice(1, 4).some((t) => word(t) === 'TEMPORARY')
  );
}

const beforeName: ReadonlySet<string> = new Set([
  ...['CREATE', 'ALTER', 'TRUNCATE', 'OR', 'REPLACE', 'ONLINE', 'OFFLINE', 'IGNORE'],
  ...['TABLE', 'DATABASE', 'SCHEMA', 'IF', 'NOT', 'EXISTS'],
]);

/** The table that a statement is of: what follows its first words. */
function firstName(tokens: readonly Token[], database: string): TableName[] {
  const at = tokens.findIndex((token) => !beforeName.has(word(token)));
  return namesIn(tokens.slice(at, isDot(tokens[at + 1]) ? at + 3 : at + 1), database);
}

/** Every name that could be a table's: `a.b`, and each single word as a table of the default database. */
function namesIn(tokens: readonly Token[], database: string): TableName[] {
  const names: TableName[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'text' || token.kind === 'sign') continue;
    if (isDot(tokens[index - 1])) {
      const before = tokens[index - 2];
      if (before) names.push({ database: before.value, table: token.value });
    } else if (!isDot(tokens[index + 1])) names.push({ database, table: token.value });
  }
  return names;
}

function isDot(token: Token | undefined): boolean {
  return token?.kind === 'sign' && token.value === '.';
}

function readAlter(tokens: readonly Token[], database: string): Statement {
  const dropped: string[] = [];
  let renamesColumns = false;
  let movesRows = false;
  for (const [index, token] of tokens.entries()) {
    const next = tokens[index + 1];
    const verb = word(token);
    if (verb === 'DROP' || verb === 'CHANGE' || verb === 'RENAME') {
      const rest = tokens.slice(index + 1).filter((t) => !['COLUMN', 'IF', 'EXISTS'].includes(word(t)));
      if (rest[0] && rest[0].kind !== 'sign') dropped.push(rest[0].value.toLowerCase());
      if (verb === 'RENAME') renamesColumns ||= word(next) === 'COLUMN';
      if (verb === 'CHANGE') renamesColumns ||= rest[0]?.value.toLowerCase() !== rest[1]?.value.toLowerCase();
    }
    if (['TRUNCATE', 'DROP', 'EXCHANGE', 'CONVERT'].includes(verb) && ['PARTITION', 'TABLE'].includes(word(next))) {
      movesRows = true;
    }
    if (['DISCARD', 'IMPORT'].includes(verb) && ['TABLESPACE', 'PARTITION'].includes(word(next))) movesRows = true;
    // Another partition scheme may leave rows out; so may a table that takes this one's name.
    if (verb === 'RENAME' && !['COLUMN', 'INDEX', 'KEY'].includes(word(next))) movesRows = true;
  }
  // What moves rows may name a second table.
  const tables = movesRows ? namesIn(tokens, database) : firstName(tokens, database);
  return { kind: 'alter', tables, alteration: { dropped, renamesColumns, movesRows } };
}
