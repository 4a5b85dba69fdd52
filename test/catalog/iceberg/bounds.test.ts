import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeBound } from '#catalog/iceberg/manifests/bounds.ts';
import type { FieldType } from '#catalog/schemas/schema.ts';

function hex(type: FieldType, text: string, side: 'lower' | 'upper' = 'lower'): string | null {
  const bound = encodeBound(type, text, side);
  return bound && Buffer.from(bound).toString('hex');
}

test('bounds have the binary form of the specification', () => {
  expect(hex({ kind: 'int' }, '-2')).toBe('feffffff');
  expect(hex({ kind: 'long' }, '9223372036854775807')).toBe('ffffffffffffff7f');
  expect(hex({ kind: 'decimal', precision: 9, scale: 2 }, '14.20')).toBe('058c');
  expect(hex({ kind: 'decimal', precision: 9, scale: 2 }, '-1.28')).toBe('80');
  expect(hex({ kind: 'decimal', precision: 9, scale: 2 }, '1.28')).toBe('0080');
  expect(hex({ kind: 'date' }, '1969-12-31')).toBe('ffffffff');
  expect(hex({ kind: 'time' }, '00:00:01.5')).toBe('60e3160000000000');
  expect(hex({ kind: 'timestamptz' }, '1970-01-01 00:00:00.000001+00')).toBe('0100000000000000');
  expect(hex({ kind: 'timestamp_ns' }, '1970-01-01 00:00:00.000000001')).toBe('0100000000000000');
  expect(hex({ kind: 'timestamp' }, '1970-01-01 00:00:00.0000001')).toBeNull();
  expect(hex({ kind: 'binary' }, '00FF')).toBe('00ff');
  expect(hex({ kind: 'double' }, '0.0', 'lower')).toBe('0000000000000080');
  expect(hex({ kind: 'double' }, '0.0', 'upper')).toBe('0000000000000000');
  expect(hex({ kind: 'double' }, 'nan')).toBeNull();
  expect(hex({ kind: 'timestamp' }, '0044-03-15 (BC) 00:00:00')).toBeNull();
});

test('bytes lie between their bounds, however they are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(0, 1, 254, 255), { maxLength: 20 }), (values) => {
      const bytes = Buffer.from(values);
      const lower = encodeBound({ kind: 'binary' }, bytes.toString('hex'), 'lower');
      const upper = encodeBound({ kind: 'binary' }, bytes.toString('hex'), 'upper');
      expect(lower && Buffer.compare(lower, bytes)).toBeLessThanOrEqual(0);
      if (upper) expect(Buffer.compare(upper, bytes)).toBeGreaterThanOrEqual(0);
      else expect(bytes.subarray(0, 16).every((byte) => byte === 255)).toBe(true);
      expect(lower?.length).toBeLessThanOrEqual(16);
    }),
  );
});

test('a text lies between its bounds, however they are cut', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      const bytes = Buffer.from(text);
      const lower = encodeBound({ kind: 'string' }, text, 'lower');
      const upper = encodeBound({ kind: 'string' }, text, 'upper');
      expect(lower && Buffer.compare(lower, bytes)).toBeLessThanOrEqual(0);
      if (upper) expect(Buffer.compare(upper, bytes)).toBeGreaterThanOrEqual(0);
      expect([...Buffer.from(lower ?? []).toString()].length).toBeLessThanOrEqual(16);
    }),
  );
});
