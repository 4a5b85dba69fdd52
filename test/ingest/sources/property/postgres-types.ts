import type { Random } from '#test/engines/matrix/random.ts';

/** A type that a random column may have. */
export interface RandomType {
  /** As `format_type` prints it, so that the catalog's answer finds it again. */
  sql: string;
  /** Text that Postgres takes for a value of it; now and then one that its Iceberg type cannot carry, unless for a key. */
  text(random: Random, isForKey: boolean): string;
  /**
   * SQL for what a reader of the table must find, in the texts of test/engines/canonical.ts (lists as JSON); NULL for a value that
   * stands beside it as text.
   */
  canonical(value: string): string;
  isList?: boolean;
  /** Good for keys: a btree orders it, and two values are rarely the same. */
  isKey?: boolean;
  /** Types that a column of this one may be altered to, each with its USING. */
  becomes?: readonly (readonly [sql: string, using: string | null])[];
  /** First major version that has it. */
  since?: number;
  /** Stored out of line where it is long. */
  isLong?: boolean;
}

/** What the types below need. The labels and the name of one enum are odd, and another schema has an enum of the same name. */
export const typeDefinitions = `
  CREATE SCHEMA "Öther s";
  CREATE TYPE "mood ""x"", y" AS ENUM ('sad, but "true"', 'ok', '', 'it''s {a}', 'NULL', '日本', '\\');
  CREATE TYPE "Öther s".mood AS ENUM ('calm', 'a b');
  CREATE TYPE mood AS ENUM ('calm', 'wild');
  CREATE DOMAIN price AS numeric(10,3) CHECK (VALUE >= 0);
  CREATE DOMAIN "Tags ,1" AS text[];
  CREATE DOMAIN deep AS price;
  CREATE TYPE pair AS (a integer, "b ""q""" text);`;

const letters = [...'abcdefghij ABC0123456789\'"\\/%_={},;\t\nßäé€🎬\u0301語'];
const words = ['', '\\N', '\\.', 'NULL', '{}', '"', "'", 'a\\tb', '\r\n', ' ', '(,)', '[]'];

function word(random: Random, most: number): string {
  if (random.chance(0.1)) return [...random.pick(words)].slice(0, most).join('');
  return Array.from({ length: random.below(most + 1) }, () => random.pick(letters)).join('');
}

const longText = (random: Random) =>
  random.chance(0.2) ? word(random, 20).padEnd(2100 + random.below(900), 'long ') : word(random, 20);
const whole = (random: Random, bits: number) => String(random.integer(bits));
const digits = (random: Random, precision: number, scale: number) => {
  const count = 1 + random.below(precision);
  const text = Array.from({ length: count }, () => random.below(10))
    .join('')
    .padStart(scale + 1, '0');
  const at = text.length - scale;
  return `${random.chance(0.5) ? '-' : ''}${text.slice(0, at)}${scale > 0 ? `.${text.slice(at)}` : ''}`;
};
const pad = (value: number, length = 2) => String(value).padStart(length, '0');
const day = (random: Random) =>
  `${pad(1 + random.below(random.chance(0.8) ? 3000 : 9999), 4)}-${pad(1 + random.below(12))}-${pad(1 + random.below(28))}`;
const clock = (random: Random) =>
  `${pad(random.below(24))}:${pad(random.below(60))}:${pad(random.below(60))}.${pad(random.below(1_000_000), 6)}`;
const uuid = (random: Random) => Buffer.from(random.bytes(16)).toString('hex');
const hex = (random: Random, most: number) => `\\x${Buffer.from(random.bytes(random.below(most))).toString('hex')}`;
const float = (random: Random) => {
  if (random.chance(0.2)) return random.pick(['NaN', 'Infinity', '-Infinity', '-0', '0', '1e-30', '3.4e38']);
  return String((random.fraction() - 0.5) * 10 ** (random.below(30) - 12));
};

/** The value as it is printed; `char(n)` with its blanks, which a cast to text would drop. */
export const printed = (value: string) => `CASE WHEN (${value}) IS NULL THEN NULL ELSE format('%s', ${value}) END`;
const micros = (value: string) => `trunc(extract(epoch FROM ${value}) * 1000000)::numeric(40,0)::text`;
const finite = (value: string, type: string, last: string) =>
  `isfinite(${value}) AND ${value} >= '0001-01-01'::${type} AND ${value} <= '${last}'::${type}`;
const canonicalDate = (value: string) =>
  `CASE WHEN ${finite(value, 'date', '9999-12-31')} THEN (${value} - date '1970-01-01')::text END`;
const canonicalTime = (value: string) => `CASE WHEN ${value} < time '24:00' THEN ${micros(value)} END`;
const canonicalMoment = (type: string) => (value: string) =>
  `CASE WHEN ${finite(value, type, '9999-12-31 23:59:59.999999')} THEN ${micros(value)} END`;
const canonicalFloat = (value: string) =>
  `CASE WHEN ${value} = 'NaN' THEN 'nan' ELSE encode(float8send(${value}::float8), 'hex') END`;
const canonicalDecimal = (scale: number) => (value: string) =>
  `CASE WHEN ${value} <> 'NaN' THEN trunc(${value}::numeric * ${10n ** BigInt(scale)})::text END`;
const canonicalBytes = (value: string) => `encode(${value}, 'hex')`;

/** Odd values of a type, unless for a key. */
const orOdd =
  (plain: (random: Random) => string, ...odd: string[]) =>
  (random: Random, isForKey: boolean) =>
    !isForKey && random.chance(0.04) ? random.pick(odd) : plain(random);

function listOf(element: RandomType, sql = `${element.sql}[]`, isOddToo = true): RandomType {
  const quoted = (random: Random) =>
    random.chance(0.2)
      ? 'NULL'
      : `"${element
          .text(random, !isOddToo || random.chance(0.9))
          .replaceAll('\\', '\\\\')
          .replaceAll('"', '\\"')}"`;
  const items = (random: Random, count: number) => Array.from({ length: count }, () => quoted(random)).join(',');
  return {
    sql,
    isList: true,
    text: (random, isForKey) => {
      if (!isForKey && random.chance(0.04)) return `{{${items(random, 2)}},{${items(random, 2)}}}`;
      if (!isForKey && random.chance(0.03)) return `[0:1]={${items(random, 2)}}`;
      return `{${items(random, random.below(4))}}`;
    },
    canonical: (
      value,
    ) => `CASE WHEN cardinality(${value}) = 0 THEN '[]' WHEN array_ndims(${value}) = 1 AND array_lower(${value}, 1) = 1 THEN
      (SELECT CASE WHEN bool_and(e IS NULL OR (${element.canonical('e')}) IS NOT NULL) THEN jsonb_agg(${element.canonical('e')} ORDER BY place)::text END
         FROM (SELECT (${value})[place] AS e, place FROM generate_subscripts(${value}, 1) place) items) END`,
  };
}

const integer: RandomType = {
  sql: 'integer',
  text: (random) => whole(random, 31),
  canonical: printed,
  isKey: true,
  becomes: [
    ['integer', '# / 2'],
    ['bigint', null],
    ['text', null],
    ['double precision', null],
    ['smallint', '# % 1000'],
  ],
};
const text: RandomType = {
  sql: 'text',
  text: longText,
  canonical: printed,
  isLong: true,
  becomes: [
    ['text', 'upper(#)'],
    ['integer', 'length(#)'],
    ['character varying(9)', 'left(#, 9)'],
    ['text[]', 'ARRAY[#]'],
    ['bytea', "convert_to(#, 'UTF8')"],
  ],
};
const bytea: RandomType = {
  sql: 'bytea',
  text: (random) => (random.chance(0.1) ? `${hex(random, 30)}${'00ff'.repeat(1200)}` : hex(random, 40)),
  canonical: canonicalBytes,
  isLong: true,
  becomes: [['text', "encode(#, 'hex')"]],
};
const date: RandomType = {
  sql: 'date',
  text: orOdd(day, 'infinity', '-infinity', '0044-03-15 BC', '12345-01-01'),
  canonical: canonicalDate,
  isKey: true,
  becomes: [
    ['timestamp without time zone', null],
    ['text', null],
    ['timestamp with time zone', null],
  ],
};
const timestamptz: RandomType = {
  sql: 'timestamp with time zone',
  text: orOdd(
    (random) => `${day(random)} ${clock(random)}+00`,
    'infinity',
    '-infinity',
    '0044-03-15 10:00:00+00 BC',
    '12345-01-01 00:00:00+00',
  ),
  canonical: canonicalMoment('timestamptz'),
  isKey: true,
  becomes: [
    ['timestamp without time zone', null],
    ['date', null],
  ],
};
const mood: RandomType = {
  sql: '"mood ""x"", y"',
  text: (random) => random.pick(['sad, but "true"', 'ok', '', "it's {a}", 'NULL', '日本', '\\']),
  canonical: printed,
  becomes: [['text', null]],
};
const price: RandomType = {
  sql: 'price',
  text: (random) => digits(random, 9, 3).replace('-', ''),
  canonical: canonicalDecimal(3),
  isKey: true,
  becomes: [
    ['numeric(10,3)', null],
    ['deep', null],
  ],
};
const decimal = (precision: number, scale: number, more: Partial<RandomType> = {}): RandomType => ({
  sql: `numeric(${precision},${scale})`,
  text: orOdd((random) => digits(random, precision, scale), 'NaN'),
  canonical: canonicalDecimal(scale),
  isKey: true,
  becomes: [
    ['numeric', null],
    ['text', null],
    ['double precision', null],
  ],
  ...more,
});
const plainText = (sql: string, make: (random: Random) => string, more: Partial<RandomType> = {}): RandomType => ({
  ...{ sql, text: make, canonical: printed },
  ...more,
});

export const randomTypes: readonly RandomType[] = [
  plainText('boolean', (random) => random.pick(['true', 'false']), {
    canonical: (value) => `(${value})::text`,
    becomes: [
      ['integer', '#::int'],
      ['text', null],
    ],
  }),
  plainText('smallint', (random) => whole(random, 15), {
    isKey: true,
    becomes: [
      ['integer', null],
      ['bigint', null],
      ['numeric(12,2)', null],
    ],
  }),
  integer,
  plainText('bigint', (random) => whole(random, 63), {
    isKey: true,
    becomes: [
      ['numeric', null],
      ['integer', '# % 1000'],
      ['text', null],
    ],
  }),
  plainText('oid', (random) => String(random.below(2 ** 32))),
  {
    sql: 'real',
    text: float,
    canonical: canonicalFloat,
    becomes: [
      ['double precision', null],
      ['text', null],
    ],
  },
  {
    sql: 'double precision',
    text: float,
    canonical: canonicalFloat,
    becomes: [
      ['real', 'CASE WHEN abs(#) < 1e30 THEN # END'],
      ['text', null],
    ],
  },
  decimal(12, 2, {
    becomes: [
      ['numeric(14,2)', null],
      ['numeric(12,4)', 'mod(#, 100000)'],
      ['numeric', null],
      ['text', null],
    ],
  }),
  decimal(14, 2),
  decimal(12, 4),
  decimal(10, 3),
  decimal(38, 0),
  decimal(38, 37),
  {
    ...decimal(3, -2),
    since: 15,
    text: (random) => String(random.below(999) * 100),
    canonical: canonicalDecimal(0),
    isKey: false,
  },
  { ...decimal(2, 5), since: 15, isKey: false, text: (random) => `0.000${pad(random.below(100))}` },
  plainText('numeric(45,3)', (random) => digits(random, 45, 3)),
  plainText(
    'numeric',
    (random) => random.pick(['NaN', '0', '1.10', '1.1', '-0.000', '1e60', `${whole(random, 63)}.5`]),
    { becomes: [['text', null]] },
  ),
  text,
  plainText('character varying', longText, { isLong: true }),
  plainText('character varying(9)', (random) => word(random, 9), {
    becomes: [
      ['character varying(12)', null],
      ['text', null],
      ['character varying(4)', 'left(#, 4)'],
    ],
  }),
  plainText('character varying(12)', (random) => word(random, 12), { becomes: [['text', null]] }),
  plainText('character varying(4)', (random) => word(random, 4), { becomes: [['text', null]] }),
  plainText('character(5)', (random) => word(random, 5), {
    becomes: [
      ['text', null],
      ['character(9)', null],
    ],
  }),
  plainText('character(9)', (random) => word(random, 9)),
  plainText('name', (random) => word(random, 12)),
  plainText('"char"', (random) => random.pick(['a', 'Z', '"', "'"])),
  plainText('json', (random) => JSON.stringify({ b: word(random, 6), a: [1, null, random.fraction()] }), {
    becomes: [
      ['jsonb', null],
      ['text', null],
    ],
  }),
  plainText('jsonb', (random) => JSON.stringify({ z: word(random, 6), a: { c: random.below(99) } }), {
    becomes: [['text', null]],
  }),
  plainText('xml', (random) => `<a b="${random.below(9)}">&amp; ${random.below(99)}</a>`),
  plainText('uuid', uuid, { isKey: true, becomes: [['text', null]] }),
  bytea,
  date,
  {
    sql: 'time without time zone',
    text: orOdd(clock, '24:00:00'),
    canonical: canonicalTime,
    becomes: [['text', null]],
  },
  {
    sql: 'time(0) without time zone',
    text: orOdd((random) => clock(random).slice(0, 8), '24:00:00'),
    canonical: canonicalTime,
  },
  {
    sql: 'timestamp without time zone',
    text: orOdd(
      (random) => `${day(random)} ${clock(random)}`,
      'infinity',
      '-infinity',
      '0044-03-15 10:00:00 BC',
      '12345-01-01 00:00:00.5',
    ),
    canonical: canonicalMoment('timestamp'),
    isKey: true,
    becomes: [
      ['timestamp with time zone', null],
      ['date', null],
      ['text', null],
    ],
  },
  {
    sql: 'timestamp(3) without time zone',
    text: orOdd((random) => `${day(random)} ${clock(random)}`, 'infinity'),
    canonical: canonicalMoment('timestamp'),
  },
  timestamptz,
  plainText('time with time zone', (random) => `${clock(random)}${random.pick(['+00', '-11:30', '+02'])}`),
  plainText(
    'interval',
    (random) => `${random.below(99)} years ${random.below(40) - 20} days ${random.below(9e6)} microseconds`,
    { becomes: [['text', null]] },
  ),
  plainText('money', (random) => digits(random, 9, 2), { becomes: [['numeric(12,2)', '#::numeric(12,2)']] }),
  plainText('inet', (random) => `10.${random.below(256)}.${random.below(256)}.0/${8 + random.below(24)}`, {
    isKey: true,
  }),
  plainText('cidr', (random) => `10.${random.below(256)}.0.0/16`),
  plainText('macaddr', (random) => `08:00:2b:01:02:${pad(random.below(99))}`),
  plainText('bit(3)', (random) => random.pick(['101', '000', '111'])),
  plainText('bit varying', (random) => random.below(999).toString(2)),
  plainText('point', (random) => `(${random.below(99)},${random.fraction()})`),
  plainText('int4range', (random) => random.pick(['empty', `[${random.below(9)},${10 + random.below(9)})`, '(,5)'])),
  plainText('tstzrange', (random) => `[${day(random)} 00:00:00+00,infinity)`),
  plainText('int4multirange', (random) => `{[1,${2 + random.below(9)}),[20,30)}`),
  plainText('tsvector', (random) => `'fat' 'c a t':${1 + random.below(9)}`),
  plainText('pg_lsn', (random) => `0/${random.below(99999)}`),
  mood,
  plainText('"Öther s".mood', (random) => random.pick(['calm', 'a b'])),
  plainText('mood', (random) => random.pick(['calm', 'wild'])),
  price,
  { ...price, sql: 'deep', becomes: [] },
  plainText('pair', (random) => `(${random.below(99)},"${random.pick(['a b', '""', ''])}")`),
  listOf(integer),
  { ...listOf(text), becomes: [['text', "array_to_string(#, ',')"]] },
  listOf(bytea),
  listOf(decimal(9, 2)),
  listOf(timestamptz),
  listOf(date),
  listOf(mood, '"mood ""x"", y"[]'),
  listOf(price),
  listOf(plainText('pair', (random) => `(${random.below(99)},"a b")`)),
  listOf(plainText('uuid', uuid)),
  listOf({ ...text, text: (random) => word(random, 9) }, '"Tags ,1"'),
];

const bySql = new Map(randomTypes.map((type) => [type.sql, type]));

export function typeOf(sql: string): RandomType {
  const found = bySql.get(sql);
  if (found === undefined) throw new Error(`The generator knows no type ${sql}.`);
  return found;
}
