import type { FieldType, Value } from '#catalog/schemas/schema.ts';
import { canonicalValue } from '../canonical.ts';
import type { Random } from './random.ts';

/** Values at the limits of a type that every reader must give back bit by bit. */
export function limitsOf(type: FieldType): Value[] {
  switch (type.kind) {
    case 'boolean':
      return [true, false];
    case 'int':
      return [-2_147_483_648, 2_147_483_647, 0, -1];
    case 'long':
      return [-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n, 0n, 9_007_199_254_740_993n];
    case 'float':
      return [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0, Math.fround(3.4e38), 2 ** -149];
    case 'double':
      return [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0, Number.MAX_VALUE, 5e-324];
    case 'decimal': {
      const largest = 10n ** BigInt(type.precision) - 1n;
      return [largest, -largest, 0n, 1n, -1n];
    }
    case 'date':
      return [-719_162, 2_932_896, 0, -1];
    case 'time':
      return [0n, 86_399_999_999n, 1n];
    case 'timestamp':
    case 'timestamptz':
      return [-62_135_596_800_000_000n, 253_402_300_799_999_999n, 0n, -1n];
    case 'timestamp_ns':
    case 'timestamptz_ns':
      // DuckDB, which writes our files, has none of the 22 hours before.
      return [-9_223_286_400_000_000_000n, 9_223_372_036_854_775_000n, 0n, -1n, 1n];
    case 'fixed':
      return [new Uint8Array(type.length), new Uint8Array(type.length).fill(255)];
    case 'string':
      return ['', 'ünïcode “🎬” \u0000\n\t', '\u{10ffff}'.repeat(20), 'x'.repeat(3000), '￿￿￿￿￿￿￿￿￿￿￿￿￿￿￿￿￿￿'];
    case 'uuid':
      return [
        '00000000-0000-0000-0000-000000000000',
        'ffffffff-ffff-ffff-ffff-ffffffffffff',
        '80000000-0000-0000-0000-000000000000',
      ];
    case 'binary':
      return [new Uint8Array(), Uint8Array.of(0, 128, 255), new Uint8Array(40).fill(255)];
    case 'struct':
      return [
        type.fields.map((field) => (field.required ? (limitsOf(field.type)[0] ?? null) : null)),
        type.fields.map((field) => limitsOf(field.type)[0] ?? null),
      ];
    case 'list':
      return mayHoldNull(type.element) ? [[], [null], limitsOf(type.element)] : [[], limitsOf(type.element)];
    case 'map': {
      const [key = null] = limitsOf(type.key);
      return [[], [[key, null]], [[key, limitsOf(type.value)[0] ?? null]]];
    }
  }
}

/** Any value of a type but NULL at its own level. */
export function anyValueOf(type: FieldType, random: Random): Value {
  if (random.chance(0.2)) return random.pick(limitsOf(type));
  switch (type.kind) {
    case 'boolean':
      return random.chance(0.5);
    case 'int':
      return Number(random.integer(32));
    case 'long':
      return random.integer(64);
    case 'float':
      return Math.fround(random.fraction() * 10 ** (random.below(20) - 10));
    case 'double':
      return (random.fraction() - 0.5) * 10 ** (random.below(200) - 100);
    case 'decimal':
      return random.integer(Math.floor(type.precision * 3.32));
    case 'date':
      return random.below(60_000) - 20_000;
    case 'time':
      return BigInt(random.below(86_400)) * 1_000_000n + BigInt(random.below(1_000_000));
    case 'timestamp':
    case 'timestamptz':
      return BigInt(random.below(2 ** 32) - 2 ** 30) * 1_000_000n + BigInt(random.below(1_000_000));
    case 'timestamp_ns':
    case 'timestamptz_ns':
      return BigInt(random.below(2 ** 32) - 2 ** 30) * 1_000_000_000n + BigInt(random.below(1_000_000_000));
    case 'fixed':
      return random.bytes(type.length);
    case 'string':
      return Array.from({ length: random.below(30) }, () => random.pick(letters)).join('');
    case 'uuid': {
      const hex = Buffer.from(random.bytes(16)).toString('hex');
      return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
    }
    case 'binary':
      return random.bytes(random.below(20));
    case 'struct':
      return type.fields.map((field) => nullableValueOf(field.type, field.required, random));
    case 'list':
      return Array.from({ length: random.below(4) }, () =>
        nullableValueOf(type.element, !mayHoldNull(type.element), random),
      );
    case 'map': {
      const keys = new Map<string, Value>();
      for (let count = random.below(4); count > 0; count--) {
        const key = anyValueOf(type.key, random);
        keys.set(JSON.stringify(canonicalValue(type.key, key)), key);
      }
      return [...keys.values()].map((key) => [key, nullableValueOf(type.value, false, random)]);
    }
  }
}

export function nullableValueOf(type: FieldType, isRequired: boolean, random: Random): Value {
  return !isRequired && random.chance(0.15) ? null : anyValueOf(type, random);
}

/** A struct with a required field is never NULL within a list: readers by way of Arrow take the field's NULL amiss. */
function mayHoldNull(element: FieldType): boolean {
  return element.kind !== 'struct' || element.fields.every((field) => !field.required);
}

const letters = [...'abcdefghijklmnopqrstuvwxyz ABC0123456789\'"\\/%_=äß€🎬\u0301'];
