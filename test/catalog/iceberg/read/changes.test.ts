import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeDeletionVector } from '#catalog/iceberg/files/deletion-vector.ts';
import { PositionSet } from '#catalog/iceberg/files/position-set.ts';
import type { DataFile } from '#catalog/iceberg/manifests/manifest.ts';
import { planChanges } from '#catalog/iceberg/read/changes.ts';
import { column, ForeignTable, runRows } from './foreign-table.ts';

const ids = '{id: 1, name: 2}';

interface Row {
  name: string;
  file: DataFile;
  position: number;
}

/** A table with a history, and what it held after each commit. */
class History {
  readonly table: ForeignTable;
  readonly states: { snapshotId: bigint; rows: Map<number, string> }[] = [];
  readonly #isV3: boolean;
  readonly #vectors = new Map<string, { positions: PositionSet; file: DataFile }>();
  #rows = new Map<number, Row>();
  #files: DataFile[] = [];
  #next = 0;

  constructor(table: ForeignTable, isV3: boolean) {
    this.table = table;
    this.#isV3 = isV3;
  }

  /** Rows of these ids are written, new or changed, others deleted; all in one commit. */
  async write(changed: readonly number[], gone: readonly number[]): Promise<void> {
    const away = [...changed, ...gone].flatMap((id) => this.#rows.get(id) ?? []);
    const { added, removed } = await this.#deletes(away);
    const names = changed.map((id) => [id, `v${this.#next++ % 3}`] as const);
    for (const id of gone) this.#rows.delete(id);
    if (names.length > 0) added.push(await this.#file(names));
    await this.#commit(added, removed, 'overwrite');
  }

  isData(path: string): boolean {
    return this.#files.some(({ location }) => location === `file://${path}`);
  }

  /** All rows move to one new file. */
  async compact(): Promise<void> {
    const names = [...this.#rows].map(([id, { name }]) => [id, name] as const);
    const removed = [...this.#files, ...[...this.#vectors.values()].map(({ file }) => file)];
    this.#files = [];
    this.#vectors.clear();
    const added = names.length > 0 ? [await this.#file(names)] : [];
    await this.#commit(added, removed, 'replace');
  }

  async #file(names: readonly (readonly [number, string])[]): Promise<DataFile> {
    const values = names.map(([id, name]) => `(${id}, '${name}')`).join(', ');
    const file = await this.table.file(`SELECT * FROM (VALUES ${values}) AS rows(id, name)`, ids);
    for (const [position, [id, name]] of names.entries()) this.#rows.set(id, { name, file, position });
    this.#files.push(file);
    return file;
  }

  async #deletes(rows: readonly Row[]): Promise<{ added: DataFile[]; removed: DataFile[] }> {
    if (rows.length === 0) return { added: [], removed: [] };
    if (!this.#isV3) {
      const deletes = rows.map(({ file, position }) => [file, position] as const);
      return { added: [await this.table.positionDeletes(deletes)], removed: [] };
    }
    const removed: DataFile[] = [];
    const added: DataFile[] = [];
    for (const [file, deleted] of Map.groupBy(rows, (row) => row.file)) {
      const known = this.#vectors.get(file.location);
      if (known) removed.push(known.file);
      const positions = known?.positions.clone() ?? new PositionSet(file.recordCount);
      for (const { position } of deleted) positions.add(position);
      const location = `file://${this.table.folder}/data/${randomUUID()}.puffin`;
      const vector = await writeDeletionVector(file, positions, location);
      this.#vectors.set(file.location, { positions, file: vector });
      added.push(vector);
    }
    return { added, removed };
  }

  async #commit(added: readonly DataFile[], removed: readonly DataFile[], operation: string): Promise<void> {
    const snapshotId = await this.table.commit(added, removed, operation);
    const rows = new Map([...this.#rows].map(([id, { name }]) => [id, name]));
    this.states.push({ snapshotId, rows });
  }
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      changed: fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: 4 }),
      gone: fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant('compact' as const) },
);

test('changes between any two states are those of their rows, whatever happened between', async () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 2, maxLength: 7 }),
      fc.record({ hasKey: fc.boolean(), isV3: fc.boolean(), isThinned: fc.boolean() }),
      async (steps, { hasKey, isV3, isThinned }) => {
        await using table = await ForeignTable.create([column(1, 'id', 'int'), column(2, 'name', 'string')], {
          formatVersion: isV3 ? 3 : 2,
          key: hasKey ? [1] : [],
        });
        const history = new History(table, isV3);
        for (const next of steps) {
          if (next === 'compact') await history.compact();
          else
            await history.write(
              next.changed,
              next.gone.filter((id) => !next.changed.includes(id)),
            );
        }
        const first = history.states[0];
        const last = history.states.at(-1);
        if (!first || !last) return;
        // Expiry leaves the two ends, with nothing of what was between them.
        if (isThinned) {
          const { snapshots } = table.metadata;
          await table.change({
            snapshots: snapshots.filter(({ 'snapshot-id': id }) => id === first.snapshotId || id === last.snapshotId),
          });
        }
        const states = isThinned ? [first, last] : history.states;
        for (const [index, from] of states.entries()) {
          for (const to of states.slice(index)) {
            expect(await changesOf(table, from.snapshotId, to.snapshotId)).toEqual(
              expected(from.rows, to.rows, hasKey),
            );
          }
        }
        // Backwards, as after a rollback.
        expect(await changesOf(table, last.snapshotId, first.snapshotId)).toEqual(
          expected(last.rows, first.rows, hasKey),
        );
      },
    ),
    { seed, numRuns: 40, interruptAfterTimeLimit: 60_000 },
  );
}, 180_000);

async function changesOf(table: ForeignTable, from: bigint, to: bigint): Promise<string[]> {
  const scan = await planChanges(
    table.metadataLocation,
    () => ({ snapshotId: from }),
    () => ({ snapshotId: to }),
  );
  return await runRows(scan.sql);
}

function expected(from: ReadonlyMap<number, string>, to: ReadonlyMap<number, string>, hasKey: boolean): string[] {
  const row = (id: number, name: string | undefined) => (name === undefined ? null : { id, name });
  const changes: object[] = [];
  for (const id of new Set([...from.keys(), ...to.keys()])) {
    const before = row(id, from.get(id));
    const after = row(id, to.get(id));
    if (before?.name === after?.name) continue;
    if (before && after && hasKey) changes.push({ change: 'update', before, after });
    else {
      if (before) changes.push({ change: 'delete', before, after: null });
      if (after) changes.push({ change: 'insert', before: null, after });
    }
  }
  return changes.map((change) => JSON.stringify(change)).sort();
}

test('equal rows of a table without a key are counted', async () => {
  await using table = await ForeignTable.create([column(1, 'id', 'int'), column(2, 'name', 'string')]);
  const three = await table.file("SELECT 1 AS id, 'a' AS name FROM range(3)", ids);
  const from = await table.commit([three]);
  await table.commit([
    await table.positionDeletes([
      [three, 0],
      [three, 2],
    ]),
  ]);
  const one = '{"id":1,"name":"a"}';
  const gone = `{"change":"delete","before":${one},"after":null}`;
  expect(await changesOf(table, from, 2000n)).toEqual([gone, gone]);
  const to = await table.commit([await table.file("SELECT 1 AS id, 'a' AS name", ids)]);
  expect(await changesOf(table, from, to)).toEqual([gone]);
});

test.each([false, true])(
  'many small commits are read in a few scans, unchanged files not at all; format 3: %s',
  async (isV3) => {
    await using table = await ForeignTable.create([column(1, 'id', 'int'), column(2, 'name', 'string')], {
      formatVersion: isV3 ? 3 : 2,
      key: [1],
    });
    const history = new History(table, isV3);
    for (let commit = 0; commit < 20; commit++) await history.write([3 * commit, 3 * commit + 1, 3 * commit + 2], []);
    // A row of each of ten older files changes; the other ten files stay as they are.
    for (let commit = 0; commit < 10; commit++) await history.write([3 * commit], []);
    const [from, to] = [history.states[19], history.states[29]];
    if (!from || !to) throw new Error('The history is shorter than it was made.');
    const scan = await planChanges(
      table.metadataLocation,
      () => ({ snapshotId: from.snapshotId }),
      () => ({ snapshotId: to.snapshotId }),
    );
    expect(await runRows(scan.sql)).toEqual(expected(from.rows, to.rows, true));
    expect(scan.sql.split('read_parquet(').length - 1).toBeLessThanOrEqual(3);
    const dataFiles = scan.files.filter((file) => history.isData(file));
    expect(dataFiles).toHaveLength(10 + 10);
  },
);

test('foreign equality deletes are deletes, and only files in which the states differ are opened', async () => {
  await using table = await ForeignTable.create([column(1, 'id', 'int'), column(2, 'name', 'string')], { key: [1] });
  const [old, other] = [
    await table.file("SELECT range::INTEGER AS id, 'a' AS name FROM range(3)", ids),
    await table.file("SELECT 10 AS id, 'z' AS name", ids),
  ];
  const from = await table.commit([old, other]);
  const to = await table.commit([
    await table.file('SELECT 1 AS id', '{id: 1}', { content: 'equality-deletes', equalityIds: [1] }),
    await table.file("SELECT 1 AS id, 'b' AS name", ids),
  ]);
  expect(await changesOf(table, from, to)).toEqual([
    '{"change":"update","before":{"id":1,"name":"a"},"after":{"id":1,"name":"b"}}',
  ]);
  const next = await table.commit([await table.file("SELECT 4 AS id, 'd' AS name", ids)]);
  const scan = await planChanges(
    table.metadataLocation,
    () => ({ snapshotId: to }),
    () => ({ snapshotId: next }),
  );
  expect(scan.locations).toHaveLength(1);
});

test('rows of before an evolution are told in the later state’s columns', async () => {
  await using table = await ForeignTable.create([column(1, 'id', 'int'), column(2, 'name', 'string')], { key: [1] });
  const file = await table.file("SELECT 1 AS id, 'a' AS name", ids);
  const from = await table.commit([file]);
  await table.evolve([column(1, 'id', 'int'), column(2, 'title', 'string'), column(3, 'year', 'int')]);
  const to = await table.commit([
    await table.positionDeletes([[file, 0]]),
    await table.file("SELECT 1 AS id, 'a' AS title, 2026 AS year", '{id: 1, title: 2, year: 3}'),
  ]);
  expect(await changesOf(table, from, to)).toEqual([
    '{"change":"update","before":{"id":1,"title":"a","year":null},"after":{"id":1,"title":"a","year":2026}}',
  ]);
});
