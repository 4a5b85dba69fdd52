import { isSign, type Token, word } from './statement-tokens.ts';

/** A column as a statement defines it. */
export interface MadeColumn {
  /** In lower case. */
  name: string;
  isAdded: boolean;
  /** Nothing was done if one that is added was there already, or one that is altered was not. */
  isConditional: boolean;
  /**
   * As `plainType` of what the catalog prints of such a column, but `text(n)` and `blob(n)`, for `sizedType`. One that is not
   * known here is as it was written.
   */
  type: string;
  /** Null where none is told: the table's. */
  charset: string | null;
  /** Null for a TIMESTAMP that tells neither: explicit_defaults_for_timestamp does. */
  isNullable: boolean | null;
  hasDefault: boolean;
  /** Made from other columns. */
  isGenerated: boolean;
}

/** How a type may begin, and what the catalog calls it. */
const spellings: readonly (readonly [RegExp, string])[] = [
  [/^(NVARCHAR|(NATIONAL|NCHAR) VARCHAR(ACTER)?|(NATIONAL CHAR(ACTER)?|NCHAR) VARYING)(?= |$)/, 'varchar'],
  [/^(NATIONAL CHAR(ACTER)?|NCHAR)(?= |$)/, 'char'],
  [/^(VARCHARACTER|CHAR(ACTER)? VARYING)(?= |$)/, 'varchar'],
  [/^CHARACTER(?= |$)/, 'char'],
  [/^(INTEGER|INT4)(?= |$)/, 'int'],
  [/^(INT1|BOOL|BOOLEAN)(?= |$)/, 'tinyint'],
  [/^INT2(?= |$)/, 'smallint'],
  [/^(INT3|MIDDLEINT)(?= |$)/, 'mediumint'],
  [/^(INT8|SERIAL)(?= |$)/, 'bigint'],
  [/^(DEC|NUMERIC|FIXED)(?= |$)/, 'decimal'],
  [/^(DOUBLE PRECISION|REAL|FLOAT8)(?= |$)/, 'double'],
  [/^FLOAT4(?= |$)/, 'float'],
  [/^LONG VARBINARY(?= |$)/, 'mediumblob'],
  [/^LONG( VARCHAR(ACTER)?| CHAR(ACTER)? VARYING)?(?= |$)/, 'mediumtext'],
];

const defaultSizes: Readonly<Record<string, string>> = {
  ...{ char: '1', binary: '1', bit: '1', decimal: '10,0', vector: '2048' },
};

/** The column that a definition makes, from its name on; none where there is nothing to read. */
export function readColumn(
  tokens: readonly Token[],
  { isAdded, isConditional }: Pick<MadeColumn, 'isAdded' | 'isConditional'>,
): MadeColumn[] {
  const [name, ...definition] = unqualified(tokens);
  if (name === undefined || definition[0]?.kind !== 'word') return [];
  const { written, called, sizes, rest } = readType(definition);
  const words = topWords(rest);
  const has = (...wanted: string[]) => wanted.some((one) => words.includes(one));
  const charset = /^N(ATIONAL|CHAR|VARCHAR)/.test(written) ? 'utf8mb3' : charsetOf(rest);
  const isBytes = charset === 'binary' || has('BYTE');
  const isUnsigned = written === 'SERIAL' || has('UNSIGNED', 'ZEROFILL');
  const type = plainType(`${called}${sizes === null ? '' : `(${sizes})`}${isUnsigned ? ' unsigned' : ''}`);
  const isNotNull = written === 'SERIAL' || isNeverNull(words);
  const isLeftOpen = called === 'timestamp' && !has('NULL');
  return [
    {
      ...{ name: name.value.toLowerCase(), isAdded, isConditional },
      type: isBytes ? type.replace(/^(var)?char\b/, '$1binary').replace(/text(?=$|\()/, 'blob') : type,
      charset: isBytes ? null : charset,
      isNullable: isNotNull ? false : isLeftOpen ? null : true,
      hasDefault: words.some((one, at) => one === 'DEFAULT' && words[at + 1] !== 'NULL'),
      isGenerated: has('AS', 'GENERATED'),
    },
  ];
}

/** Without the names of a table and a database in front of a column's. */
export function unqualified(tokens: readonly Token[]): readonly Token[] {
  const isQualified = isSign(tokens[0], '.') || isSign(tokens[1], '.');
  return isQualified ? unqualified(tokens.slice(isSign(tokens[0], '.') ? 1 : 2)) : tokens;
}

/** A type as the catalog prints it, without what differs between servers and changes no value: `int unsigned` for `int(5) unsigned zerofill`. */
export function plainType(columnType: string): string {
  return columnType
    .replace(/^((?:tiny|small|medium|big)?int|year)\(\d+\)/, '$1')
    .replace(/ zerofill$/, '')
    .replace(/^geomcollection$/, 'geometrycollection');
}

/** Of their longest characters; those that are not here have characters of one byte. */
const characterBytes: Readonly<Record<string, number>> = {
  ...{ utf8mb4: 4, utf16: 4, utf16le: 4, utf32: 4, gb18030: 4, utf8mb3: 3, ujis: 3, eucjpms: 3 },
  ...{ ucs2: 2, big5: 2, gbk: 2, gb2312: 2, euckr: 2, sjis: 2, cp932: 2 },
};

/** Which of the sizes of TEXT and BLOB it is that takes so many characters: `mediumtext` for `text(65535)` in utf8mb4. Others stay. */
export function sizedType(type: string, charset: string): string {
  const [, kind, length] = /^(text|blob)\((\d+)\)$/.exec(type) ?? [];
  if (kind === undefined) return type;
  const bytes = Number(length) * (kind === 'text' ? (characterBytes[charset] ?? 1) : 1);
  const size = bytes < 2 ** 8 ? 'tiny' : bytes < 2 ** 16 ? '' : bytes < 2 ** 24 ? 'medium' : 'long';
  return `${size}${kind}`;
}

/** MySQL's and MariaDB's older name of utf8mb3 is utf8. */
export function plainCharset(charset: string): string {
  return charset.toLowerCase() === 'utf8' ? 'utf8mb3' : charset.toLowerCase();
}

/** The character set that these tokens name, or the one of their collation; null for none. */
export function charsetOf(tokens: readonly Token[]): string | null {
  let collation: string | null = null;
  let depth = 0;
  for (const [at, token] of tokens.entries()) {
    if (isSign(token, '(')) depth += 1;
    if (isSign(token, ')')) depth -= 1;
    if (depth > 0) continue;
    const follows = (count: number) => tokens.slice(at + count).find((next) => !isSign(next, '='))?.value ?? '';
    const one = word(token);
    if (one === 'CHARSET') return plainCharset(follows(1));
    if ((one === 'CHARACTER' || one === 'CHAR') && word(tokens[at + 1]) === 'SET') return plainCharset(follows(2));
    if (one === 'ASCII') return 'latin1';
    if (one === 'UNICODE') return 'ucs2';
    // Those of MariaDB that go with any character set name none.
    if (one === 'COLLATE' && !/^uca/i.test(follows(1))) collation ??= plainCharset(follows(1).split('_')[0] ?? '');
  }
  return collation;
}

interface WrittenType {
  /** Its words, in capitals. */
  written: string;
  /** The catalog's word for it. */
  called: string;
  sizes: string | null;
  /** What follows it. */
  rest: readonly Token[];
}

function readType(tokens: readonly Token[]): WrittenType {
  const start = tokens.slice(0, 3).map(word).join(' ');
  const [spelling, known] = spellings.find(([pattern]) => pattern.test(start)) ?? [/^\S*/, null];
  const written = spelling.exec(start)?.[0] ?? '';
  const called = known ?? written.toLowerCase();
  const after = tokens.slice(written.split(' ').length);
  if (!isSign(after[0], '(')) return { written, called, sizes: defaultSizes[called] ?? null, rest: after };
  const end = after.findIndex((token) => isSign(token, ')'));
  const sizes = after.slice(1, end).map(textOf).join('');
  const rest = after.slice(end + 1);
  if (called === 'decimal') return { written, called, sizes: decimalSizes(sizes), rest };
  if (/^(date)?time(stamp)?$/.test(called) && sizes === '0') return { written, called, sizes: null, rest };
  // One number alone is of bits, and only chooses between the two.
  if (called === 'float' && /^\d+$/.test(sizes)) {
    return { written, called: Number(sizes) > 24 ? 'double' : 'float', sizes: null, rest };
  }
  return { written, called, sizes, rest };
}

function decimalSizes(sizes: string): string {
  const [digits = 0, scale = 0] = sizes.split(',').map(Number);
  return `${digits === 0 && scale === 0 ? 10 : digits},${scale}`;
}

const printed: Readonly<Record<string, string>> = {
  ...{ "'": "''", '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\0': '\\0' },
};

/** Labels as the catalog prints them: without spaces at their end, and with few escapes. */
function textOf({ kind, value }: Token): string {
  if (kind !== 'text') return value;
  return `'${[...value.replace(/ +$/, '')].map((letter) => printed[letter] ?? letter).join('')}'`;
}

/** Words of a definition outside of parentheses, up to where the column's place is told. */
function topWords(tokens: readonly Token[]): string[] {
  const words: string[] = [];
  let depth = 0;
  for (const token of tokens) {
    if (isSign(token, '(')) depth += 1;
    if (isSign(token, ')')) depth -= 1;
    if (depth === 0 && word(token) === 'AFTER') break;
    if (depth === 0) words.push(word(token));
  }
  return words;
}

function isNeverNull(words: readonly string[]): boolean {
  return words.some((one, at) => {
    const before = words[at - 1];
    switch (one) {
      case 'NULL':
        return before === 'NOT';
      case 'KEY':
        return before !== 'UNIQUE';
      default:
        return ['PRIMARY', 'AUTO_INCREMENT', 'SERIAL'].includes(one);
    }
  });
}
