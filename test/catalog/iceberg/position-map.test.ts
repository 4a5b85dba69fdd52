import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PositionMap } from '#catalog/iceberg/files/position-map.ts';

test('rows keep their order from the base on, rows left out have no place', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`position map seed ${seed}`);
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 300 }), fc.nat(1_000_000), (isLeftOut, base) => {
      const deleted = isLeftOut.flatMap((one, position) => (one ? [position] : []));
      const made = PositionMap.of(base, isLeftOut.length, deleted);
      for (const map of [made, PositionMap.decode(made.encode())]) {
        let next = base;
        for (const [position, one] of isLeftOut.entries()) expect(map.get(position)).toBe(one ? null : next++);
        expect(map.kept).toBe(next - base);
        expect(map.get(isLeftOut.length)).toBeNull();
      }
    }),
    { seed },
  );
});
