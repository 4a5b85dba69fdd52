import { type Alteration, readAlteration } from './alteration.ts';
import { isSign, type Token, tokenize, word } from './statement-tokens.ts';

/**
 * What a statement of the log may mean for tables. The log tells changes of rows as rows, so that statements are DDL, and
 * changes of data of sessions that have left binlog_format = ROW. What became of a table is asked of the catalog; but that
 * may be ahead of the log, so that of an ALTER TABLE it is read, too, what it makes of columns.
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

/** `database` is the statement's default; `sqlMode` as the log tells it. */
export function readStatement(sql: string, database: string, sqlMode: bigint): Statement {
  const tokens = withoutSettings(tokenize(sql, sqlMode));
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

/** What follows `SET STATEMENT name = value, … FOR` (MariaDB). */
function withoutSettings(tokens: Token[]): Token[] {
  if (word(tokens[0]) !== 'SET' || word(tokens[1]) !== 'STATEMENT') return tokens;
  return tokens.slice(tokens.findIndex((token) => word(token) === 'FOR') + 1);
}

function readAlter(tokens: readonly Token[], database: string): Statement {
  const alteration = readAlteration(tokens.slice(firstNameSpan(tokens).end));
  const isLossy = tokens.slice(1, 4).some((token) => word(token) === 'IGNORE');
  // Rows that are not unique any more were left out.
  const movesRows = alteration.movesRows || isLossy;
  // What moves rows may name a second table.
  const tables = movesRows ? namesIn(tokens, database) : firstName(tokens, database);
  return { kind: 'alter', tables, alteration: { ...alteration, movesRows } };
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
  const { start, end } = firstNameSpan(tokens);
  return namesIn(tokens.slice(start, end), database);
}

function firstNameSpan(tokens: readonly Token[]): { start: number; end: number } {
  const start = tokens.findIndex((token) => !beforeName.has(word(token)));
  return { start, end: isSign(tokens[start + 1], '.') ? start + 3 : start + 1 };
}

/** Every name that could be a table's: `a.b`, and each single word as a table of the default database. */
function namesIn(tokens: readonly Token[], database: string): TableName[] {
  const names: TableName[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'text' || token.kind === 'sign') continue;
    if (isSign(tokens[index - 1], '.')) {
      const before = tokens[index - 2];
      if (before) names.push({ database: before.value, table: token.value });
    } else if (!isSign(tokens[index + 1], '.')) names.push({ database, table: token.value });
  }
  return names;
}
