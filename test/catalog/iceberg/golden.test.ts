import { cp, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { connectDuckdb } from '#catalog/iceberg/files/duckdb-engine.ts';
import { fromDuckdb } from '#catalog/iceberg/files/duckdb-values.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import type { ScanTime } from '#catalog/iceberg/read/time-travel.ts';
import type { FieldType } from '#catalog/schemas/schema.ts';
import { type CanonicalValue, canonicalRow, sortedTexts } from '#test/engines/canonical.ts';

/*
 * Tables that Spark and Flink have written (test/engines/golden/make), read by our planner at each of their snapshots.
 * Their metadata names files by absolute paths: they are read where they were made.
 */
const fixtures = join(import.meta.dirname, '../../fixtures/golden');
const place = '/tmp/dailies-golden';

interface Expected {
  /** The snapshot of `main`. */
  current: string;
  snapshots: Record<string, { fields: { name: string; type: FieldType }[]; rows: CanonicalValue[][] }>;
}

const expected: Record<string, Expected> = JSON.parse(await readFile(join(fixtures, 'EXPECTED.json'), 'utf8'));
const readable = Object.entries(expected).filter(([name]) => name !== 'avro_files');

beforeAll(async () => {
  const isThere = async () => {
    const [wanted, found] = await Promise.all(
      [fixtures, place].map((folder) => readFile(join(folder, 'EXPECTED.json'), 'utf8').catch(() => null)),
    );
    return wanted === found;
  };
  if (await isThere()) return;
  // Another run may be at the same: the folder comes whole, or not at all.
  const partial = await mkdtemp(`${place}-`);
  await cp(fixtures, partial, { recursive: true });
  await rm(place, { recursive: true, force: true });
  try {
    await rename(partial, place);
  } catch (thrown) {
    await rm(partial, { recursive: true });
    if (!(await isThere())) throw thrown;
  }
});

async function metadataOf(name: string): Promise<string> {
  const folder = join(place, 'db', name, 'metadata');
  const file = (await readdir(folder)).find((candidate) => candidate.endsWith('metadata.json'));
  if (file === undefined) throw new Error(`${folder} has no metadata`);
  return `file://${folder}/${file}`;
}

async function read(name: string, at?: ScanTime) {
  const { sql, schema } = await planScan(await metadataOf(name), at);
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(sql);
    const convert = schema.fields.map((field) => fromDuckdb(field.type));
    const rows = reader.getRows().map((row) => row.map((value, index) => convert[index]?.(value) ?? null));
    return { names: schema.fields.map((field) => field.name), rows: rows.map((row) => canonicalRow(schema, row)) };
  } finally {
    connection.closeSync();
  }
}

describe('tables that others wrote, read by our planner', () => {
  test.each(readable)('%s, at each of its snapshots and now', async (name, { current, snapshots }) => {
    expect(Object.keys(snapshots).length).toBeGreaterThan(0);
    for (const [id, { fields, rows }] of Object.entries(snapshots)) {
      const found = await read(name, { snapshotId: BigInt(id) });
      expect(found.names).toEqual(fields.map((field) => field.name));
      expect(sortedTexts(found.rows), `snapshot ${id}`).toEqual(sortedTexts(rows));
    }
    const now = await read(name);
    // The current schema may be newer than the snapshot's.
    if (name !== 'renamed_nested') expect(sortedTexts(now.rows)).toEqual(sortedTexts(snapshots[current]?.rows ?? []));
  });

  test('a tag and a branch by name', async () => {
    expect((await read('tagged', { ref: 'first' })).rows).toEqual([['1']]);
    expect(sortedTexts((await read('tagged', { ref: 'trial' })).rows)).toEqual(['["1"]', '["100"]']);
  });

  test('files in a format that cannot be read are said to be so', async () => {
    await expect(read('avro_files')).rejects.toMatchObject({ code: 'unsupported' });
  });
});
