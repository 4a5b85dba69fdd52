import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import { compileCondition } from '#ingest/processors/expression/compile.ts';
import { parseExpression } from '#ingest/processors/expression/parse.ts';

const schema: Schema = {
  key: ['id'],
  fields: [
    { name: 'id', required: true, type: { kind: 'long' } },
    { name: 'n', required: false, type: { kind: 'int' } },
    { name: 'price', required: false, type: { kind: 'decimal', precision: 12, scale: 2 } },
    { name: 'share', required: false, type: { kind: 'double' } },
    { name: 'title', required: false, type: { kind: 'string' } },
    { name: 'Odd "name"', required: false, type: { kind: 'string' } },
    { name: 'released', required: false, type: { kind: 'date' } },
    { name: 'updated_at', required: false, type: { kind: 'timestamptz' } },
    { name: 'is_open', required: false, type: { kind: 'boolean' } },
    { name: 'countries', required: false, type: { kind: 'list', element: { kind: 'string' } } },
    {
      name: 'edge',
      required: false,
      type: {
        kind: 'struct',
        fields: [
          {
            name: 'director',
            required: false,
            type: { kind: 'struct', fields: [{ name: 'name', required: false, type: { kind: 'string' } }] },
          },
        ],
      },
    },
  ],
};

const micros = BigInt(Date.UTC(2026, 0, 31, 18, 30)) * 1000n;
const row: Row = [
  9007199254740993n,
  7,
  1230n,
  0.5,
  'The Land Girls',
  'x',
  20_484,
  micros,
  null,
  ['US'],
  [['Ana Ficticia']],
];

function evaluate(text: string, values: Row = row): boolean | null {
  return compileCondition(text, parseExpression(text), schema).test(values);
}

describe('a condition', () => {
  const cases: [string, boolean | null][] = [
    ['id = 9007199254740993', true],
    ['id = 9007199254740992', false],
    ['id > 9007199254740992.999', true],
    ['price = 12.3 AND price < 12.301', true],
    ['price * 3 = 36.90', true],
    ['price - 0.30 = 12', true],
    ['-n = -7 AND n / 2 = 3.5', true],
    ['share BETWEEN 0.5 AND 1e0', true],
    ['n NOT BETWEEN 1 AND 7', false],
    ["title LIKE 'The%' AND title NOT LIKE '%land%' AND title ILIKE '%land%'", true],
    ["'50%' LIKE '50!%' ESCAPE '!' AND NOT '50x' LIKE '50!%' ESCAPE '!'", true],
    ["lower(title) || '!' = 'the land girls!' AND length(title) = 14", true],
    ['"Odd ""name""" IN (\'x\', \'y\')', true],
    ["released = date '2026-01-31' AND released >= '2026-01-31'", true],
    ["updated_at = timestamp '2026-01-31T19:30:00+01:00' AND updated_at > released", true],
    ['is_open', null],
    ['is_open OR n = 7', true],
    ['is_open AND n = 8', false],
    ['NOT is_open', null],
    ['is_open IS NULL AND is_open IS NOT TRUE AND (n = 7) IS TRUE', true],
    ['n IN (1, NULL)', null],
    ['n NOT IN (1, 7, NULL)', false],
    ['NULL = NULL', null],
    ["coalesce(is_open, false) OR coalesce(NULL, title, 'x') = title", true],
    ["edge.director.name = 'Ana Ficticia' AND countries IS NOT NULL", true],
    ['1 + 2 * 3 - 4 = 3 -- a remark', true],
  ];
  test.each(cases)('%s', (text, expected) => {
    expect(evaluate(text)).toBe(expected);
  });

  test('says which fields it reads', () => {
    const text = "edge.director.name = title AND title <> 'x'";
    const condition = compileCondition(text, parseExpression(text), schema);
    expect(condition.fields).toEqual([4, 10]);
    expect(condition.paths).toEqual(['edge.director.name', 'title']);
  });
});

describe('a wrong expression is refused at its place', () => {
  const cases: [string, RegExp, number][] = [
    ["titel = 'x'", /no field "titel" \(did you mean title\?\), at column 1/, 1],
    ['n = 1 AND edge.director.nam IS NULL', /no field "nam" in "edge\.director" \(did you mean name\?\)/, 11],
    ["n = 'seven'", /integer and text don't compare/, 3],
    ["released = 'tomorrow'", /'tomorrow' is not a date/, 12],
    ['title', /must be true or false, not text/, 1],
    ['n = 1 AND', /Expected a field or a value, but the expression ends/, 10],
    ["title = 'x", /text without its closing '/, 9],
    ['n + title > 1', /\+ works on numbers, not text/, 5],
    ['lowr(title) = 1', /no function lowr\(\) \(did you mean lower\?\)/, 1],
    ['n = 1 ; drop', /Unexpected character ";"/, 7],
    ['n = 1 = 2', /Expected the end/, 7],
    ["countries = 'US'", /list<string> and text don't compare/, 11],
    ['n =\n  12x', /line 2, column 3/, 3],
  ];
  test.each(cases)('%s', (text, message, column) => {
    expect(() => evaluate(text)).toThrow(expect.objectContaining({ message: expect.stringMatching(message) }));
    expect(() => evaluate(text)).toThrow(expect.objectContaining({ details: expect.objectContaining({ column }) }));
  });
});

/** Random conditions over random rows must say what DuckDB says. */
describe('against DuckDB', () => {
  let instance: DuckDBInstance;
  beforeAll(async () => {
    instance = await DuckDBInstance.create(':memory:');
  });
  afterAll(() => instance.closeSync());

  const text = fc.oneof(
    fc.constantFrom('', 'a', 'A', 'ab', 'a_b', '%', 'Äb', '\u{1F3AC}', '\uFFFD', "it's"),
    fc.string({ maxLength: 3 }),
  );
  const quoted = text.filter((value) => !value.includes('\0')).map((value) => `'${value.replaceAll("'", "''")}'`);
  const exact = fc.oneof(
    fc.constant('n'),
    fc.constant('price'),
    fc.integer({ min: -99, max: 99 }).map(String),
    fc.integer({ min: -9999, max: 9999 }).map((value) => (value / 100).toFixed(2)),
  );
  const number = fc.letrec<{ sum: string; product: string }>((tie) => ({
    product: fc.oneof(
      exact,
      fc.tuple(exact, fc.constantFrom('*', '/'), exact).map((parts) => parts.join(' ')),
    ),
    sum: fc.oneof(
      { maxDepth: 2 },
      tie('product'),
      fc.constant('share'),
      fc.tuple(tie('sum'), fc.constantFrom('+', '-'), tie('product')).map((parts) => `(${parts.join(' ')})`),
    ),
  })).sum;
  const string = fc.oneof(
    quoted,
    fc.constant('title'),
    fc.constantFrom('lower(title)', 'upper(title)', "coalesce(title, 'a')", "title || 'b'", "'a' || title"),
  );
  const comparison = fc.constantFrom('=', '<>', '<', '<=', '>', '>=');
  const infix = (a: fc.Arbitrary<string>, operator: fc.Arbitrary<string>, b = a) =>
    fc.tuple(a, operator, b).map((parts) => parts.join(' '));
  const atom = fc.oneof(
    infix(number, comparison),
    infix(string, comparison),
    infix(string, fc.constantFrom('LIKE', 'ILIKE', 'NOT LIKE'), quoted),
    infix(fc.constant('length(title)'), comparison, number),
    infix(
      fc.constantFrom('id', '9007199254740993', '-9223372036854775807'),
      comparison,
      fc.constantFrom('id', '9007199254740992'),
    ),
    infix(
      fc.constant('released'),
      comparison,
      fc.constantFrom("date '2026-01-31'", "timestamp '2026-01-31 00:00:01'", "'2020-02-29'", 'updated_at'),
    ),
    infix(
      fc.constant('updated_at'),
      comparison,
      fc.constantFrom("timestamptz '2026-01-31 18:30:00Z'", "'2026-01-31 19:30:00+01:00'"),
    ),
    fc
      .tuple(
        number,
        fc.constantFrom('IN', 'NOT IN'),
        fc.array(fc.oneof(number, fc.constant('NULL')), { minLength: 1, maxLength: 3 }),
      )
      .map(([a, operator, items]) => `${a} ${operator} (${items.join(', ')})`),
    fc
      .tuple(number, fc.constantFrom('BETWEEN', 'NOT BETWEEN'), number, number)
      .map(([a, operator, b, c]) => `${a} ${operator} ${b} AND ${c}`),
    fc.constantFrom(
      'is_open',
      'title IS NULL',
      'n IS NOT NULL',
      'is_open IS NOT TRUE',
      'is_open IS FALSE',
      'true',
      'NULL',
    ),
  );
  const condition = fc.letrec<{ any: string }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      atom,
      fc
        .tuple(tie('any'), fc.constantFrom('AND', 'OR'), tie('any'))
        .map(([a, operator, b]) => `(${a}) ${operator} (${b})`),
      tie('any').map((inner) => `NOT (${inner})`),
    ),
  })).any;

  const nullable = <T>(values: fc.Arbitrary<T>) => fc.option(values, { freq: 4 });
  const values = fc.record({
    id: fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.constantFrom(9007199254740992n, 9007199254740993n),
    ),
    n: nullable(fc.integer({ min: -99, max: 99 })),
    price: nullable(fc.bigInt({ min: -9999n, max: 9999n })),
    share: nullable(fc.constantFrom(0, 0.5, -1.5, 1e9, Number.NaN, Number.POSITIVE_INFINITY)),
    title: nullable(text.filter((value) => !value.includes('\0'))),
    released: nullable(fc.constantFrom(20_484, 18_321, -1)),
    updatedAt: nullable(fc.constantFrom(micros, micros + 1n, 0n)),
    isOpen: nullable(fc.boolean()),
  });

  function source(value: typeof values extends fc.Arbitrary<infer T> ? T : never): string {
    const typed = (cell: unknown, type: string) =>
      `${cell === null ? 'NULL' : `'${String(cell).replaceAll("'", "''")}'`}::${type}`;
    const price = value.price === null ? null : `${value.price}e-2`;
    const released = value.released === null ? 'NULL::DATE' : `DATE '1970-01-01' + ${value.released}`;
    const updatedAt = value.updatedAt === null ? 'NULL::TIMESTAMPTZ' : `make_timestamptz(${value.updatedAt})`;
    return `SELECT '${value.id}'::BIGINT AS id, ${typed(value.n, 'INTEGER')} AS n, ${typed(price, 'DECIMAL(12, 2)')} AS price,
      ${typed(value.share, 'DOUBLE')} AS share, ${typed(value.title, 'VARCHAR')} AS title, ${released} AS released,
      ${updatedAt} AS updated_at, ${typed(value.isOpen, 'BOOLEAN')} AS is_open`;
  }

  test('random conditions agree', async () => {
    const connection = await instance.connect();
    await connection.run("SET TimeZone = 'UTC'");
    await fc.assert(
      fc.asyncProperty(condition, values, async (where, value) => {
        const reader = await connection.runAndReadAll(`SELECT (${where}) AS verdict FROM (${source(value)})`);
        const expected = reader.getRows()[0]?.[0];
        const values: Row = [
          value.id,
          value.n,
          value.price,
          value.share,
          value.title,
          null,
          value.released,
          value.updatedAt,
          value.isOpen,
          null,
          null,
        ];
        expect(evaluate(where, values), where).toBe(expected);
      }),
      { numRuns: 1500 },
    );
    connection.closeSync();
  });
});
