import { charsetOf, type MadeColumn, readColumn, unqualified } from './made-column.ts';
import { isSign, type Token, word } from './statement-tokens.ts';

/** What an ALTER TABLE says that it does, as far as that matters to rows that were read before. */
export interface Alteration {
  /** Names in lower case that it drops, or gives to something else: columns, and other things that have names. */
  dropped: readonly string[];
  /** A column has another name now. */
  renamesColumns: boolean;
  /** Partitions emptied, dropped or exchanged, a tablespace exchanged: rows came or went without events. */
  movesRows: boolean;
  /** Columns that it adds or defines anew. */
  columns: readonly MadeColumn[];
  /** All texts get this character set; `default` for the database's. */
  convertsTo: string | null;
  /** The table gets this character set, which columns of none of their own are made in from then on. */
  defaultCharset: string | null;
}

/** `tokens`: what follows the table's name. */
export function readAlteration(tokens: readonly Token[]): Alteration {
  const names = readNames(tokens);
  const columns: MadeColumn[] = [];
  let convertsTo: string | null = null;
  let defaultCharset: string | null = null;
  for (const clause of commaSeparated(withoutWait(tokens))) {
    switch (word(clause[0])) {
      case 'ADD':
        columns.push(...readAdded(clause.slice(1)));
        break;
      case 'MODIFY': {
        const { rest, isConditional } = afterColumn(clause.slice(1));
        columns.push(...readColumn(rest, { isAdded: false, isConditional }));
        break;
      }
      case 'CHANGE': {
        const { rest, isConditional } = afterColumn(clause.slice(1));
        columns.push(...readColumn(unqualified(rest).slice(1), { isAdded: false, isConditional }));
        break;
      }
      case 'CONVERT':
        convertsTo = charsetOf(clause) ?? convertsTo;
        break;
      case 'ALTER':
      case 'DROP':
      case 'RENAME':
        break;
      default:
        defaultCharset = charsetOf(clause) ?? defaultCharset;
    }
  }
  return { ...names, columns, convertsTo, defaultCharset };
}

function readNames(tokens: readonly Token[]): Pick<Alteration, 'dropped' | 'renamesColumns' | 'movesRows'> {
  const dropped: string[] = [];
  let renamesColumns = false;
  let movesRows = false;
  for (const [index, token] of tokens.entries()) {
    const next = tokens[index + 1];
    const verb = word(token);
    if (verb === 'DROP' || verb === 'CHANGE' || verb === 'RENAME') {
      const [name, other] = tokens.slice(index + 1).filter((t) => !['COLUMN', 'IF', 'EXISTS'].includes(word(t)));
      // One that keeps its name is only defined anew.
      const isKept = verb === 'CHANGE' && name?.value === other?.value;
      if (name && name.kind !== 'sign' && !isKept) dropped.push(name.value.toLowerCase());
      if (verb === 'RENAME') renamesColumns ||= word(next) === 'COLUMN';
      if (verb === 'CHANGE') renamesColumns ||= name?.value.toLowerCase() !== other?.value.toLowerCase();
    }
    if (['TRUNCATE', 'DROP', 'EXCHANGE', 'CONVERT'].includes(verb) && ['PARTITION', 'TABLE'].includes(word(next))) {
      movesRows = true;
    }
    if (['DISCARD', 'IMPORT'].includes(verb) && ['TABLESPACE', 'PARTITION'].includes(word(next))) movesRows = true;
    // Another partition scheme may leave rows out; so may a table that takes this one's name.
    if (verb === 'RENAME' && !['COLUMN', 'INDEX', 'KEY'].includes(word(next))) movesRows = true;
  }
  return { dropped, renamesColumns, movesRows };
}

function withoutWait(tokens: readonly Token[]): readonly Token[] {
  if (word(tokens[0]) === 'NOWAIT') return tokens.slice(1);
  return word(tokens[0]) === 'WAIT' ? tokens.slice(2) : tokens;
}

/** The parts between commas, but for those in parentheses. */
function commaSeparated(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (isSign(token, '(')) depth += 1;
    if (isSign(token, ')')) depth -= 1;
    if (depth === 0 && isSign(token, ',')) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

/** Without `COLUMN`, and without `IF EXISTS` or `IF NOT EXISTS`. */
function afterColumn(tokens: readonly Token[]): { rest: readonly Token[]; isConditional: boolean } {
  const rest = word(tokens[0]) === 'COLUMN' ? tokens.slice(1) : tokens;
  if (word(rest[0]) !== 'IF') return { rest, isConditional: false };
  return { rest: rest.slice(word(rest[1]) === 'NOT' ? 3 : 2), isConditional: true };
}

const otherThings =
  /^(INDEX|KEY|UNIQUE|FULLTEXT|SPATIAL|PRIMARY|CONSTRAINT|FOREIGN|CHECK|PARTITION|VECTOR (INDEX|KEY)|PERIOD FOR|SYSTEM VERSIONING)( |$)/;

/** What follows ADD: one column, a list of them, or something that is none. */
function readAdded(tokens: readonly Token[]): MadeColumn[] {
  const isColumn = word(tokens[0]) === 'COLUMN';
  const { rest, isConditional } = afterColumn(tokens);
  const isList = isSign(rest[0], '(');
  const list = isList
    ? commaSeparated(
        rest.slice(
          1,
          rest.findLastIndex((token) => isSign(token, ')')),
        ),
      )
    : [rest];
  return list.flatMap((part) => {
    if (!isColumn && otherThings.test(`${word(part[0])} ${word(part[1])}`)) return [];
    return readColumn(part, { isAdded: true, isConditional });
  });
}
