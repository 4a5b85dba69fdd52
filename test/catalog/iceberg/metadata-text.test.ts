import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutMetadata } from '#catalog/iceberg/metadata/metadata-text.ts';
import { parseTableMetadata, printTableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';

test('what is cut out and what is left are together what a parser reads', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`metadata text seed ${seed}`);
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.array(fc.jsonValue(), { maxLength: 5 }),
      fc.array(fc.jsonValue(), { maxLength: 5 }),
      fc.constantFrom(0, 2, '\t'),
      (rest, snapshots, log, indent) => {
        const whole = { ...rest, snapshots, inner: { snapshots: [1, { snapshots: [2] }] }, 'snapshot-log': log };
        const text = `${indent === 0 ? '' : ' \n'}${JSON.stringify(whole, null, indent)}\n`;
        const cut = cutMetadata(text);
        expect(JSON.parse(cut?.rest ?? '')).toEqual(
          JSON.parse(JSON.stringify({ ...whole, snapshots: [], 'snapshot-log': [] })),
        );
        expect(cut?.snapshots.map((each) => JSON.parse(each))).toEqual(JSON.parse(JSON.stringify(snapshots)));
        expect(cut?.log.map((each) => JSON.parse(each))).toEqual(JSON.parse(JSON.stringify(log)));
        for (let end = 0; end < text.trimEnd().length; end += 7) expect(cutMetadata(text.slice(0, end))).toBeNull();
      },
    ),
    { seed },
  );
});

test('metadata of two commits shares its snapshots', () => {
  const snapshot = (id: number) =>
    `{"snapshot-id":${id},"sequence-number":${id},"timestamp-ms":${id},"manifest-list":"file:///t/snap-${id}.avro","summary":{"operation":"append","note":"a \\"quoted\\" ]}"},"schema-id":0}`;
  const file = (count: number) =>
    `{"format-version":2,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"file:///t","last-sequence-number":${count},"last-updated-ms":${count},"last-column-id":0,"schemas":[{"type":"struct","schema-id":0,"fields":[]}],"current-schema-id":0,"partition-specs":[{"spec-id":0,"fields":[]}],"default-spec-id":0,"last-partition-id":999,"properties":{},"current-snapshot-id":${count},"snapshots":[${Array.from({ length: count }, (_, index) => snapshot(index + 1)).join()}],"snapshot-log":[{"timestamp-ms":1,"snapshot-id":1}],"metadata-log":[],"sort-orders":[],"default-sort-order-id":0,"refs":{}}`;
  const first = parseTableMetadata(file(2), 'first');
  const second = parseTableMetadata(file(3), 'second');
  expect(second.snapshots).toHaveLength(3);
  expect(second.snapshots[1]).toBe(first.snapshots[1]);
  expect(second.snapshots[2]?.summary.note).toBe('a "quoted" ]}');
  expect(parseTableMetadata(printTableMetadata(second), 'again')).toEqual(second);
  const wrong = file(2).replace('"snapshot-id":2,"sequence-number":2', '"snapshot-id":2,"sequence-number":"two"');
  expect(() => parseTableMetadata(wrong, 'wrong')).toThrow(/wrong is not a valid table metadata file: snapshots/);
});
