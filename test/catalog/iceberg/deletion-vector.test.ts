import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeDeletionVector,
  encodeDeletionVector,
  encodeDeletionVectorFile,
} from '#catalog/iceberg/files/deletion-vector.ts';
import { PositionSet } from '#catalog/iceberg/files/position-set.ts';
import { decodeRoaring, encodeRoaring } from '#catalog/iceberg/files/roaring.ts';
import { describeWith } from '#test/fixtures/engine.ts';

function setOf(positions: Iterable<number>): PositionSet {
  const set = new PositionSet();
  for (const position of positions) set.add(position);
  return set;
}

function range(from: number, to: number, step = 1): number[] {
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);
}

/** Positions that make every form of container, alone and side by side, also at the edges. */
const cases: Record<string, number[]> = {
  'one position': [7],
  'an array': [1, 3, 5, 100, 65_535],
  'one run': range(10, 5000),
  'a whole container': range(0, 65_536),
  'a bitset': range(0, 65_536, 3),
  'an array as long as can be': range(1, 8192, 2),
  'a container more than an array': range(1, 8196, 2),
  'three containers with a run': [...range(0, 300), 70_000, ...range(131_072, 196_608, 5)],
  'five containers with runs': [2, ...range(65_536, 65_600), ...range(200_000, 260_000, 7), 270_000, 400_000, 400_001],
  'sparse keys': [0, 9_999_999, 50_000_000],
};

describe('a roaring bitmap', () => {
  test('stands in the bytes of the format', () => {
    // count 1, upper half 0, cookie 12346, one container, key 1, cardinality 2, its offset 16, values 1 and 2 less 65536.
    expect(encodeRoaring(setOf([65_537, 65_541])).toString('hex')).toBe(
      '0100000000000000' + '00000000' + '3a300000' + '01000000' + '01000100' + '10000000' + '01000500',
    );
    // cookie 12347 with one container, its flag, key 0, cardinality 1000, one run from 5 of 1000.
    expect(encodeRoaring(setOf(range(5, 1005))).toString('hex')).toBe(
      '0100000000000000' + '00000000' + '3b300000' + '01' + '0000e703' + '0100' + '0500e703',
    );
    expect(encodeRoaring(new PositionSet()).toString('hex')).toBe('0000000000000000');
  });

  test('gives back the positions that it was made of', () => {
    for (const [name, positions] of Object.entries(cases)) {
      const decoded = decodeRoaring(encodeRoaring(setOf(positions)));
      expect([...decoded.toArray()].map(Number), name).toEqual(positions);
      expect(decoded.size, name).toBe(positions.length);
    }
    const seed = Number(process.env.DAILIES_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const runs = fc.array(fc.record({ start: fc.nat(300_000), length: fc.integer({ min: 1, max: 5000 }) }));
    fc.assert(
      fc.property(runs, fc.array(fc.nat(300_000)), (some, others) => {
        const set = setOf([...some.flatMap(({ start, length }) => range(start, start + length)), ...others]);
        expect(decodeRoaring(encodeRoaring(set)).toArray()).toEqual(set.toArray());
      }),
      { seed, numRuns: 100 },
    );
  });

  test('beyond what one file can hold, or cut off, is refused', () => {
    const bytes = encodeRoaring(setOf(cases['five containers with runs'] ?? []));
    for (const end of [4, 11, 13, 20, bytes.length - 1]) {
      expect(() => decodeRoaring(bytes.subarray(0, end)), String(end)).toThrow(RangeError);
    }
    const beyond = Buffer.from(bytes);
    beyond.writeUInt32LE(1, 8);
    expect(() => decodeRoaring(beyond)).toThrow(/beyond/);
  });
});

test('positions beyond the rows of a file are none of it', () => {
  const set = setOf([0, 31, 32, 99, 100, 127, 128, 5000]);
  for (const rows of [0, 1, 32, 100, 101, 128, 5000, 5001, 9000]) {
    const expected = [0, 31, 32, 99, 100, 127, 128, 5000].filter((position) => position < rows);
    expect([...set.below(rows).toArray()].map(Number), String(rows)).toEqual(expected);
  }
});

describe('a deletion vector', () => {
  test('stands in the bytes of the format, its file too', () => {
    const blob = encodeDeletionVector(setOf([0]));
    const content = 'd1d33964' + '010000000000000000000000' + '3a30000001000000' + '00000000' + '10000000' + '0000';
    expect(blob.toString('hex')).toBe(`00000022${content}${blob.subarray(-4).toString('hex')}`);
    const file = encodeDeletionVectorFile('file:///data.parquet', setOf([0]));
    expect(file).toMatchObject({ contentOffset: 4, contentSizeBytes: blob.length });
    expect(file.bytes.subarray(4, 4 + blob.length).equals(blob)).toBe(true);
    const footer = file.bytes.subarray(4 + blob.length);
    const payload = footer.toString('utf8', 4, footer.length - 12);
    expect(footer.toString('latin1', 0, 4) + footer.toString('latin1', footer.length - 4)).toBe('PFA1PFA1');
    expect(footer.readInt32LE(footer.length - 12)).toBe(Buffer.byteLength(payload));
    expect(footer.readUInt32LE(footer.length - 8)).toBe(0);
    expect(JSON.parse(payload).blobs).toEqual([
      {
        type: 'deletion-vector-v1',
        fields: [2147483645],
        'snapshot-id': -1,
        'sequence-number': -1,
        offset: 4,
        length: blob.length,
        properties: { 'referenced-data-file': 'file:///data.parquet', cardinality: '1' },
      },
    ]);
  });

  test('that is damaged anywhere is refused naming its file', () => {
    const blob = encodeDeletionVector(setOf(cases['three containers with a run'] ?? []));
    expect(decodeDeletionVector(blob, 'x').size).toBe(13_409);
    for (const at of [0, 5, 30, 200, blob.length - 2]) {
      const damaged = Buffer.from(blob);
      damaged.writeUInt8((damaged[at] ?? 0) ^ 0x10, at);
      expect(() => decodeDeletionVector(damaged, 's3://b/x.puffin'), String(at)).toThrow(/s3:\/\/b\/x\.puffin is torn/);
    }
  });
});

describeWith('pyiceberg', 'other implementations', (python) => {
  const script = join(import.meta.dirname, 'roaring_bytes.py');

  test('make the same bytes of the same positions', () => {
    const input = Object.values(cases).map((positions) => positions.join(' '));
    const lines = execFileSync(python, [script, 'encode'], { input: input.join('\n'), encoding: 'utf8' }).split('\n');
    for (const [index, [name, positions]] of Object.entries(cases).entries()) {
      const theirs = lines[index] ?? '';
      expect(encodeRoaring(setOf(positions)).toString('hex'), name).toBe(`010000000000000000000000${theirs}`);
    }
  });

  test('read our files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'puffin-'));
    const paths = Object.keys(cases).map((_, index) => join(folder, `${index}.puffin`));
    for (const [index, positions] of Object.values(cases).entries()) {
      await writeFile(paths[index] ?? '', encodeDeletionVectorFile('s3://bucket/ä b.parquet', setOf(positions)).bytes);
    }
    const output = execFileSync(python, [script, 'decode', ...paths], { encoding: 'utf8', maxBuffer: 1 << 28 });
    for (const [index, [name, positions]] of Object.entries(cases).entries()) {
      expect(JSON.parse(output.split('\n')[index] ?? ''), name).toEqual({ 's3://bucket/ä b.parquet': positions });
    }
    await rm(folder, { recursive: true });
  });
});
