import fc from 'fast-check';
import type { FieldType, Value } from '#catalog/schemas/schema.ts';

/** Any seed, or that of an earlier run in DAILIES_SEED; printed with the name of what it drives. */
export function seedFor(name: string): number {
  const seed = Number(process.env.DAILIES_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${name} seed ${seed}`);
  return seed;
}

/** Every type without types in it. */
export const primitives: fc.Arbitrary<FieldType> = fc.oneof(
  fc.constantFrom<FieldType>(
    { kind: 'boolean' },
    { kind: 'int' },
    { kind: 'long' },
    { kind: 'float' },
    { kind: 'double' },
    { kind: 'date' },
    { kind: 'time' },
    { kind: 'timestamp' },
    { kind: 'timestamptz' },
    { kind: 'timestamp_ns' },
    { kind: 'timestamptz_ns' },
    { kind: 'string' },
    { kind: 'uuid' },
    { kind: 'binary' },
  ),
  fc
    .integer({ min: 1, max: 38 })
    .chain((precision) =>
      fc.integer({ min: 0, max: precision }).map((scale): FieldType => ({ kind: 'decimal', precision, scale })),
    ),
  fc.integer({ min: 1, max: 20 }).map((length): FieldType => ({ kind: 'fixed', length })),
);

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

/** Values of a type, never NULL and never NaN: those are the cases of whoever asks. */
export function valuesOf(type: FieldType): fc.Arbitrary<Value> {
  switch (type.kind) {
    case 'boolean':
      return fc.boolean();
    case 'int':
      return fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    case 'date':
      return fc.integer({ min: -719_162, max: 2_932_896 });
    case 'float':
      return fc.float({ noNaN: true });
    case 'double':
      return fc.double({ noNaN: true });
    case 'long':
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return int64;
    case 'timestamp':
    case 'timestamptz':
      return fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n });
    case 'time':
      return fc.bigInt({ min: 0n, max: 86_399_999_999n });
    case 'decimal': {
      const most = 10n ** BigInt(type.precision) - 1n;
      return fc.bigInt({ min: -most, max: most });
    }
    case 'string':
      return fc.string({ unit: 'binary', maxLength: 30 });
    case 'uuid':
      return fc.uuid();
    case 'binary':
      return fc.uint8Array({ maxLength: 30 });
    case 'fixed':
      return fc.uint8Array({ minLength: type.length, maxLength: type.length });
    case 'struct':
      return fc.tuple(...type.fields.map((field) => valuesOf(field.type)));
    case 'list':
      return fc.array(valuesOf(type.element), { maxLength: 3 });
    case 'map':
      return fc.array(fc.tuple(valuesOf(type.key), valuesOf(type.value)), { maxLength: 3 });
  }
}
