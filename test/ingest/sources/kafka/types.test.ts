import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { typeName, UNKNOWN } from '#catalog/schemas/schema.ts';
import { known, readAll, recordings } from './topics.ts';

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const point = bytes('0101000000000000000000f03f0000000000000440');
const micros = BigInt(Date.parse('2024-02-29T12:34:56.789Z')) * 1000n;
const uuid = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';

/** Each column's type and its value in the recordings' first row. */
const postgres: Record<string, [type: string, value: unknown]> = {
  id: ['int', 1],
  b: ['boolean', true],
  i2: ['int', -5],
  i8: ['long', 9223372036854775807n],
  o: ['long', 4294967295n],
  f4: ['float', Math.fround(1.1)],
  f8: ['double', 1e300],
  n: ['decimal(12, 2)', -123456789012n],
  nn: ['string', '12345678901234567890.123'],
  n39: ['string', '1.5'],
  nneg: ['decimal(5, 0)', 12300n],
  n25: ['decimal(5, 5)', 12n],
  t: ['string', 'hé🎬'],
  c: ['string', 'ab   '],
  j: ['string', '{"b": 1.0}'],
  jb: ['string', '{"x": 12345678901234567890.10}'],
  u: ['uuid', uuid],
  y: ['binary', bytes('00ff')],
  d: ['date', 19782],
  tm: ['time', 45_296_789_012n],
  tm0: ['time', 86_399_000_000n],
  ts: ['timestamp', micros + 12n],
  ts3: ['timestamp', micros],
  tz: ['timestamptz', micros + 12n - 7_200_000_000n],
  ttz: ['string', '10:30:00Z'],
  iv: ['long', 36_572_706_700_000n],
  m: ['decimal(38, 2)', 1234n],
  ip: ['string', '10.0.0.0/8'],
  mac: ['string', '08:00:2b:01:02:03'],
  b3: ['long', 5n],
  b1: ['boolean', true],
  vb: ['binary', bytes('0b')],
  x: ['string', '<a b="c">&amp;</a>'],
  pt: ['struct<x: double, y: double, wkb: binary, srid: int>', [1, 2.5, point, null]],
  r: ['string', '[1,5)'],
  tv: ['string', "'a' 'cat' 'fat'"],
  lt: ['string', 'a.b'],
  mo: ['string', 'ok'],
  pr: ['decimal(10, 3)', 1500n],
  ia: ['list<int>', [1, null, 3]],
  ta: ['list<string>', ['a', null, 'b c']],
  ya: ['list<binary>', [bytes('01')]],
  na: ['list<decimal(9, 2)>', [150n, null]],
  tza: ['list<timestamptz>', [BigInt(Date.parse('2024-01-01')) * 1000n]],
  moa: ['list<string>', ['ok']],
  da: ['list<date>', [19723]],
  ua: ['list<uuid>', [uuid]],
  h: ['string', '{"a":"1","b":null}'],
};

/** What other settings of the connector make of some of them. */
const connectMode: typeof postgres = {
  n: ['double', -1234567890.12],
  nn: ['double', 1.2345678901234567e19],
  n39: ['double', 1.5],
  nneg: ['double', 12300],
  n25: ['double', 0.00012],
  y: ['string', 'AP8='],
  tm: ['time', 45_296_789_000n],
  ts: ['timestamp', micros],
  iv: ['string', 'P1Y2M-3DT4H5M6.7S'],
  m: ['double', 12.34],
  pr: ['double', 1.5],
  ya: ['list<string>', ['AQ==']],
  na: ['list<double>', [1.5, null]],
};
const textMode: typeof postgres = {
  n: ['string', '-1234567890.12'],
  nneg: ['string', `12300.${'0'.repeat(2046)}`],
  n25: ['string', '0.00012'],
  y: ['string', '00ff'],
  m: ['string', '12.34'],
  pr: ['string', '1.500'],
  ya: ['list<string>', ['01']],
  na: ['list<string>', ['1.50', null]],
  h: [
    'map<string, string>',
    [
      ['a', '1'],
      ['b', null],
    ],
  ],
};

const mariadb: typeof postgres = {
  id: ['decimal(20, 0)', 18446744073709551615n],
  i1: ['int', -128],
  b: ['int', 1],
  i2: ['int', 65535],
  i3: ['int', -8388608],
  i4: ['long', 4294967295n],
  i8: ['long', -9223372036854775808n],
  u8: ['decimal(20, 0)', 18446744073709551615n],
  n: ['decimal(12, 2)', -123456789012n],
  n65: ['string', '1234567890123456789.000000000000000000000000000001'],
  f: ['float', Math.fround(1.1)],
  d: ['double', 1e300],
  bi: ['boolean', true],
  b5: ['long', 21n],
  b64: ['decimal(20, 0)', (1n << 63n) + 1n],
  y: ['int', 2155],
  dt: ['date', 19782],
  t0: ['time', 45_296_000_000n],
  t6: ['time', 86_399_999_999n],
  dt0: ['timestamp', micros - 789_000n],
  dt6: ['timestamp', micros + 12n],
  ts0: ['timestamptz', micros - 789_000n],
  ts6: ['timestamptz', micros + 12n],
  c: ['string', 'ab'],
  v: ['string', 'hé🎬'],
  tx: ['string', 'text'],
  bin: ['binary', bytes('00ff0000')],
  vb: ['binary', bytes('00ff')],
  bl: ['binary', bytes('00ff')],
  e: ['string', 'b,c'],
  s: ['string', 'x,y'],
  j: ['string', '{"b": 1.0}'],
  g: [
    'struct<wkb: binary, srid: int>',
    [bytes(`010200000002000000${'00'.repeat(16)}${'000000000000f03f'.repeat(2)}`), null],
  ],
  p: ['struct<x: double, y: double, wkb: binary, srid: int>', [1, 2.5, point, null]],
};

describe.each([
  ['postgres-json-schemas', 'public', postgres],
  ['postgres-avro', 'public', postgres],
  ['postgres-connect', 'public', { ...postgres, ...connectMode }],
  ['postgres-text', 'public', { ...postgres, ...textMode }],
  ['mariadb-json-schemas', 'studio', mariadb],
  ['mariadb-avro', 'studio', mariadb],
] as const)('%s', (recording, schema, columns) => {
  test('every type is what the type table says, every value exact', async () => {
    const follower = await readAll(path.join(recordings, recording));
    const events = follower.eventsOf('matrix').filter(({ event }) => event.op === 'r');
    const id = columns.id?.[1];
    const row = events.find(({ event }) => event.after?.[0] === id);
    const { fields } = row?.changes.schema ?? { fields: [] };
    const types = fields.slice(0, Object.keys(columns).length).map(({ name, type }) => [name, typeName(type)]);
    expect(types).toEqual(Object.entries(columns).map(([name, [type]]) => [name, type]));
    const values = known(row as NonNullable<typeof row>, row?.event.after ?? null) ?? {};
    for (const [name, [, value]] of Object.entries(columns)) expect(values[name], `${schema} ${name}`).toEqual(value);
  });
});

test('what a type cannot carry is NULL with its text beside it; NaN, infinities and -0 are values', async () => {
  const odd = async (recording: string, table: string, id: unknown) => {
    const follower = await readAll(path.join(recordings, recording), { tables: [table] });
    const seen = follower.seen.find(({ event }) => event.op === 'r' && event.after?.[0] === id);
    return known(seen as NonNullable<typeof seen>, seen?.event.after ?? null);
  };
  for (const recording of ['postgres-json-schemas', 'postgres-avro']) {
    const third = await odd(recording, 'public.matrix', 3);
    expect(third).toMatchObject({
      f4: Number.NaN,
      f8: -Infinity,
      ts: null,
      ts__text: 'infinity',
      tz: null,
      tz__text: '-infinity',
    });
    const fourth = await odd(recording, 'public.matrix', 4);
    expect(fourth).toMatchObject({ f4: -0, ts__text: '-infinity', tz__text: '+12345-01-01T00:00:00.000000Z' });
    expect(await odd(recording, 'public.matrix', 5)).toMatchObject({ tm: null, tm__text: '24:00:00' });
  }
  for (const recording of ['mariadb-json-schemas', 'mariadb-avro']) {
    expect(await odd(recording, 'studio.matrix', 3n)).toMatchObject({
      ...{ t0: null, t0__text: '-838:59:59', t6: null, t6__text: '838:59:59.5' },
    });
  }
});

test('without schemas types are those of the values, and 64 bits stay exact', async () => {
  const follower = await readAll(path.join(recordings, 'postgres-json'));
  const row = follower.eventsOf('matrix').find(({ event }) => event.after?.[0] === 1n);
  const { fields } = row?.changes.schema ?? { fields: [] };
  const typeOf = Object.fromEntries(fields.map(({ name, type }) => [name, typeName(type)]));
  expect(typeOf).toMatchObject({ id: 'long', i8: 'long', b: 'boolean', n: 'string', f8: 'double', ia: 'list<long>' });
  expect(known(row as NonNullable<typeof row>, row?.event.after ?? null)).toMatchObject({
    ...{ i8: 9223372036854775807n, ts: micros + 12n, nn: [3n, 'Ap1Ctk52cUJEyw=='], ia: [1n, null, 3n], y: 'AP8=' },
  });
});

test('the placeholder is unknown in every form, and never a value', async () => {
  for (const recording of ['postgres-json-schemas', 'postgres-avro', 'postgres-json', 'postgres-text']) {
    const follower = await readAll(path.join(recordings, recording));
    const [, update, , , last] = follower.eventsOf('toast');
    expect(update?.event.op, recording).toBe('u');
    const names = update?.fields.filter((_, index) => update.event.after?.[index] === UNKNOWN);
    expect(names, recording).toEqual(expect.arrayContaining(['t', 'ta', 'ia', 'y', 'h', 'j']));
    expect(last?.event.after?.includes(UNKNOWN), recording).toBe(true);
    // The row keeps them: also under a new key, and beside a new column.
    const [row] = follower.rowsOf('toast');
    expect(Object.keys(row ?? {}), recording).toContain('z');
  }
});
