import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type FieldType, type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { Sink } from '#ingest/sink.ts';
import { createWarehouse, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { type Change, changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

/*
 * Random histories of one table against a model that is a map of rows: changes, commits, crashes (what was not committed
 * is void), lost indexes, schema changes, truncates, new snapshots. After every commit the table, read through a planned
 * scan, equals the model.
 */
const table = 'production.public.movie';
const keyless = 'production.public.log';

type Step =
  | { kind: 'put'; id: number; text: string | null; keepsPlot: boolean }
  | { kind: 'remove'; id: number }
  | { kind: 'rekey'; from: number; to: number }
  | { kind: 'insert'; text: string | null }
  | { kind: 'drop'; nth: number }
  | { kind: 'truncate' }
  | { kind: 'snapshot'; count: number }
  | { kind: 'evolve'; columns: number; isWide: boolean }
  | { kind: 'burst'; count: number; start: number }
  | { kind: 'commit' }
  | { kind: 'small-commits' }
  | { kind: 'crash' }
  | { kind: 'lose-index' };

const id = fc.integer({ min: 0, max: 40 });
const text = fc.option(fc.string({ maxLength: 6 }), { nil: null });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('put' as const), id, text, keepsPlot: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('remove' as const), id }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rekey' as const), from: id, to: id }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('insert' as const), text }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('drop' as const), nth: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('snapshot' as const), count: fc.nat(60) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('evolve' as const), columns: fc.nat(3), isWide: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('burst' as const), count: fc.nat(30), start: fc.nat(2000) }),
  },
  { weight: 14, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('small-commits' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose-index' as const) }) },
);

const options = fc.record({
  formatVersion: fc.constantFrom<2 | 3>(2, 3),
  partition: fc.constantFrom<string[]>([], ['bucket(3, id)'], ['truncate(1, plot)', 'size']),
});

/** Rows by name, so that schema changes need no rewriting of the model. */
type ModelRow = Record<string, Value>;

class Model {
  rows = new Map<number, ModelRow>();
  bag: ModelRow[] = [];
  columns = 1;
  isWide = false;

  schema(key: string[] = ['id']): Schema {
    const size: FieldType = { kind: this.isWide ? 'long' : 'int' };
    const extra = Array.from({ length: this.columns }, (_, index) => ({
      name: `extra_${index}`,
      type: { kind: 'string' } as FieldType,
      required: false,
    }));
    return {
      key,
      fields: [
        ...extra,
        { name: 'id', type: { kind: 'int' }, required: key.length > 0 },
        { name: 'plot', type: { kind: 'string' }, required: false },
        { name: 'size', type: size, required: false },
      ],
    };
  }

  row(values: ModelRow, schema: Schema): Row {
    return schema.fields.map(({ name, type }) => {
      const value = values[name] ?? null;
      return type.kind === 'long' && typeof value === 'number' ? BigInt(value) : value;
    });
  }

  make(key: number, plot: Value, note: string | null): ModelRow {
    const extra = Object.fromEntries(Array.from({ length: this.columns }, (_, index) => [`extra_${index}`, note]));
    return { ...extra, id: key, plot, size: (key * 7) % 100 };
  }

  copy(): Model {
    const copy = new Model();
    copy.rows = new Map(this.rows);
    copy.bag = [...this.bag];
    copy.columns = this.columns;
    copy.isWide = this.isWide;
    return copy;
  }
}

class History {
  readonly #warehouse: TestWarehouse;
  readonly #options: { formatVersion: 2 | 3; partition: string[] };
  #sink: Sink;
  #model = new Model();
  #committed = new Model();
  #offset = 0;

  constructor(warehouse: TestWarehouse, options: { formatVersion: 2 | 3; partition: string[] }) {
    this.#warehouse = warehouse;
    this.#options = options;
    this.#sink = this.#open();
  }

  #open(): Sink {
    return openSink(this.#warehouse, { sourceTables: [table, keyless], ...this.#options });
  }

  async begin(): Promise<void> {
    await snapshot(this.#sink, this.#model.schema(), [], table);
    await snapshot(this.#sink, this.#model.schema([]), [], keyless);
    await this.#commit();
  }

  async end(): Promise<void> {
    await this.#commit();
    await this.#reopen();
    await this.#compare();
    await this.#sink.close();
  }

  async take(step: Step): Promise<void> {
    const model = this.#model;
    switch (step.kind) {
      case 'put': {
        const old = model.rows.get(step.id);
        const row = model.make(step.id, step.keepsPlot && old ? (old.plot ?? null) : step.text, step.text);
        model.rows.set(step.id, row);
        const after = model.row(row, model.schema());
        const plot = model.columns + 1;
        const sent = step.keepsPlot && old ? after.with(plot, UNKNOWN as never) : after;
        await this.#write({ op: old ? 'u' : 'c', after: sent });
        return;
      }
      case 'remove':
        if (!model.rows.delete(step.id)) return;
        await this.#write({ op: 'd', before: this.#keyOnly(step.id) });
        return;
      case 'rekey': {
        const old = model.rows.get(step.from);
        if (!old || model.rows.has(step.to)) return;
        model.rows.delete(step.from);
        const row = { ...old, id: step.to };
        model.rows.set(step.to, row);
        const after = model.row(row, model.schema()).with(model.columns + 1, UNKNOWN as never);
        await this.#write({ op: 'd', before: this.#keyOnly(step.from) }, { op: 'c', after });
        return;
      }
      case 'insert': {
        const row = model.make(model.bag.length % 5, step.text, null);
        model.bag.push(row);
        await this.#writeKeyless({ op: 'c', after: model.row(row, model.schema([])) });
        return;
      }
      case 'drop': {
        const [row] = model.bag.splice(step.nth, 1);
        if (row) await this.#writeKeyless({ op: 'd', before: model.row(row, model.schema([])) });
        return;
      }
      case 'truncate':
        model.rows.clear();
        model.bag = [];
        await this.#write({ op: 't' });
        await this.#writeKeyless({ op: 't' });
        return;
      case 'snapshot': {
        const rows = Array.from({ length: step.count }, (_, key) => model.make(key, `plot ${key}`, 'snapshot'));
        model.rows = new Map(rows.map((row, key) => [key, row]));
        const schema = model.schema();
        await snapshot(
          this.#sink,
          schema,
          rows.map((row) => model.row(row, schema)),
          table,
        );
        return;
      }
      case 'evolve':
        model.columns = step.columns;
        model.isWide ||= step.isWide;
        // A dropped column's values are gone, also if one of its name comes again.
        for (const [key, values] of model.rows) model.rows.set(key, withoutExtras(values, step.columns));
        model.bag = model.bag.map((values) => withoutExtras(values, step.columns));
        await this.#write();
        await this.#writeKeyless();
        return;
      case 'burst': {
        const changes = Array.from({ length: step.count }, (_, index): Change => {
          const row = model.make(step.start + index, 'burst', null);
          model.rows.set(step.start + index, row);
          return { op: 'r', after: model.row(row, model.schema()) };
        });
        await this.#write(...changes);
        return;
      }
      case 'commit':
        await this.#commit();
        await this.#compare();
        return;
      // As many as make the sink rewrite small files.
      case 'small-commits':
        for (let index = 0; index < 34; index++) {
          await this.take({ kind: 'put', id: (index * 5) % 40, text: `small ${index}`, keepsPlot: index % 2 === 0 });
          await this.take({ kind: 'insert', text: `small ${index}` });
          if (index % 5 === 0) await this.take({ kind: 'drop', nth: index });
          await this.#commit();
        }
        await this.#compare();
        return;
      case 'crash':
        this.#model = this.#committed.copy();
        await this.#reopen();
        return;
      case 'lose-index':
        this.#model = this.#committed.copy();
        await this.#sink.close();
        await rm(this.#warehouse.indexDir, { recursive: true, force: true });
        this.#sink = this.#open();
        return;
    }
  }

  async #reopen(): Promise<void> {
    await this.#sink.close();
    this.#sink = this.#open();
    expect(await this.#sink.writtenUpTo(table, signal)).toBeTruthy();
  }

  async #commit(): Promise<void> {
    this.#offset += 1;
    const commits = await this.#sink.commit(position(this.#offset), signal);
    this.#committed = this.#model.copy();
    for (const commit of commits) {
      expect(commit.rows).toBe(BigInt(commit.table === table ? this.#model.rows.size : this.#model.bag.length));
    }
  }

  async #compare(): Promise<void> {
    const { rows, bag } = this.#committed;
    const schema = this.#committed.schema();
    const expected = [...rows.values()].map((row) => this.#committed.row(row, schema));
    expect(sorted(await this.#warehouse.read('production.movie'))).toEqual(sorted(expected));
    const expectedBag = bag.map((row) => this.#committed.row(row, schema));
    expect(sorted(await this.#warehouse.read('production.log'))).toEqual(sorted(expectedBag));
  }

  #keyOnly(key: number): Row {
    return this.#model.schema().fields.map(({ name }) => (name === 'id' ? key : (UNKNOWN as never)));
  }

  async #write(...changes: Change[]): Promise<void> {
    await this.#sink.write(changesOf(this.#model.schema(), changes, table), signal);
  }

  async #writeKeyless(...changes: Change[]): Promise<void> {
    await this.#sink.write(changesOf(this.#model.schema([]), changes, keyless), signal);
  }
}

function withoutExtras(values: ModelRow, columns: number): ModelRow {
  const kept = Object.entries(values).filter(
    ([name]) => !name.startsWith('extra_') || Number(name.slice('extra_'.length)) < columns,
  );
  return Object.fromEntries(kept);
}

test('any history of changes, crashes, schema changes and snapshots leaves the table equal to its model', async () => {
  const seed = Number(process.env.DAILIES_SEED ?? Math.floor(Math.random() * 2 ** 31));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 70 }), options, async (steps, made) => {
      await using warehouse = await createWarehouse();
      const history = new History(warehouse, made);
      await history.begin();
      for (const each of steps) await history.take(each);
      await history.end();
    }),
    { seed, numRuns: Number(process.env.DAILIES_RUNS ?? 10), endOnFailure: true, interruptAfterTimeLimit: 150_000 },
  );
}, 400_000);
