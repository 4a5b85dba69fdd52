import { expect, test } from 'vitest';
import { emptyStatistics } from '#catalog/iceberg/manifests/column-statistics.ts';
import { type DataFile, plainFile } from '#catalog/iceberg/manifests/manifest.ts';
import type { ScannedFile } from '#catalog/iceberg/read/live-files.ts';
import type { RowFilter } from '#catalog/iceberg/read/pruning.ts';
import { scanColumns } from '#catalog/iceberg/read/scan-columns.ts';
import { isBestSideBySide } from '#catalog/iceberg/read/side-by-side.ts';
import { column } from './foreign-table.ts';

const rows = 1_000_000;
const { columns } = scanColumns(
  {
    type: 'struct',
    'schema-id': 0,
    fields: [
      column(1, 'id', 'long'),
      column(2, 'title', 'string'),
      column(3, 'status', 'string'),
      column(4, 'day', 'date'),
      column(5, 'tags', { type: 'list', 'element-id': 6, element: 'string', 'element-required': false }),
      column(7, 'rating', 'double'),
    ],
  },
  {},
);
/** Two bits a row of `status`; of `day` hardly any: its values stand in runs. */
const file: DataFile = {
  ...plainFile,
  ...emptyStatistics(),
  content: 'data',
  location: 'a',
  recordCount: rows,
  sizeBytes: 1,
  columnSizes: new Map([
    [1, 8 * rows],
    [2, 9 * rows],
    [3, rows / 4],
    [4, 1000],
  ]),
};
const entry = { status: 'added', snapshotId: 1n, sequenceNumber: 1n, fileSequenceNumber: 1n } as const;
const files: ScannedFile[] = [
  {
    data: { ...entry, file },
    deletes: [{ ...entry, file: { ...file, content: 'position-deletes' } }],
    equalityDeletes: [],
  },
];

const equal = (id: number): RowFilter => ({
  op: 'compare',
  by: '=',
  field: { id, type: { kind: 'string' } },
  value: 'x',
});
const between: RowFilter = { op: 'compare', by: '>', field: { id: 7, type: { kind: 'double' } }, value: 3 };

test.each<[string[], RowFilter | null, boolean]>([
  [[], null, true],
  [['id'], null, true],
  [['id', 'status', 'day', 'rating'], null, true],
  [['title'], null, true],
  [['title', 'rating'], null, true],
  [['id', 'title', 'rating'], null, false],
  [['tags'], null, false],
  [['id', 'status'], equal(3), true],
  [['id', 'title', 'status', 'rating'], equal(3), false],
  [['id', 'status'], { op: 'or', of: [equal(3), equal(1)] }, true],
  [['id', 'status'], { op: 'and', of: [equal(3), equal(3)] }, false],
  [['id'], equal(1), false],
  [['rating'], equal(7), false],
  [['day'], equal(4), false],
  [['id'], between, false],
  [['id'], { op: 'unknown' }, false],
])('reading %j where %j, side by side: %s', (names, filter, isBest) => {
  const read = columns.filter(({ field }) => names.includes(field.name));
  expect(isBestSideBySide(files, read, filter)).toBe(isBest);
});
