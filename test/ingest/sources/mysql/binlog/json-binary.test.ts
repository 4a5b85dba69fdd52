import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonText, parseJsonText, readJson } from '#ingest/sources/mysql/binlog/json-binary.ts';
import { encodeJson, type Json, Opaque } from './encode-json.ts';

const text = (value: Json, isLarge = false) => jsonText(readJson(encodeJson(value, isLarge)));
const packed = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
};
const moment = (
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
  micros: number,
) =>
  (BigInt(((year * 13 + month) << 5) | day) << 41n) |
  (BigInt((hour << 12) | (minute << 6) | second) << 24n) |
  BigInt(micros);

describe("MySQL's binary JSON, as SELECT prints it", () => {
  it.each([
    [null, 'null'],
    [true, 'true'],
    [false, 'false'],
    [0n, '0'],
    [-32_768n, '-32768'],
    [65_535n, '65535'],
    [-2_147_483_648n, '-2147483648'],
    [4_294_967_295n, '4294967295'],
    [-9_223_372_036_854_775_808n, '-9223372036854775808'],
    [18_446_744_073_709_551_615n, '18446744073709551615'],
    [1, '1.0'],
    [-0.5, '-0.5'],
    [1e15, '1e15'],
    [123_456_789_012_345, '123456789012345.0'],
    [1e-20, '1e-20'],
    [4_315_274_687_164_399.5, '4315274687164399.5'],
    [4_315_274_687_164_396, '4.315274687164396e15'],
    [1.7976931348623157e308, '1.7976931348623157e308'],
    ['', '""'],
    ['a"b\\c\n\t\u0001\u007f\u00e9\u{1f600}/', '"a\\"b\\\\c\\n\\t\\u0001\u007f\u00e9\u{1f600}/"'],
    ['x'.repeat(300), `"${'x'.repeat(300)}"`],
    [[], '[]'],
    [{}, '{}'],
    [
      { bb: 1n, a: [true, null, 'x'], é: { n: 2.5 }, c: 70_000n },
      '{"a": [true, null, "x"], "c": 70000, "bb": 1, "é": {"n": 2.5}}',
    ],
    [new Opaque(246, Buffer.from([5, 2, 0x80, 3, 0x0e])), '3.14'],
    [new Opaque(246, Buffer.from([5, 2, 0x7f, 0xfc, 0xf1])), '-3.14'],
    [new Opaque(10, packed(moment(2015, 1, 15, 0, 0, 0, 0))), '"2015-01-15"'],
    [new Opaque(12, packed(moment(2015, 1, 15, 23, 24, 25, 120_000))), '"2015-01-15 23:24:25.120000"'],
    [new Opaque(7, packed(moment(2038, 12, 31, 0, 0, 0, 1))), '"2038-12-31 00:00:00.000001"'],
    [new Opaque(11, packed(moment(0, 0, 0, 23, 24, 25, 0))), '"23:24:25.000000"'],
    [new Opaque(11, packed(-moment(0, 0, 0, 838, 59, 58, 500_000))), '"-838:59:58.500000"'],
    [new Opaque(15, Buffer.from('foo')), '"base64:type15:Zm9v"'],
    [new Opaque(252, Buffer.alloc(60, 'a')), `"base64:type252:${'YWFh'.repeat(19)}\\n${'YWFh'}"`],
  ] as [Json, string][])('prints as $1', (value, expected) => {
    expect(text(value)).toBe(expected);
    expect(text([value], true)).toBe(`[${expected}]`);
    expect(text({ k: value }, true)).toBe(`{"k": ${expected}}`);
    expect(jsonText(parseJsonText(expected))).toBe(expected);
  });

  it('no bytes at all are null', () => {
    expect(jsonText(readJson(Buffer.alloc(0)))).toBe('null');
  });

  it('documents of every shape, small and large, mean what they were made of', () => {
    const json = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom<Json>(null, true, false),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
        fc.string({ unit: 'grapheme' }),
        fc.array(tie('value'), { maxLength: 5 }),
        fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 8 }), tie('value'), {
          maxKeys: 5,
          noNullPrototype: true,
        }),
      ),
    })).value;
    const plain = (value: Json): unknown => {
      if (typeof value === 'bigint') return Number(value);
      if (Array.isArray(value)) return value.map(plain);
      if (value === null || typeof value !== 'object' || value instanceof Opaque) return value;
      return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
    };
    fc.assert(
      fc.property(json, fc.boolean(), (value, isLarge) => {
        const printed = text(value, isLarge);
        expect(JSON.parse(printed)).toEqual(plain(value));
        expect(jsonText(parseJsonText(printed))).toBe(printed);
      }),
    );
  });

  it('documents that contain themselves, are too deep or cut are refused, and quickly', () => {
    // An array whose both members are itself.
    const itself = Buffer.from('02020010000200000200000000000000', 'hex');
    expect(() => readJson(itself)).toThrow(expect.objectContaining({ code: 'source_protocol' }));
    let deep: Json = [];
    for (let depth = 0; depth < 100; depth++) deep = [deep];
    expect(() => text(deep)).toThrow(expect.objectContaining({ code: 'source_protocol' }));
    const whole = encodeJson({ a: [1n, 'text', 2.5], b: { c: 10n ** 18n } });
    for (let length = 1; length < whole.length; length++) {
      try {
        readJson(whole.subarray(0, length));
      } catch (error) {
        expect(error).toMatchObject({ code: 'source_protocol' });
      }
    }
  });
});
