import { expect, test } from 'vitest';
import { emptyStatistics } from '#catalog/iceberg/manifests/column-statistics.ts';
import { type DataFile, plainFile } from '#catalog/iceberg/manifests/manifest.ts';
import { bitIs, isLive } from '#catalog/iceberg/read/delete-masks.ts';
import type { LiveFile } from '#catalog/iceberg/read/live-files.ts';
import { runRows } from './foreign-table.ts';

const rows = 1_300_000;

/** A mask of the rows that a condition deletes. */
function maskOf(isDeleted: (row: number) => boolean): Uint8Array {
  const bits = new Uint8Array(Math.ceil(rows / 8));
  for (let row = 0; row < rows; row++) if (isDeleted(row)) bits[row >> 3] = (bits[row >> 3] ?? 0) | (1 << (row & 7));
  return bits;
}

const masks: [string, (row: number) => boolean, string][] = [
  ['every seventh row', (row) => row % 7 === 3, 'r % 7 = 3'],
  ['all rows', () => true, 'true'],
  ['rows of the second constant alone', (row) => row >= 524_288 && row < 600_000, 'r BETWEEN 524288 AND 599999'],
  [
    'the last rows of one constant and the first of the next',
    (row) => [524_287, 524_288, 1_048_575, 1_048_576, rows - 1].includes(row),
    'r IN (524287, 524288, 1048575, 1048576, 1299999)',
  ],
];

test.each(masks)('a mask in several constants: %s', async (_, isDeleted, condition) => {
  const bits = maskOf(isDeleted);
  const differing = (value: 0 | 1) =>
    `SELECT r FROM range(${rows}) AS rows(r) WHERE (${bitIs(value, bits, 'r')}) <> ((${condition})::INTEGER = ${value})`;
  expect(await runRows(differing(0))).toEqual([]);
  expect(await runRows(differing(1))).toEqual([]);
});

test('each of many files has its own mask, those after them have none', async () => {
  const files = masks.map(([name]): LiveFile => {
    const file: DataFile = {
      ...plainFile,
      ...emptyStatistics(),
      content: 'data',
      location: name,
      recordCount: rows,
      sizeBytes: 1,
    };
    const data = { status: 'added', snapshotId: 1n, sequenceNumber: 1n, fileSequenceNumber: 1n, file } as const;
    return { data, deletes: [] };
  });
  const known = new Map(masks.map(([name, isDeleted]) => [name, { bits: maskOf(isDeleted), deleted: 0 }]));
  const live = isLive(files, known, 'f', 'r');
  const right = masks.map(([, , condition], index) => `WHEN f = ${index} THEN NOT (${condition})`).join(' ');
  const wrong = `SELECT f, r FROM range(${rows}) AS rows(r), range(${masks.length + 2}) AS files(f) WHERE (${live}) <> CASE ${right} ELSE true END`;
  expect(await runRows(wrong)).toEqual([]);
});
