import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Cell, DeliveredRecord, DeliveryMode, HeldRow, WantedRow } from '#connectors/destination.ts';
import { encodeRows, fingerprintOf, keyText, planDelivery } from '#connectors/plan.ts';

const key = fc.integer({ min: 0, max: 12 }).map(String);
const place = fc.dictionary(key, fc.record({ value: fc.integer({ min: 0, max: 3 }), isOurs: fc.boolean() }));
const wantedRows = fc.dictionary(key, fc.integer({ min: 0, max: 3 }));

function rowsOf(wanted: Record<string, number>): WantedRow[] {
  return Object.entries(wanted).map(([name, value]) => {
    const cells: Cell[] = [name, value];
    return { key: name, cells, fingerprint: fingerprintOf(cells) };
  });
}

it.each<DeliveryMode>(['append', 'replace', 'upsert', 'mirror'])(
  '%s brings any place to what its mode promises, and then rests',
  (mode) => {
    fc.assert(
      fc.property(place, wantedRows, fc.uniqueArray(key), (held, wanted, deliveredKeys) => {
        const now = new Map<string, HeldRow>(
          Object.entries(held).map(([name, { value, isOurs }]) => [
            name,
            { fingerprint: fingerprintOf([name, value]), remoteId: null, isOurs },
          ]),
        );
        const delivered = new Map<string, DeliveredRecord>(
          deliveredKeys.map((name) => [name, { fingerprint: '', remoteId: null }]),
        );
        const rows = rowsOf(wanted);
        const { changes, unchanged } = planDelivery(mode, rows, now, delivered);
        const then = new Map(now);
        for (const change of changes) {
          if (change.kind === 'remove') then.delete(change.key);
          else {
            then.set(change.row.key, { fingerprint: change.row.fingerprint, remoteId: null, isOurs: true });
            delivered.set(change.row.key, { fingerprint: change.row.fingerprint, remoteId: null });
          }
        }
        expect(changes.filter((change) => change.kind !== 'remove').length + unchanged).toBe(rows.length);
        expect(planDelivery(mode, rows, then, delivered).changes).toEqual([]);
        for (const row of rows) {
          if (mode === 'append')
            expect(then.has(row.key)).toBe(now.has(row.key) || delivered.has(row.key) ? then.has(row.key) : true);
          else expect(then.get(row.key)?.fingerprint).toBe(row.fingerprint);
        }
        for (const [name, there] of now) {
          const isRemoved = (mode === 'mirror' || mode === 'replace') && there.isOurs && !Object.hasOwn(wanted, name);
          expect(then.has(name)).toBe(!isRemoved);
          if (mode === 'append') expect(then.get(name)).toEqual(there);
        }
      }),
      { numRuns: 500 },
    );
  },
);

it('tells apart what looks different, and nothing else', () => {
  expect(fingerprintOf([1, 'a', null])).toBe(fingerprintOf([1, 'a', '']));
  expect(fingerprintOf([1])).not.toBe(fingerprintOf(['1']));
  expect(fingerprintOf(['a', 'b'])).not.toBe(fingerprintOf(['a,b']));
});

it('makes one text of a key whatever the cells are, short enough for an index', () => {
  expect(keyText([1])).toBe(keyText(['1']));
  expect(keyText(['a', 'b'])).not.toBe(keyText(['a","b']));
  const long = 'x'.repeat(40_000);
  expect(keyText([long]).length).toBeLessThan(200);
  expect(keyText([long])).not.toBe(keyText([`${long}y`]));
});

it('leaves out rows without a key, with a second key, or with a value that cannot be carried', () => {
  const columns = [
    { name: 'id', type: { kind: 'int' } as const },
    { name: 'v', type: { kind: 'string' } as const },
  ];
  const rows = [
    [1, 'a'],
    [null, 'b'],
    [1, 'c'],
    [2, 'bad'],
  ];
  const { wanted, errors } = encodeRows(rows, columns, ['id'], (value) =>
    value === 'bad' ? { refused: 'too bad' } : { cell: value as Cell },
  );
  expect(wanted.map((row) => row.cells)).toEqual([[1, 'a']]);
  expect(errors.map((error) => error.key)).toEqual(['', '1', '2']);
});
