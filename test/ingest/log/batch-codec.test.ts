import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Schema } from '#catalog/schemas/schema.ts';
import { UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import { type Batch, type BatchItem, type ChangeEvent, type SnapshotChunk, tableOf } from '#ingest/event.ts';
import { decodeBatch, decodeHeader, encodeBatch } from '#ingest/log/batch-codec.ts';

/** As the codec makes them: with Object's prototype. */
const record = <T extends object>(parts: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(parts, { noNullPrototype: true }) as fc.Arbitrary<T>;
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const leaf: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.double(),
  fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, -(2 ** 31), 2 ** 53),
  int64,
  fc.bigInt(),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.constantFrom('', '\ud800', 'é'.repeat(30), 'a\u0000b', '\udc00x'.repeat(20)),
  fc.uint8Array({ maxLength: 40 }),
);
const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof({ maxDepth: 3, depthSize: 'small' }, leaf, fc.array(tie('value'), { maxLength: 4 })),
})).value;
const name = fc.string({ minLength: 1, maxLength: 12 });

const changes = record({ table: name, width: fc.integer({ min: 0, max: 6 }), key: name, doc: fc.option(name) }).chain(
  ({ table, width, key, doc }) => {
    const schema: Schema = {
      fields: Array.from({ length: width }, (_, i) => ({
        name: `${key}${i}`,
        type: i % 2 ? { kind: 'decimal', precision: 38, scale: i } : { kind: 'list', element: { kind: 'string' } },
        required: i === 0,
        ...(doc === null ? {} : { doc }),
      })),
      key: width > 0 ? [`${key}0`] : [],
    };
    const row = fc.array(fc.oneof({ weight: 9, arbitrary: value }, { weight: 1, arbitrary: fc.constant(UNKNOWN) }), {
      minLength: width,
      maxLength: width,
    });
    const event: fc.Arbitrary<ChangeEvent> = record({
      op: fc.constantFrom('c', 'u', 'd', 'r', 't'),
      before: fc.option(row),
      after: fc.option(row),
      tx: fc.nat({ max: 1000 }),
    });
    const transaction = record({ id: name, position: name, timeMicros: int64 });
    return record({
      kind: fc.constant('changes' as const),
      changes: record({
        table: fc.constant(table),
        schema: fc.constant(schema),
        events: fc.array(event, { maxLength: 6 }),
        transactions: fc.array(transaction, { maxLength: 3 }),
      }),
    });
  },
);
const item: fc.Arbitrary<BatchItem> = fc.oneof(
  { weight: 4, arbitrary: changes },
  {
    weight: 1,
    arbitrary: record({
      kind: fc.constant('snapshot-begin' as const),
      table: name,
      schema: fc.constant<Schema>({ fields: [], key: [] }),
      generation: fc.nat(),
      isChunked: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: record<SnapshotChunk>({
      kind: fc.constant('snapshot-chunk' as const),
      table: name,
      generation: fc.nat(),
      cursor: fc.string({ unit: 'grapheme', maxLength: 40 }),
      rows: fc.integer({ min: 0, max: 2 ** 40 }),
      estimatedRows: fc.option(fc.integer({ min: 0, max: 2 ** 40 })),
    }),
  },
  {
    weight: 1,
    arbitrary: record({
      kind: fc.constant('snapshot-end' as const),
      table: name,
      generation: fc.nat(),
      rows: fc.integer({ min: 0, max: 2 ** 40 }),
    }),
  },
);
const file: fc.Arbitrary<BatchItem> = record({
  kind: fc.constant('snapshot-rows' as const),
  snapshotRows: record({
    table: name,
    schema: fc.constant<Schema>({ fields: [{ name: 'a', type: { kind: 'long' }, required: true }], key: ['a'] }),
    rows: fc.nat(),
    parquet: fc.uint8Array({ maxLength: 2_000 }),
  }),
});
const batch: fc.Arbitrary<Batch> = record({
  items: fc.array(fc.oneof({ weight: 5, arbitrary: item }, { weight: 1, arbitrary: file }), { maxLength: 5 }),
  position: name,
  timeMicros: int64,
  isComplete: fc.boolean(),
});

test('every batch comes back exactly as it was', () => {
  fc.assert(
    fc.property(batch, (written) => {
      const bytes = encodeBatch(written);
      expect(decodeBatch(bytes)).toStrictEqual(written);
      const { position, timeMicros, isComplete, tables } = decodeHeader(bytes);
      expect({ position, timeMicros, isComplete }).toStrictEqual({
        position: written.position,
        timeMicros: written.timeMicros,
        isComplete: written.isComplete,
      });
      const all = written.items.map(tableOf);
      expect(tables).toStrictEqual([...new Set(all)]);
      const [first] = tables;
      if (first !== undefined) {
        const only = decodeBatch(bytes, new Set([first]));
        expect(only.items).toStrictEqual(written.items.filter((_, i) => all[i] === first));
      }
    }),
    { numRuns: 400 },
  );
});

test('a torn or changed record is log_corrupt, whichever byte it is', () => {
  const bytes = encodeBatch({
    items: [
      {
        kind: 'changes',
        changes: {
          table: 's.public.t',
          schema: { fields: [{ name: 'id', type: { kind: 'string' }, required: true }], key: ['id'] },
          events: [{ op: 'c', before: null, after: ['one'], tx: 0 }],
          transactions: [{ id: '1', position: '0/1', timeMicros: 1n }],
        },
      },
    ],
    position: '0/1',
    timeMicros: 1n,
    isComplete: true,
  });
  for (let length = 0; length < bytes.length; length++) {
    expect(() => decodeBatch(bytes.subarray(0, length))).toThrowError(expect.objectContaining({ code: 'log_corrupt' }));
  }
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 0x10, at);
    expect(() => decodeBatch(changed)).toThrowError(expect.objectContaining({ code: 'log_corrupt' }));
  }
});
