import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeDefault, encodeDefault } from '#catalog/iceberg/metadata/default-values.ts';
import { parseJson, printJson } from '#catalog/iceberg/metadata/json.ts';
import { compareValues, decodeSingleValue, encodeSingleValue } from '#catalog/iceberg/metadata/single-value.ts';
import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import { primitives, seedFor, valuesOf } from './typed-values.ts';

const typedValues = primitives.chain((type) => valuesOf(type).map((value) => ({ type, value })));
const typedPairs = primitives.chain((type) =>
  fc.tuple(valuesOf(type), valuesOf(type)).map(([a, b]) => ({ type, a, b })),
);

function hex(type: FieldType, value: Value): string {
  return Buffer.from(encodeSingleValue(type, value)).toString('hex');
}

test('values have the binary form of the specification, and come back from it', () => {
  expect(hex({ kind: 'boolean' }, true)).toBe('01');
  expect(hex({ kind: 'int' }, -2)).toBe('feffffff');
  expect(hex({ kind: 'long' }, 34n)).toBe('2200000000000000');
  expect(hex({ kind: 'float' }, -4.5)).toBe('000090c0');
  expect(hex({ kind: 'double' }, 6)).toBe('0000000000001840');
  expect(hex({ kind: 'decimal', precision: 9, scale: 2 }, 1420n)).toBe('058c');
  expect(hex({ kind: 'uuid' }, 'f79c3e09-677c-4bbd-a479-3f349cb785e7')).toBe('f79c3e09677c4bbda4793f349cb785e7');
  fc.assert(
    fc.property(typedValues, ({ type, value }) => {
      expect(decodeSingleValue(type, encodeSingleValue(type, value))).toEqual(value);
    }),
    { seed: seedFor('single values'), numRuns: 2000 },
  );
});

test('bytes from before a column was widened are read as the wider type', () => {
  expect(decodeSingleValue({ kind: 'long' }, encodeSingleValue({ kind: 'int' }, -7))).toBe(-7n);
  expect(decodeSingleValue({ kind: 'double' }, encodeSingleValue({ kind: 'float' }, 1.5))).toBe(1.5);
  expect(decodeSingleValue({ kind: 'timestamp' }, encodeSingleValue({ kind: 'date' }, -1))).toBe(-86_400_000_000n);
  expect(decodeSingleValue({ kind: 'timestamp_ns' }, encodeSingleValue({ kind: 'date' }, 1))).toBe(86_400_000_000_000n);
  expect(decodeSingleValue({ kind: 'int' }, Uint8Array.of(1, 2, 3))).toBeNull();
});

test('the order of values is total, and that of their bytes for texts and bytes', () => {
  fc.assert(
    fc.property(typedPairs, ({ type, a, b }) => {
      const order = compareValues(type, a, b);
      expect(compareValues(type, b, a) + order).toBe(0);
      expect(compareValues(type, a, a)).toBe(0);
      if (['string', 'binary', 'fixed', 'uuid'].includes(type.kind)) {
        const bytes = Buffer.compare(encodeSingleValue(type, a), encodeSingleValue(type, b));
        expect(Math.sign(order)).toBe(bytes);
      }
    }),
    { seed: seedFor('order of values'), numRuns: 2000 },
  );
  expect(compareValues({ kind: 'double' }, -0, 0)).toBeLessThan(0);
  expect(compareValues({ kind: 'double' }, 0, 0)).toBe(0);
});

test('defaults have the JSON form of the specification, and come back from it', () => {
  const cases: [FieldType, Value, unknown][] = [
    [{ kind: 'decimal', precision: 9, scale: 2 }, -1420n, '-14.20'],
    [{ kind: 'decimal', precision: 9, scale: 0 }, 5n, '5'],
    [{ kind: 'date' }, 17_486, '2017-11-16'],
    [{ kind: 'time' }, 81_068_123_456n, '22:31:08.123456'],
    [{ kind: 'timestamp' }, 1_510_871_468_123_456n, '2017-11-16T22:31:08.123456'],
    [{ kind: 'timestamptz' }, 1_510_871_468_123_456n, '2017-11-16T22:31:08.123456+00:00'],
    [{ kind: 'timestamp_ns' }, 1_510_871_468_123_456_789n, '2017-11-16T22:31:08.123456789'],
    [{ kind: 'timestamptz_ns' }, -1n, '1969-12-31T23:59:59.999999999+00:00'],
    [{ kind: 'fixed', length: 3 }, Uint8Array.of(0, 1, 255), '0001ff'],
  ];
  for (const [type, value, json] of cases) expect(encodeDefault(type, value)).toEqual(json);
  expect(decodeDefault({ kind: 'timestamptz' }, '2017-11-16T14:31:08-08:00', 'at')).toBe(1_510_871_468_000_000n);
  fc.assert(
    fc.property(typedValues, ({ type, value }) => {
      fc.pre(Number.isFinite(value) || typeof value !== 'number');
      // JSON has one zero.
      const json = parseJson(printJson({ value: encodeDefault(type, value) })) as { value: unknown };
      expect(decodeDefault(type, json.value, 'c')).toEqual(Object.is(value, -0) ? 0 : value);
    }),
    { seed: seedFor('defaults'), numRuns: 2000 },
  );
});

test('a default that is not of its type is told naming the column', () => {
  const cases: [FieldType, unknown][] = [
    [{ kind: 'int' }, 'one'],
    [{ kind: 'int' }, 1.5],
    [{ kind: 'date' }, '2017-13-40'],
    [{ kind: 'timestamp' }, '2017-11-16T22:31:08+00:00'],
    [{ kind: 'timestamptz' }, '2017-11-16T22:31:08'],
    [{ kind: 'fixed', length: 3 }, '00'],
    [{ kind: 'binary' }, '0'],
    [{ kind: 'uuid' }, 'f79c'],
    [{ kind: 'decimal', precision: 9, scale: 1 }, '1.25'],
  ];
  for (const [type, json] of cases) {
    expect(() => decodeDefault(type, json, 'rank')).toThrow(/The default of column "rank" is not a value of/);
  }
  expect(decodeDefault({ kind: 'int' }, null, 'rank')).toBeNull();
});
