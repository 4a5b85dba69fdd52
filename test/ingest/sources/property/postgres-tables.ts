import type { Random } from '#test/engines/matrix/random.ts';
import { type RandomType, randomTypes, typeOf } from './postgres-types.ts';

export interface RandomColumn {
  name: string;
  type: RandomType;
  /** Filled by the server itself. */
  isGenerated: boolean;
  /** False where no stream carries it: virtual ones, and before Postgres 18 all that are generated. */
  isFollowed: boolean;
  isNotNull: boolean;
}

/** A table as the catalogs describe it now. */
export interface RandomTable {
  schema: string;
  name: string;
  columns: RandomColumn[];
  /** Of the primary key. */
  key: string[];
  /** True where updates and deletes can be told: a key, a chosen index, or all columns. */
  hasIdentity: boolean;
  identity: 'd' | 'f' | 'i' | 'n';
  isPartitioned: boolean;
  /** Constraint of the primary key. */
  keyName: string | null;
}

export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
export const nameOf = (table: Pick<RandomTable, 'schema' | 'name'>) => `${quoted(table.schema)}.${quoted(table.name)}`;

const syllables = [
  'film',
  'Größe',
  'a"b',
  "it's",
  'select',
  'user',
  'ta ble',
  '名前',
  'x$1',
  '%d',
  'ключ',
  'UPPER',
  'é\u0301',
  'a/b',
  'c\\d',
  '{t}',
  'e#f',
  '🎬',
];

/** Names with quotes, blanks, reserved words, of many scripts, of up to the 63 bytes that a name may have; none twice in any case. */
export class RandomNames {
  #next = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): string {
    const number = this.#next++;
    if (this.#random.chance(0.3)) return `c${number}`;
    if (this.#random.chance(0.1)) return `n${number}_`.padEnd(63, 'long_name_');
    const name = `${this.#random.pick(syllables)} ${number}`;
    return this.#random.chance(0.5) ? name.replace(' ', '') : name;
  }
}

/** SQL that makes a random table, its indexes and partitions. `name` may be one that a dropped table had. */
export function createTable(
  random: Random,
  names: RandomNames,
  options: { major: number; schema: string; name: string },
): string {
  const types = randomTypes.filter((type) => (type.since ?? 0) <= options.major);
  const keys = types.filter((type) => type.isKey);
  const kind = random.pick([
    'single',
    'single',
    'single',
    'single',
    'composite',
    'composite',
    'identity',
    'text',
    'enum',
    'none',
    'none',
  ]);
  const columns: string[] = [];
  const keyColumns: string[] = [];
  const addKey = (sql: string) => {
    const name = quoted(names.next());
    keyColumns.push(name);
    columns.push(`${name} ${sql} NOT NULL`);
  };
  if (kind === 'single') addKey(random.pick(keys).sql);
  if (kind === 'composite')
    for (let left = 2 + random.below(2); left > 0; left--)
      addKey(
        random.pick([...keys, ...types.filter(({ sql }) => /^(text|boolean|"mood|character\(5\))/.test(sql))]).sql,
      );
  if (kind === 'identity') addKey(`bigint GENERATED ${random.pick(['ALWAYS', 'BY DEFAULT'])} AS IDENTITY`);
  if (kind === 'text') addKey(`text${random.pick(['', ' COLLATE "C"'])}`);
  if (kind === 'enum') {
    addKey(random.pick(['"mood ""x"", y"', '"Öther s".mood']));
    addKey('integer');
  }
  const count = 1 + random.below(random.chance(0.2) ? 39 : 8);
  const external: string[] = [];
  for (let left = count; left > 0; left--) {
    const [name, type] = [quoted(names.next()), random.pick(types)];
    columns.push(`${name} ${type.sql}`);
    if (type.isLong && random.chance(0.7)) external.push(`ALTER ${name} SET STORAGE EXTERNAL`);
  }
  if (random.chance(0.3) && kind === 'single') {
    columns.push(
      `${quoted(names.next())} text GENERATED ALWAYS AS (upper('x' || ${quoted('plain text')})) STORED, ${quoted('plain text')} text`,
    );
  }
  if (random.chance(0.15) && options.major >= 18 && kind !== 'none')
    columns.push(`${quoted(names.next())} integer GENERATED ALWAYS AS (1 + 1) VIRTUAL`);
  // The key's columns stand anywhere.
  const order = columns.map((sql) => ({ sql, at: random.fraction() })).sort((a, b) => a.at - b.at);
  const isPartitioned = random.chance(0.2) && kind !== 'identity';
  const table = nameOf(options);
  const key = keyColumns.length > 0 ? [`PRIMARY KEY (${[...keyColumns].reverse().join(', ')})`] : [];
  const by = isPartitioned
    ? ` PARTITION BY HASH (${keyColumns[0] ?? order[0]?.sql.match(/^"(?:[^"]|"")*"/)?.[0]})`
    : '';
  const isHashable = !isPartitioned || keyColumns.length > 0;
  const statements = [
    `CREATE TABLE ${table} (${[...order.map(({ sql }) => sql), ...key].join(', ')})${isHashable ? by : ''}`,
  ];
  if (external.length > 0) statements.push(`ALTER TABLE ${table} ${external.join(', ')}`);
  if (isPartitioned && isHashable) {
    for (const part of [0, 1, 2]) {
      const name = quoted(`${options.name.slice(0, 12)} part ${part}`);
      statements.push(
        `CREATE TABLE ${quoted(options.schema)}.${name} PARTITION OF ${table} FOR VALUES WITH (MODULUS 3, REMAINDER ${part})`,
      );
      if (random.chance(0.2)) statements.push(`ALTER TABLE ${quoted(options.schema)}.${name} REPLICA IDENTITY FULL`);
    }
  }
  if (random.chance(kind === 'none' ? 0.6 : 0.25))
    statements.push(
      `ALTER TABLE ${table} REPLICA IDENTITY ${kind !== 'none' && random.chance(0.15) ? 'NOTHING' : 'FULL'}`,
    );
  return statements.join('; ');
}

/** All tables of both schemas, partitions left out, in an order of their own. */
export const tablesQuery = `
SELECT n.nspname, c.relname, c.relkind, c.relreplident,
  (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated, a.attidentity, a.attnotnull) ORDER BY a.attnum)
     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT json_agg(a.attname ORDER BY k.place) FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum) AS key,
  (SELECT conname FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p') AS key_name,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate) AS has_key,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident) AS has_chosen,
  EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated = 'v') AS has_virtual,
  EXISTS (SELECT FROM pg_inherits h JOIN pg_class m ON m.oid = h.inhrelid WHERE h.inhparent = c.oid AND m.relreplident IN ('n', 'i')) AS has_mute_part
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'Öther s') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

export interface TableRow {
  nspname: string;
  relname: string;
  relkind: string;
  relreplident: 'd' | 'f' | 'i' | 'n';
  columns: [name: string, type: string, generated: string, identity: string, isNotNull: boolean][] | null;
  key: string[] | null;
  key_name: string | null;
  has_key: boolean;
  has_chosen: boolean;
  has_virtual: boolean;
  has_mute_part: boolean;
}

export function tableOfRow(row: TableRow, major: number): RandomTable {
  const isPartitioned = row.relkind === 'p';
  const hasIdentity = {
    d: row.has_key,
    i: row.has_chosen,
    f: !row.has_virtual,
    n: false,
  }[row.relreplident];
  return {
    schema: row.nspname,
    name: row.relname,
    columns: (row.columns ?? []).map(([name, sql, generated, identity, isNotNull]) => ({
      ...{ name, type: typeOf(sql), isNotNull },
      isGenerated: generated !== '' || identity !== '',
      isFollowed: generated === '' || (generated === 's' && major >= 18),
    })),
    key: row.key ?? [],
    // Of a partitioned table it is each partition's own that counts.
    hasIdentity: isPartitioned ? row.has_key && !row.has_mute_part : hasIdentity,
    identity: row.relreplident,
    isPartitioned,
    keyName: row.key_name,
  };
}
