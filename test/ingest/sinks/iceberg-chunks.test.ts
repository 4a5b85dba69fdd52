import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compactTable } from '#catalog/iceberg/maintenance/compact-table.ts';
import { MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import type { Sink } from '#ingest/sink.ts';
import { createWarehouse, readTable, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { type Change, changesOf, openSink, position, signal } from './sink-driver.ts';
import { snapshotFile } from './snapshot-file.ts';

/*
 * Random histories of one table whose snapshots come in chunks, against a model: changes between the chunks, before and
 * after them, changes that nobody told of before a snapshot begins (rows gone and rows new), commits, crashes, rewrites of
 * files, added columns, truncates, key changes, updates that leave values out. At each commit the table holds what the model
 * says, and nobody sees it before its first snapshot has ended.
 */
const table = 'production.public.movie';
const target = 'production.movie';
/** Files are rewritten as soon as there are two. */
const often = { properties: { 'dailies.compaction.min-files': '2' } };

type Edit =
  | { kind: 'put'; id: number; text: string; isKept: boolean }
  | { kind: 'remove'; id: number }
  | { kind: 'move'; id: number; to: number; isKept: boolean }
  | { kind: 'truncate' };
type Step =
  | Edit
  | { kind: 'snapshot'; missed: readonly Edit[] }
  | { kind: 'chunk'; rows: number; isFile: boolean; leavesOutTouched: boolean }
  | { kind: 'commit' }
  | { kind: 'crash'; losesIndex: boolean }
  | { kind: 'add-column' }
  | { kind: 'compact' };

const id = fc.integer({ min: 0, max: 30 });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      id,
      text: fc.string({ maxLength: 4 }),
      isKept: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('remove' as const), id }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('move' as const), id, to: id, isKept: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'truncate' as const }) },
);
const chunk: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('chunk' as const),
  rows: fc.integer({ min: 0, max: 12 }),
  isFile: fc.boolean(),
  leavesOutTouched: fc.boolean(),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: edit },
  { weight: 14, arbitrary: chunk },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('snapshot' as const), missed: fc.array(edit, { maxLength: 8 }) }),
  },
  { weight: 10, arbitrary: fc.constant({ kind: 'commit' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('crash' as const), losesIndex: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'add-column' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'compact' as const }) },
);

/** What stands in the log: one batch each. */
type Item =
  | { kind: 'changes'; schema: Schema; changes: Change[]; isFile: boolean }
  | { kind: 'begin'; schema: Schema; generation: number }
  | { kind: 'end' };

const unknown = UNKNOWN as never;

/** The source's table and its snapshot under way. */
class SourceTable {
  schema = schemaOf({ id: 'long', text: 'string', plot: 'string' }, ['id']);
  readonly rows = new Map<bigint, Row>();
  cursor: bigint | null = null;
  generation = 0;
  /** Keys that the stream has told of since the snapshot began. */
  readonly told = new Set<bigint>();
  #plots = 0;

  /** The events of an edit that the stream tells. */
  tell(edit: Edit): Change[] {
    const changes = this.apply(edit);
    for (const { before, after } of changes) {
      for (const row of [before, after]) if (row) this.told.add(row[0] as bigint);
    }
    return changes;
  }

  apply(edit: Edit): Change[] {
    const key = BigInt('id' in edit ? edit.id : 0);
    const old = this.rows.get(key);
    switch (edit.kind) {
      case 'put': {
        const row = this.schema.fields.map(({ name }, index) => {
          if (index === 0) return key;
          if (name === 'text') return edit.text;
          return edit.isKept && old ? (old[index] ?? null) : `${name} ${this.#plots++}`;
        });
        this.rows.set(key, row);
        return [old ? { op: 'u', after: edit.isKept ? row.with(2, unknown) : row } : { op: 'c', after: row }];
      }
      case 'remove':
        this.rows.delete(key);
        return old ? [{ op: 'd', before: this.#keyOnly(key) }] : [];
      case 'move': {
        const to = BigInt(edit.to);
        if (!old || this.rows.has(to)) return [];
        const row = old.with(0, to);
        this.rows.delete(key);
        this.rows.set(to, row);
        return [
          { op: 'd', before: this.#keyOnly(key) },
          { op: 'c', after: edit.isKept ? row.with(2, unknown) : row },
        ];
      }
      case 'truncate':
        this.rows.clear();
        return [{ op: 't' }];
    }
  }

  addColumn(): void {
    const name = `extra${this.schema.fields.length}`;
    this.schema = {
      ...this.schema,
      fields: [...this.schema.fields, { name, type: { kind: 'string' }, required: false }],
    };
    for (const [key, row] of this.rows) this.rows.set(key, [...row, null]);
  }

  /** The next rows in the order of the key; null once there are no more. */
  next(count: number): Row[] | null {
    if (this.cursor === null) return null;
    const { cursor } = this;
    const left = [...this.rows].filter(([key]) => key > cursor).sort(([a], [b]) => Number(a - b));
    if (left.length === 0) return null;
    const rows = left.slice(0, count);
    this.cursor = rows.at(-1)?.[0] ?? cursor;
    return rows.map(([, row]) => row);
  }

  #keyOnly(key: bigint): Row {
    return this.schema.fields.map((_, index) => (index === 0 ? key : unknown));
  }
}

/** What the target must hold. */
interface Expected {
  rows: Map<bigint, Row>;
  /** Keys touched since the snapshot under way began. */
  touched: Set<bigint> | null;
  width: number;
  isHidden: boolean;
  exists: boolean;
}

class Run {
  readonly source = new SourceTable();
  readonly #warehouse: TestWarehouse;
  readonly #options: { formatVersion: 2 | 3; partition: string[] };
  readonly #maintained = new MaintainedTables();
  readonly #log: Item[] = [];
  #sink: Sink;
  #model: Expected = { rows: new Map(), touched: null, width: 3, isHidden: false, exists: false };
  #committed = { offset: -1, model: this.#model };
  #applied = -1;

  constructor(warehouse: TestWarehouse, options: { formatVersion: 2 | 3; partition: string[] }) {
    this.#warehouse = warehouse;
    this.#options = options;
    this.#sink = this.#open();
  }

  async do(step: Step): Promise<void> {
    switch (step.kind) {
      case 'snapshot':
        for (const edit of step.missed) this.source.apply(edit);
        this.source.generation += 1;
        this.source.cursor = -1n;
        this.source.told.clear();
        await this.#commit();
        return await this.#tell({ kind: 'begin', schema: this.source.schema, generation: this.source.generation });
      case 'chunk': {
        if (this.source.cursor === null) return;
        const rows = this.source.next(step.rows);
        if (rows === null) {
          this.source.cursor = null;
          return await this.#tell({ kind: 'end' });
        }
        // What the stream has told of a row is as new as the chunk, so that the chunk may leave it out.
        const left = rows.filter((row) => !step.leavesOutTouched || !this.source.told.has(row[0] as bigint));
        const changes = left.map((after): Change => ({ op: 'r', after }));
        return await this.#tell({ kind: 'changes', schema: this.source.schema, changes, isFile: step.isFile });
      }
      case 'commit':
        return await this.#commit();
      case 'crash':
        return await this.#crash(step.losesIndex);
      case 'add-column':
        return this.source.addColumn();
      case 'compact':
        // Where nothing is staged, as in a round of maintenance.
        if (this.#applied !== this.#committed.offset || !this.#model.exists) return;
        await this.#maintained.use(target, async (each) => await compactTable(each, signal, { waits: true }));
        return await this.#check();
      default: {
        if (this.source.generation === 0) return void this.source.apply(step);
        const { schema } = this.source;
        const changes = this.source.tell(step);
        if (changes.length > 0) await this.#tell({ kind: 'changes', schema, changes, isFile: false });
      }
    }
  }

  async finish(): Promise<void> {
    if (this.source.generation === 0) await this.do({ kind: 'snapshot', missed: [] });
    while (this.source.cursor !== null) await this.do({ kind: 'chunk', rows: 7, isFile: true, leavesOutTouched: true });
    await this.#commit();
    await this.#checkEnd();
    await this.#crash(true);
    await this.do({ kind: 'put', id: 3, text: 'last', isKept: true });
    await this.do({ kind: 'remove', id: 4 });
    await this.#commit();
    await this.#checkEnd();
    await this.#sink.close();
  }

  async #checkEnd(): Promise<void> {
    // A column that no row has come with since it was added is not known yet.
    const width = this.source.schema.fields.length;
    const held = (await this.#warehouse.read(target)).map((row) => padded(row, width));
    expect(sorted(held)).toEqual(sorted([...this.source.rows.values()]));
  }

  #open(): Sink {
    return openSink(this.#warehouse, { ...this.#options, ...often, maintained: this.#maintained });
  }

  async #tell(item: Item): Promise<void> {
    this.#log.push(item);
    await this.#apply(this.#log.length - 1);
  }

  async #apply(offset: number): Promise<void> {
    const item = this.#log[offset];
    const model = this.#model;
    this.#applied = offset;
    switch (item?.kind) {
      case 'begin':
        await this.#sink.beginChunks(table, item.schema, item.generation, signal);
        this.#model = {
          ...model,
          touched: new Set(),
          width: item.schema.fields.length,
          isHidden: model.isHidden || !model.exists,
          exists: true,
        };
        return;
      case 'end':
        await this.#sink.endSnapshot(table, signal);
        this.#model = {
          ...model,
          rows: new Map([...model.rows].filter(([key]) => model.touched?.has(key) === true)),
          touched: null,
          isHidden: false,
        };
        return;
      case 'changes':
        await this.#write(item);
    }
  }

  /** As a lane does: values that the target cannot have are read again as the source has them now. */
  async #write({ schema, changes, isFile }: Extract<Item, { kind: 'changes' }>): Promise<void> {
    const lacking = new Set(await this.#sink.lacking(changesOf(schema, changes), signal));
    const told = changes.flatMap((change, index): Change[] => {
      if (!lacking.has(index) || !change.after) return [change];
      const now = this.source.rows.get(change.after[0] as bigint);
      if (!now) return [];
      return [{ ...change, after: change.after.map((value, i) => (value === UNKNOWN ? (now[i] ?? null) : value)) }];
    });
    this.#follow(schema, told);
    if (isFile && this.#model.touched) {
      const rows = told.flatMap(({ after }) => (after ? [after] : []));
      const parquet = await snapshotFile(schema, rows);
      if (await this.#sink.writeFile?.({ table, schema, rows: rows.length, parquet }, signal)) return;
    }
    if (told.length > 0) await this.#sink.write(changesOf(schema, told), signal);
  }

  #follow(schema: Schema, changes: readonly Change[]): void {
    const width = Math.max(this.#model.width, schema.fields.length);
    let rows = new Map([...this.#model.rows].map(([key, row]) => [key, padded(row, width)]));
    const touched = this.#model.touched && new Set(this.#model.touched);
    let removed: Row | null = null;
    for (const { op, before, after } of changes) {
      const last = removed;
      removed = null;
      if (op === 't') rows = new Map();
      if (op === 'd' && before) {
        removed = rows.get(before[0] as bigint) ?? null;
        rows.delete(before[0] as bigint);
      }
      if (!after) continue;
      const key = after[0] as bigint;
      const base = op === 'c' && last ? last : rows.get(key);
      const whole = after.map((value, index) => (value === UNKNOWN ? (base?.[index] ?? null) : value));
      rows.set(key, padded(whole, width));
      touched?.add(key);
    }
    this.#model = { ...this.#model, rows, touched, width };
  }

  async #commit(): Promise<void> {
    if (this.#applied < 0) return;
    await this.#sink.commit(position(this.#applied), signal);
    this.#committed = { offset: this.#applied, model: this.#model };
    await this.#check();
  }

  async #crash(losesIndex: boolean): Promise<void> {
    await this.#sink.close();
    if (losesIndex) await rm(this.#warehouse.indexDir, { recursive: true, force: true });
    this.#sink = this.#open();
    const held = (await this.#sink.writtenUpTo(table, signal))?.production?.offset ?? -1;
    // What would only move the position is not committed.
    expect(held).toBeLessThanOrEqual(this.#committed.offset);
    this.#model = this.#committed.model;
    for (let offset = this.#committed.offset + 1; offset < this.#log.length; offset++) await this.#apply(offset);
  }

  async #check(): Promise<void> {
    const { catalog, state } = this.#warehouse;
    const { rows, isHidden, exists, width } = this.#committed.model;
    expect(await catalog.locate(target)).toEqual(exists && !isHidden ? expect.any(String) : null);
    expect(await state.dataTable.count({ where: { name: target } })).toBe(exists && !isHidden ? 1 : 0);
    if (!exists) return;
    const all = { locate: (name: string) => catalog.locate(name, 'all') };
    const held = await readTable(all, target);
    const wide = held.map((row) => padded(row, width));
    expect(sorted(wide)).toEqual(sorted([...rows.values()].map((row) => padded(row, width))));
    const recorded = await state.dataTable.findUnique({ where: { name: target } });
    if (recorded) expect(recorded.rows).toBe(BigInt(rows.size));
  }
}

function padded(row: Row, width: number): Row {
  return [...row, ...Array.from({ length: Math.max(0, width - row.length) }, () => null)];
}

test.each([
  { formatVersion: 2, partition: [] },
  { formatVersion: 3, partition: [] },
  { formatVersion: 3, partition: ['bucket(3, id)'] },
] as const)(
  'random histories with chunked snapshots equal the model: %o',
  async ({ formatVersion, partition }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { maxLength: 20 }),
        fc.array(step, { minLength: 5, maxLength: 70 }),
        async (before, steps) => {
          await using warehouse = await createWarehouse();
          const run = new Run(warehouse, { formatVersion, partition: [...partition] });
          for (const each of before) run.source.apply(each);
          for (const each of steps) await run.do(each);
          await run.finish();
        },
      ),
      { numRuns: Number(process.env.CHUNK_RUNS ?? 12) },
    );
  },
  600_000,
);
