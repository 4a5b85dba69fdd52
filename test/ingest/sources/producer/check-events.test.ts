import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseType } from '#catalog/schemas/parse-type.ts';
import { type Schema, typeName, type Value } from '#catalog/schemas/schema.ts';
import { checkEvents, type EventProblem, type ProducerTable } from '#ingest/sources/producer/check-events.ts';
import { decodeJson, NotOfType } from '#ingest/sources/producer/decode-json.ts';
import { readBody } from '#ingest/sources/producer/read-body.ts';

function table(fields: Record<string, string>, key: string[] = ['id']): ProducerTable {
  const schema: Schema = {
    fields: Object.entries(fields).map(([name, type]) => ({
      name,
      type: parseType(type),
      required: key.includes(name),
    })),
    key,
  };
  return { name: 'playback', schema, isInferred: false };
}

const inferred = (key: string[] = ['id']): ProducerTable => ({
  name: 'view',
  schema: { fields: [], key },
  isInferred: true,
});

function take(of: ProducerTable, body: string) {
  const checked = checkEvents(of, readBody(body));
  if (Array.isArray(checked)) throw new Error(JSON.stringify(checked));
  return checked;
}

function faults(of: ProducerTable, body: string): EventProblem[] {
  const checked = checkEvents(of, readBody(body));
  if (!Array.isArray(checked)) throw new Error('nothing is wrong');
  return checked;
}

/** What one field's JSON becomes; the words of the refusal where it is none of its type. */
function decoded(type: string, json: string): Value | string {
  const [value] = readBody(`[${json}]`);
  const result = decodeJson(parseType(type), value);
  return result instanceof NotOfType ? `must be ${result.wanted}` : result;
}

test.each<[type: string, json: string, value: Value]>([
  ['bigint', '9223372036854775807', 9223372036854775807n],
  ['bigint', '"-9223372036854775808"', -9223372036854775808n],
  ['int', '-2147483648', -2147483648],
  ['double', '0.1', 0.1],
  ['double', '"NaN"', Number.NaN],
  ['double', '"-Infinity"', Number.NEGATIVE_INFINITY],
  ['double', '-0.0', -0],
  ['float', '3.4e38', Math.fround(3.4e38)],
  ['decimal(38, 10)', '1234567890123456789012345678.0123456789', 12345678901234567890123456780123456789n],
  ['decimal(12, 2)', '12.30', 1230n],
  ['decimal(12, 2)', '"-0.05"', -5n],
  ['decimal(12, 2)', '1.5e2', 15000n],
  ['date', '"2024-02-29"', 19782],
  ['time', '"23:59:59.999999"', 86399999999n],
  ['timestamp', '"1969-12-31T23:59:59.999999"', -1n],
  ['timestamptz', '"2026-03-29T02:30:00+02:00"', 1774744200000000n],
  ['timestamptz', '"9999-12-31 23:59:59Z"', 253402300799000000n],
  ['text', '"O\'Hara \\"x\\" \\ud83c\\udfac"', 'O\'Hara "x" 🎬'],
  ['uuid', '"550E8400-E29B-41D4-A716-446655440000"', '550e8400-e29b-41d4-a716-446655440000'],
  ['binary', '"AP8="', Uint8Array.of(0, 255)],
  ['int[]', '[1, null, 3]', [1, null, 3]],
  ['struct<name: text, born: date>', '{"born": "1970-01-02"}', [null, 1]],
  ['map<text, double>', '{"a": 1.5}', [['a', 1.5]]],
  ['text', 'null', null],
])('%s takes %s', (type, json, value) => {
  expect(decoded(type, json)).toEqual(value);
});

test.each<[type: string, json: string, words: RegExp]>([
  ['int', '2147483648', /32 bits/],
  ['bigint', '9223372036854775808', /64 bits/],
  ['bigint', '1.5', /whole number/],
  ['double', '9007199254740993', /a double holds/],
  ['double', '1e400', /a double holds/],
  ['decimal(4, 2)', '100', /4 digits/],
  ['decimal(4, 2)', '1.005', /2 of them decimals/],
  ['boolean', '"true"', /true or false/],
  ['date', '"2023-02-29"', /a day/],
  ['date', '"0000-01-01"', /a day/],
  ['time', '"24:00:00"', /a time/],
  ['time', '"10:00:00.0000001"', /a time/],
  ['timestamp', '"2026-01-01T00:00:00Z"', /without a zone/],
  ['timestamptz', '"2026-01-01T00:00:00"', /with a zone/],
  ['text', '5', /a text/],
  ['uuid', '"550e8400"', /a UUID/],
  ['binary', '"A"', /Base64/],
  ['int[]', '{"a": 1}', /a list/],
  ['map<int, text>', '[[1, "a"], [1, "b"]]', /twice/],
])('%s refuses %s', (type, json, words) => {
  expect(decoded(type, json)).toMatch(words);
});

test('what a field of any type holds comes back from JSON as it was', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`producer values seed ${seed}`);
  const long = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  fc.assert(
    fc.property(
      long,
      fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed()),
      fc.uint8Array(),
      fc.bigInt({ min: -62135596800000000n, max: 253402300799999999n }),
      (id, decimal, double, text, bytes, instant) => {
        const sign = decimal < 0n ? '-' : '';
        const digits = String(decimal < 0n ? -decimal : decimal).padStart(11, '0');
        const seconds = Number((instant - (((instant % 1_000_000n) + 1_000_000n) % 1_000_000n)) / 1_000_000n);
        const micros = String(((instant % 1_000_000n) + 1_000_000n) % 1_000_000n).padStart(6, '0');
        const body = `[{"op":"c","after":{"id":${id},"d":${sign}${digits.slice(0, -10)}.${digits.slice(-10)},"r":${JSON.stringify(double)},"t":${JSON.stringify(text)},"b":"${Buffer.from(bytes).toString('base64')}","at":"${new Date(seconds * 1000).toISOString().slice(0, 19)}.${micros}Z"}}]`;
        const of = table({
          id: 'bigint',
          d: 'decimal(38, 10)',
          r: 'double',
          t: 'text',
          b: 'binary',
          at: 'timestamptz',
        });
        const { events } = take(of, body);
        // JSON has one zero.
        expect(events[0]?.after).toEqual([
          id,
          decimal,
          double === 0 ? 0 : double,
          text,
          Uint8Array.from(bytes),
          instant,
        ]);
      },
    ),
    { seed, numRuns: 500 },
  );
});

test('an event is one change, a new key is two', () => {
  const of = table({ id: 'bigint', title: 'text' });
  const { events } = take(
    of,
    `{"op":"c","key":1,"after":{"id":1,"title":"A"},"ts":"2026-01-01T00:00:00Z"}
     {"op":"u","key":{"id":1},"after":{"id":2}}
     {"op":"u","before":{"id":2,"title":"A"},"after":{"id":2,"title":"B"},"ts":1000}

     {"op":"d","key":2}
     {"op":"t"}`,
  );
  expect(events).toEqual([
    { op: 'c', before: null, after: [1n, 'A'], timeMicros: 1767225600000000n },
    { op: 'd', before: [1n, null], after: null, timeMicros: null },
    { op: 'c', before: null, after: [2n, null], timeMicros: null },
    { op: 'u', before: null, after: [2n, 'B'], timeMicros: 1000000n },
    { op: 'd', before: [2n, null], after: null, timeMicros: null },
    { op: 't', before: null, after: null, timeMicros: null },
  ]);
});

test('rows without a key are matched whole', () => {
  const of = table({ text: 'text' }, []);
  expect(take(of, '[{"op":"d","before":{"text":"a"}}]').events).toMatchObject([
    { op: 'd', before: ['a'], after: null },
  ]);
  expect(faults(of, '[{"op":"d","key":"a"}]')).toEqual([
    { index: 0, field: 'before', message: 'is missing: op d carries the whole row.' },
    { index: 0, field: 'key', message: 'must be left out: playback has no key.' },
  ]);
});

test('each event that cannot be taken is named with its field', () => {
  const of = table({ id: 'bigint', title: 'text', place: 'struct<city: text>' });
  const problems = faults(
    of,
    `[{"op":"c","key":1,"after":{"id":1,"titel":"x"}},
      {"op":"c","after":{"title":"x"}},
      {"op":"x","key":1},
      "text",
      {"op":"c","key":2,"after":{"id":1}},
      {"op":"c","key":1,"after":{"id":1,"place":{"city":5}}},
      {"op":"d","key":1,"after":{"id":1}},
      {"op":"c","key":1,"after":{"id":1},"when":1},
      {"op":"c","key":1,"after":{"id":1},"ts":"yesterday"},
      {"op":"c","key":1,"after":{"id":1,"unknown":null}},
      {"op":"u","key":1}]`,
  );
  expect(problems.map(({ index, field }) => [index, field])).toEqual([
    [0, 'after.titel'],
    [1, 'after.id'],
    [2, 'op'],
    [3, undefined],
    [4, 'key'],
    [5, 'after.place.city'],
    [6, 'after'],
    [7, 'when'],
    [8, 'ts'],
    [10, 'after'],
  ]);
});

test('types that nobody declared are those of the first values, and grow', () => {
  const first = take(
    inferred(),
    '[{"op":"c","after":{"id":9007199254740993,"n":1,"who":{"name":"x"},"tags":["a"],"none":null}},{"op":"c","after":{"id":2,"n":1.5}}]',
  );
  const types = (schema: Schema) => Object.fromEntries(schema.fields.map(({ name, type }) => [name, typeName(type)]));
  expect(types(first.schema)).toEqual({ id: 'long', n: 'double', who: 'struct<name: string>', tags: 'list<string>' });
  expect(first.events[0]?.after).toEqual([9007199254740993n, 1, ['x'], ['a']]);
  const known = { ...inferred(), schema: first.schema };
  expect(take(known, '[{"op":"c","after":{"id":3,"who":{"name":"y"}}}]').schema).toBe(first.schema);
  const second = take(known, '[{"op":"c","after":{"id":3,"who":{"age":7},"ok":true}}]');
  expect(types(second.schema)).toMatchObject({ who: 'struct<name: string, age: long>', ok: 'boolean' });
  expect(second.events[0]?.after).toEqual([3n, null, [null, 7n], null, true]);
  expect(faults(known, '[{"op":"c","after":{"id":"three"}},{"op":"c","after":{"id":4,"empty":{}}}]')).toMatchObject([
    { index: 1, field: 'after.empty' },
  ]);
  expect(faults(known, '[{"op":"c","after":{"id":"three"}}]')).toMatchObject([{ index: 0, field: 'after.id' }]);
  expect(faults(inferred(), '[{"op":"c","after":{"n":1}}]')).toMatchObject([{ field: 'key.id' }]);
});

test('a body that is not JSON is told by its line', () => {
  expect(() => readBody('{"op":"c"}\n{"op":')).toThrow(/Line 2 of the request is not JSON/);
  expect(() => readBody('[{"op":"c"}')).toThrow(/Line 1 of the request|The request is not JSON/);
  expect(() => readBody('["a\\u0000b"]')).toThrow(/NUL/);
  expect(() => readBody('["\\ud800"]')).toThrow(/half a character/);
});

test('names of types are those of SQL and of Iceberg', () => {
  for (const text of ['decimal(12, 2)', 'list<int>', 'struct<a: map<string, double>, b: list<long>>', 'timestamptz'])
    expect(typeName(parseType(text))).toBe(text);
  expect(typeName(parseType(' Double  Precision [] [] '))).toBe('list<list<double>>');
  expect(typeName(parseType('numeric(5)'))).toBe('decimal(5, 0)');
  for (const text of [
    '',
    'strng',
    'decimal',
    'decimal(40, 2)',
    'list<int',
    'struct<>',
    'struct<a: int, a: int>',
    'int x',
  ])
    expect(() => parseType(text)).toThrow(/type|decimal|twice/);
});
