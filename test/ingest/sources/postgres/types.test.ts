import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Value } from '#catalog/schemas/schema.ts';
import { typeName } from '#catalog/schemas/schema.ts';
import { createDatabase } from '#test/fixtures/postgres.ts';
import { type Follower, follow, sourceName } from './follower.ts';

interface Column {
  sql: string;
  type: string;
  /** What is sent to Postgres as a parameter, and the value that must come out; `undefined` where only equality of both ways is asked. */
  values: fc.Arbitrary<{ parameter: unknown; value?: Value }>;
}

const same = <T extends Value>(arbitrary: fc.Arbitrary<T>, parameter: (value: T) => unknown = String) =>
  arbitrary.map((value) => ({ parameter: parameter(value), value: value as Value }));
const only = (arbitrary: fc.Arbitrary<unknown>) => arbitrary.map((parameter) => ({ parameter }));
const micros = (min: string, max: string) => {
  const at = (iso: string) => BigInt(Date.parse(iso)) * 1000n;
  return fc.bigInt({ min: at(min), max: at(max) });
};
const isoOf = (value: bigint) => {
  const seconds = value >= 0n ? value / 1_000_000n : -((-value + 999_999n) / 1_000_000n);
  const rest = String(value - seconds * 1_000_000n).padStart(6, '0');
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${rest}`;
};
// Postgres texts hold any character but NUL, and no lone surrogates.
const text = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', '\\N', '\\', '\t', '\n', '\r\n', '\\.', 'NULL', '{}', '"', "'", 'a\\tb', '€', '🎬', 'é\u0301'),
  )
  .map((value) => value.replaceAll('\u0000', ''));
const digitsText = (negative: boolean, unscaled: bigint, scale: number) => {
  const digits = String(unscaled).padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${negative ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`;
};
const decimal = (precision: number, scale: number) =>
  fc.tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** BigInt(precision) - 1n })).map(([negative, unscaled]) => ({
    parameter: digitsText(negative, unscaled, scale),
    value: (negative ? -unscaled : unscaled) as Value,
  }));
const int = (min: number, max: number) => same(fc.integer({ min, max }));
const date = fc.integer({ min: -719_162, max: 2_932_896 });
const dateText = (days: number) => new Date(days * 86_400_000).toISOString().slice(0, 10);
const time = fc.bigInt({ min: 0n, max: 86_399_999_999n });
const list = (element: fc.Arbitrary<{ parameter: unknown; value?: Value }>) =>
  fc.array(fc.option(element, { nil: null, freq: 4 }), { maxLength: 4 }).map((items) => ({
    parameter: items.map((item) => item?.parameter ?? null),
    value: items.map((item) => item?.value ?? null) as Value,
  }));
const float = fc.double().map((value) => ({ parameter: Object.is(value, -0) ? '-0' : String(value), value }));
const float32 = fc.float().map((value) => ({ parameter: Object.is(value, -0) ? '-0' : String(value), value }));
const hex = (bytes: Uint8Array) => `\\x${Buffer.from(bytes).toString('hex')}`;
const bytes = fc.uint8Array({ maxLength: 40 });

const matrix: Column[] = [
  { sql: 'boolean', type: 'boolean', values: same(fc.boolean()) },
  { sql: 'int2', type: 'int', values: int(-32768, 32767) },
  { sql: 'int4', type: 'int', values: int(-(2 ** 31), 2 ** 31 - 1) },
  { sql: 'int8', type: 'long', values: same(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })) },
  { sql: 'oid', type: 'long', values: same(fc.bigInt({ min: 0n, max: 2n ** 32n - 1n })) },
  { sql: 'float4', type: 'float', values: float32 },
  { sql: 'float8', type: 'double', values: float },
  { sql: 'numeric(38, 0)', type: 'decimal(38, 0)', values: decimal(38, 0) },
  { sql: 'numeric(12, 2)', type: 'decimal(12, 2)', values: decimal(12, 2) },
  { sql: 'numeric(38, 37)', type: 'decimal(38, 37)', values: decimal(38, 37) },
  { sql: 'numeric(2, 5)', type: 'decimal(5, 5)', values: decimal(2, 5) },
  {
    sql: 'numeric(3, -2)',
    type: 'decimal(5, 0)',
    values: same(fc.bigInt({ min: -999n, max: 999n }).map((value) => value * 100n)),
  },
  {
    sql: 'numeric(39, 1)',
    type: 'string',
    values: same(decimal(38, 1).map(({ parameter }) => (parameter === '-0.0' ? '0.0' : parameter))),
  },
  {
    sql: 'numeric',
    type: 'string',
    values: same(fc.constantFrom('0', '1.10', 'NaN', 'Infinity', '-0.000', '1e100').filter((v) => !/e|^-0/.test(v))),
  },
  { sql: 'text', type: 'string', values: same(text) },
  { sql: 'varchar', type: 'string', values: same(text) },
  {
    sql: 'char(5)',
    type: 'string',
    values: fc.constantFrom('', 'ab', 'a b c').map((v) => ({ parameter: v, value: v.padEnd(5) })),
  },
  { sql: 'name', type: 'string', values: same(fc.constantFrom('a', 'Größe', '"')) },
  { sql: '"char"', type: 'string', values: same(fc.constantFrom('a', 'Z')) },
  { sql: 'json', type: 'string', values: same(fc.json().map((v) => v.replaceAll('\\u0000', ''))) },
  {
    sql: 'jsonb',
    type: 'string',
    values: only(fc.constantFrom('{"b": 1, "a": 12345678901234567890.10}', '"\\n"', 'null', '[1e3]')),
  },
  { sql: 'uuid', type: 'uuid', values: same(fc.uuid(), (v) => v.toUpperCase()) },
  { sql: 'bytea', type: 'binary', values: same(bytes as fc.Arbitrary<Uint8Array>, hex) },
  { sql: 'date', type: 'date', values: same(date, dateText) },
  { sql: 'time', type: 'time', values: same(time, (v) => isoOf(v).slice(11)) },
  {
    sql: 'time(0)',
    type: 'time',
    values: only(time.filter((v) => v < 86_399_000_000n).map((v) => isoOf(v).slice(11))),
  },
  { sql: 'timestamp', type: 'timestamp', values: same(micros('0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z'), isoOf) },
  {
    sql: 'timestamptz',
    type: 'timestamptz',
    values: same(micros('0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z'), (v) => `${isoOf(v)}Z`),
  },
  { sql: 'timetz', type: 'string', values: only(fc.constantFrom('12:30:00+02', '23:59:59.5-11:30')) },
  {
    sql: 'interval',
    type: 'string',
    values: only(fc.constantFrom('1 year 2 mons -3 days 04:05:06.7', '-00:00:00.000001', '0')),
  },
  { sql: 'money', type: 'string', values: only(fc.constantFrom('12.34', '-1000000')) },
  { sql: 'inet', type: 'string', values: same(fc.constantFrom('10.0.0.1', '10.0.0.0/8', '::1')) },
  { sql: 'macaddr', type: 'string', values: same(fc.constantFrom('08:00:2b:01:02:03')) },
  { sql: 'bit(3)', type: 'string', values: same(fc.constantFrom('101')) },
  { sql: 'xml', type: 'string', values: same(fc.constantFrom('<a b="c">&amp;</a>')) },
  { sql: 'point', type: 'string', values: same(fc.constantFrom('(1,2.5)')) },
  { sql: 'int4range', type: 'string', values: same(fc.constantFrom('[1,5)', 'empty')) },
  { sql: 'tsvector', type: 'string', values: only(fc.constantFrom("a fat 'c a t'")) },
  { sql: 'mood', type: 'string', values: same(fc.constantFrom('sad, but "true"', 'ok')) },
  {
    sql: 'price',
    type: 'decimal(10, 3)',
    values: fc.integer({ min: 0, max: 9_999_999 }).map((v) => ({ parameter: String(v), value: BigInt(v) * 1000n })),
  },
  { sql: 'pair', type: 'string', values: only(fc.constantFrom('(1,"a b")')) },
  { sql: 'int4[]', type: 'list<int>', values: list(int(-5, 2 ** 31 - 1)) },
  { sql: 'text[]', type: 'list<string>', values: list(same(text)) },
  { sql: 'bytea[]', type: 'list<binary>', values: list(same(bytes as fc.Arbitrary<Uint8Array>, hex)) },
  { sql: 'numeric(9, 2)[]', type: 'list<decimal(9, 2)>', values: list(decimal(9, 2)) },
  {
    sql: 'timestamptz[]',
    type: 'list<timestamptz>',
    values: list(same(micros('1970-01-01T00:00:00Z', '2100-01-01T00:00:00Z'), (v) => `${isoOf(v)}Z`)),
  },
  { sql: 'mood[]', type: 'list<string>', values: list(same(fc.constantFrom('sad, but "true"', 'ok'))) },
  { sql: 'price[]', type: 'list<decimal(10, 3)>', values: only(fc.constantFrom('{1,2.5,NULL}', '{}')) },
  { sql: 'tags', type: 'list<string>', values: list(same(text)) },
];

const setUp = `
  CREATE TYPE mood AS ENUM ('sad, but "true"', 'ok');
  CREATE DOMAIN price AS numeric(10, 3) CHECK (VALUE >= 0);
  CREATE DOMAIN tags AS text[];
  CREATE TYPE pair AS (a int, b text);`;

function valuesOf(follower: Follower, table: string): Map<number, readonly unknown[]> {
  return new Map(follower.eventsOf(table).map(({ event }) => [event.after?.[0] as number, event.after ?? []]));
}

test('every type: what went in comes out, the same by snapshot and by stream', async () => {
  await using database = await createDatabase();
  const columns = matrix.map((column, index) => `c${index} ${column.sql}`).join(', ');
  await database.query(`${setUp}
    CREATE TABLE old (id int PRIMARY KEY, ${columns});
    CREATE TABLE new (LIKE old INCLUDING ALL);`);
  const seed = Date.now();
  const rows = fc.sample(fc.tuple(...matrix.map((column) => fc.option(column.values, { nil: null, freq: 10 }))), {
    seed,
    numRuns: 150,
  });
  const parameters = matrix.map((_, index) => `$${index + 2}`).join(', ');
  for (const [id, row] of rows.entries()) {
    await database.query(`INSERT INTO old VALUES ($1, ${parameters})`, [
      id,
      ...row.map((cell) => cell?.parameter ?? null),
    ]);
  }
  const follower = await follow(database.url, sourceName());
  await database.query('INSERT INTO new SELECT * FROM old ORDER BY id');
  await follower.caughtUp();
  await follower.stop();

  const [first] = follower.eventsOf('old');
  expect(first?.changes.schema.fields.slice(1).map((field) => typeName(field.type))).toEqual(
    matrix.map((column) => column.type),
  );
  expect(follower.eventsOf('new')[0]?.changes.schema).toEqual(first?.changes.schema);
  const snapshot = valuesOf(follower, 'old');
  const stream = valuesOf(follower, 'new');
  expect(stream.size, `seed ${seed}`).toBe(rows.length);
  expect(stream, `seed ${seed}`).toEqual(snapshot);
  for (const [id, row] of rows.entries()) {
    for (const [index, cell] of row.entries()) {
      if (cell !== null && !('value' in cell)) continue;
      const value = cell === null ? null : cell.value;
      expect(snapshot.get(id)?.[index + 1], `seed ${seed}, row ${id}, ${matrix[index]?.sql}`).toEqual(value);
    }
  }
});

test('a value that its type cannot carry is NULL, with its exact text beside it, by snapshot and by stream', async () => {
  await using database = await createDatabase();
  const odd = [
    ['date', 'infinity', '-infinity', '0044-03-15 BC', '12345-01-01'],
    ['timestamp', 'infinity', '0044-03-15 10:00:00 BC', '12345-01-01 00:00:00.5'],
    ['timestamptz', '-infinity', '0044-03-15 10:00:00+00 BC', '12345-01-01 00:00:00+00'],
    ['time', '24:00:00'],
    ['numeric(5, 1)', 'NaN'],
    ['int4[]', '{{1,2},{3,4}}', '[0:1]={7,8}'],
    ['date[]', '{2024-01-01,infinity}'],
    ['numeric(5, 1)[]', '{NaN,1.0}'],
  ] as const;
  const columns = odd.map(([type], index) => `c${index} ${type} NOT NULL`).join(', ');
  await database.query(`
    CREATE TABLE old (id serial PRIMARY KEY, ${columns}, c0__text text);
    CREATE TABLE new (LIKE old INCLUDING ALL);`);
  const plain = ['2024-01-01', '2024-01-01', '2024-01-01Z', '10:00', '1.5', '{1}', '{}', '{1}'];
  const insert = async (cells: string[]) =>
    database.query(
      `INSERT INTO old (${odd.map((_, index) => `c${index}`).join(', ')}) VALUES (${cells.map((_, index) => `$${index + 1}`).join(', ')})`,
      cells,
    );
  await insert(plain);
  for (const [index, [, ...values]] of odd.entries()) {
    for (const value of values) await insert(plain.map((cell, other) => (other === index ? value : cell)));
  }
  const name = sourceName();
  const follower = await follow(database.url, name);
  await database.query('INSERT INTO new SELECT * FROM old ORDER BY id');
  await follower.caughtUp();

  for (const table of ['old', 'new']) {
    const seen = follower.eventsOf(table);
    // In the stream added at first need, and never taken away again; all rows of a snapshot share one schema.
    expect(seen[0]?.fields).toHaveLength(table === 'old' ? 2 * odd.length + 2 : odd.length + 2);
    expect(seen.at(-1)?.fields).toHaveLength(2 * odd.length + 2);
    for (const [index, { fields }] of seen.entries()) {
      const before = seen[index - 1]?.fields ?? [];
      expect(fields.slice(0, before.length)).toEqual(before);
    }
    let id = 1;
    for (const [index, [, ...values]] of odd.entries()) {
      for (const value of values) {
        const row = seen[id++];
        const text = row?.fields.indexOf(index === 0 ? 'c0__text_' : `c${index}__text`) ?? -1;
        expect(row?.event.after?.[index + 1], value).toBeNull();
        expect(row?.event.after?.[text], value).toBe(value);
        expect(row?.changes.schema.fields[index + 1]?.required).toBe(false);
      }
    }
  }
  await follower.stop();
  await follower.source.close();

  // Remembered by the next start, before any such value comes again.
  const [table] = (await follow(database.url, name, ['public.new']).then(async (next) => {
    await next.stop();
    return next.source.discover(new AbortController().signal);
  })) as { schema: { fields: { name: string }[] }; notes: string[] }[];
  expect(table?.schema.fields.map((field) => field.name)).toContain('c1__text');
  expect(table?.notes.join(' ')).toContain('c1__text');
});
