import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { primitiveName } from '#catalog/iceberg/metadata/schema-evolution.ts';
import {
  applyTransform,
  bucketHash,
  parseTransform,
  type Transform,
  transformName,
  transformResultType,
} from '#catalog/iceberg/metadata/transforms.ts';
import { type FieldType, isNested, type Value } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { primitives, seedFor, valuesOf } from './typed-values.ts';

test('hashes are those of the specification', () => {
  const cases: [FieldType, Value, number][] = [
    [{ kind: 'int' }, 34, 2017239379],
    [{ kind: 'long' }, 34n, 2017239379],
    [{ kind: 'decimal', precision: 9, scale: 2 }, 1420n, -500754589],
    [{ kind: 'date' }, 17_486, -653330422],
    [{ kind: 'time' }, 81_068_000_000n, -662762989],
    [{ kind: 'timestamp' }, 1_510_871_468_000_000n, -2047944441],
    [{ kind: 'timestamp' }, 1_510_871_468_000_001n, -1207196810],
    [{ kind: 'timestamptz' }, 1_510_871_468_000_000n, -2047944441],
    [{ kind: 'timestamp_ns' }, 1_510_871_468_000_001_001n, -1207196810],
    [{ kind: 'string' }, 'iceberg', 1210000089],
    [{ kind: 'uuid' }, 'f79c3e09-677c-4bbd-a479-3f349cb785e7', 1488055340],
    [{ kind: 'fixed', length: 4 }, Uint8Array.of(0, 1, 2, 3), -188683207],
    [{ kind: 'binary' }, Uint8Array.of(0, 1, 2, 3), -188683207],
  ];
  for (const [type, value, hash] of cases) expect([type.kind, bucketHash(type, value)]).toEqual([type.kind, hash]);
});

test('values are transformed as the specification says', () => {
  const of = (text: string, type: FieldType, value: Value) => applyTransform(parseTransform(text), type, value);
  expect(of('truncate[10]', { kind: 'int' }, 1)).toBe(0);
  expect(of('truncate[10]', { kind: 'int' }, -1)).toBe(-10);
  expect(of('truncate[10]', { kind: 'long' }, -1n)).toBe(-10n);
  expect(of('truncate[50]', { kind: 'decimal', precision: 9, scale: 2 }, 1065n)).toBe(1050n);
  expect(of('truncate[3]', { kind: 'string' }, '🎬🎬🎬🎬')).toBe('🎬🎬🎬');
  expect(of('truncate[3]', { kind: 'binary' }, Uint8Array.of(1, 2, 3, 4))).toEqual(Uint8Array.of(1, 2, 3));
  expect(of('year', { kind: 'date' }, -1)).toBe(-1);
  expect(of('month', { kind: 'date' }, -1)).toBe(-1);
  expect(of('month', { kind: 'date' }, 17_486)).toBe(574);
  expect(of('day', { kind: 'timestamp' }, -1n)).toBe(-1);
  expect(of('hour', { kind: 'timestamptz' }, -1n)).toBe(-1);
  expect(of('hour', { kind: 'timestamptz_ns' }, 3_600_000_000_000n)).toBe(1);
  expect(of('year', { kind: 'date' }, 2_147_483_647)).toBe(5_879_610);
  expect(of('void', { kind: 'int' }, 7)).toBeNull();
  expect(of('bucket[16]', { kind: 'int' }, null)).toBeNull();
});

test('a transform that is not known, or does not take the type, is refused by name', () => {
  expect(transformName(parseTransform('zorder[3]'))).toBe('zorder[3]');
  expect(() => applyTransform(parseTransform('zorder[3]'), { kind: 'int' }, 1)).toThrow(/"zorder\[3\]" is not known/);
  expect(() => applyTransform(parseTransform('hour'), { kind: 'date' }, 1)).toThrow(/hour does not take date/);
  expect(parseTransform('bucket[0]').kind).toBe('unknown');
  expect(parseTransform('truncate[-1]').kind).toBe('unknown');
});

const transforms: fc.Arbitrary<Transform> = fc.oneof(
  fc.constantFrom<Transform>(
    { kind: 'identity' },
    { kind: 'year' },
    { kind: 'month' },
    { kind: 'day' },
    { kind: 'hour' },
  ),
  fc.integer({ min: 1, max: 1_000_000 }).map((buckets): Transform => ({ kind: 'bucket', buckets })),
  fc.integer({ min: 1, max: 1000 }).map((width): Transform => ({ kind: 'truncate', width })),
);

describeWith('pyiceberg', 'transforms', (python) => {
  test('give what PyIceberg gives, and are taken by the same types', () => {
    const seed = seedFor('transforms');
    // Wrapping below the least int is the reference implementation's, in Java alone.
    const cases = fc
      .sample(
        fc
          .tuple(primitives, transforms)
          .chain(([type, transform]) => valuesOf(type).map((value) => ({ type, transform, value }))),
        { seed, numRuns: 3000 },
      )
      .filter(({ type, transform, value }) => !(transform.kind === 'truncate' && overflows(type, value)));
    const script = join(import.meta.dirname, 'pyiceberg_transforms.py');
    const input = cases.map(({ type, transform, value }) => ({
      type: isNested(type) ? '' : primitiveName(type),
      transform: transformName(transform),
      value: value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value),
    }));
    const output = execFileSync(python, [script], { input: JSON.stringify(input), maxBuffer: 1 << 26 });
    const theirs = JSON.parse(output.toString()) as (string | null)[];
    const ours = cases.map(({ type, transform, value }) =>
      transformResultType(transform, type) ? printed(type, applyTransform(transform, type, value)) : null,
    );
    expect(theirs.length).toBe(cases.length);
    expect(input.map((each, index) => [each, ours[index]])).toEqual(input.map((each, index) => [each, theirs[index]]));
  });
});

function overflows(type: FieldType, value: Value): boolean {
  if (type.kind === 'int') return (value as number) < -(2 ** 31) + 1000;
  return type.kind === 'long' && (value as bigint) < -(2n ** 63n) + 1000n;
}

function printed(type: FieldType, value: Value): string {
  // Itself: only identity takes these.
  if (type.kind === 'float' || type.kind === 'double') return 'floating';
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return String(value);
}
