import { identifier } from '../iceberg/files/duckdb-values.ts';
import type { SpecialRead } from './check-statement.ts';
import type { TableMention } from './child-protocol.ts';
import { nextToken } from './parameter-marks.ts';

/** The view that stands for a table in the statement that runs. */
export interface ViewName {
  /** The database that holds it, null for the first. */
  database: string | null;
  schema: string;
  name: string;
}

/**
 * What DuckDB cannot bind, a table `AT` a state and `changes(…)`, becomes a view of its own in the text:
 *
 *   FROM production.movie AS m AT (VERSION => 12)   →   FROM a.b AS m
 *   FROM changes('production.movie', 12)            →   FROM a.c AS changes
 *
 * padded with spaces to the same bytes, so that every place after it stays where it was.
 */
export function placeReads(
  sql: string,
  tables: readonly TableMention[],
  reads: readonly SpecialRead[],
): { sql: string; views: ViewName[] } {
  const schema = freeLetter(tables);
  const views = tables.map((mention, index): ViewName => {
    if (mention.read.kind !== 'now') return { database: null, schema, name: shortName(index) };
    const [schemaName = '', database = null] = mention.levels.toReversed();
    return { database, schema: schemaName, name: mention.table };
  });
  const bytes = Buffer.from(sql);
  const pieces: Buffer[] = [];
  let done = 0;
  for (const read of reads.toSorted((a, b) => a.startByte - b.startByte)) {
    const text = bytes.subarray(read.startByte).toString();
    const view = `${schema}.${shortName(read.table)}`;
    const region = read.kind === 'at' ? atRegion(text) : callRegion(text);
    const name = read.kind === 'at' ? identifier(tables[read.table]?.table ?? '') : 'changes';
    const placed = Buffer.from(`${view}${read.alias === null ? ` AS ${name}` : region.alias}`);
    const length = Buffer.byteLength(text.slice(0, region.end));
    if (placed.length > length) throw new Error('A table of the statement has no room for its view.');
    pieces.push(bytes.subarray(done, read.startByte), placed, Buffer.alloc(length - placed.length, ' '));
    done = read.startByte + length;
  }
  return { sql: Buffer.concat([...pieces, bytes.subarray(done)]).toString(), views };
}

/** In place of a statement that only counts the rows of a table, under this column's name: how many are known to be there. */
export function placeCount(rows: string, column: string | null): { sql: string; views: ViewName[] } {
  if (column === null) throw new Error('The statement does more than count rows.');
  return { sql: `SELECT ${BigInt(rows)}::BIGINT AS ${identifier(column)}`, views: [] };
}

interface Region {
  /** Index after what is replaced. */
  end: number;
  /** What stands between the table's name and AT. */
  alias: string;
}

/** `name [AS alias] AT (…)`; the name's parts and the alias are words or quoted names. */
function atRegion(text: string): Region {
  let nameEnd = 0;
  for (let index = 0, isPart = true; index < text.length; ) {
    const token = nextToken(text, index);
    const piece = text.slice(index, index + token.length);
    if (token.kind === 'space') {
      index += token.length;
      continue;
    }
    if (isPart === (piece === '.')) break;
    isPart = !isPart;
    index += token.length;
    nameEnd = index;
  }
  for (let index = nameEnd; index < text.length; index += nextToken(text, index).length) {
    const clause = /^at\s*\(\s*(version|timestamp)\s*=>/i.exec(withoutComments(text.slice(index)));
    if (clause) return { end: closingEnd(text, index), alias: text.slice(nameEnd, index) };
  }
  throw new Error('The AT of a table was not found.');
}

function callRegion(text: string): Region {
  return { end: closingEnd(text, 0), alias: '' };
}

/** Index after the parenthesis that closes the first one from `start` on. */
function closingEnd(text: string, start: number): number {
  let depth = 0;
  for (let index = start; index < text.length; ) {
    const { kind, length } = nextToken(text, index);
    const piece = text.slice(index, index + length);
    index += length;
    if (kind === 'space') continue;
    if (piece === '(') depth += 1;
    else if (piece === ')') depth -= 1;
    if (piece === ')' && depth === 0) return index;
  }
  throw new Error('A parenthesis of the statement is not closed.');
}

/** Comments written as spaces. */
function withoutComments(text: string): string {
  return text.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, (comment) => ' '.repeat(comment.length));
}

/** A schema's name that no table of the statement uses. */
function freeLetter(tables: readonly TableMention[]): string {
  const taken = new Set(tables.flatMap(({ levels }) => levels.map((level) => level.toLowerCase())));
  const letter = 'abcdefghijklmnopqrstuvwxyz'.split('').find((candidate) => !taken.has(candidate));
  if (letter === undefined) throw new Error('The statement uses every letter as a namespace.');
  return letter;
}

/** Two characters for the first tables, and no word of SQL: `a_`, `b_`, … `z_`, `a1`, … */
function shortName(index: number): string {
  const round = Math.floor(index / 26);
  return `${String.fromCharCode(97 + (index % 26))}${round === 0 ? '_' : round.toString(36)}`;
}
