import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DailiesError } from '#catalog/error.ts';
import { compactTable } from '#catalog/iceberg/maintenance/compact-table.ts';
import { type MaintainedTable, MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import { MaintenanceRunner } from '#catalog/iceberg/maintenance/maintenance-runner.ts';
import { type Row, type Schema, UNKNOWN, type Value } from '#catalog/schemas/schema.ts';
import type { Sink } from '#ingest/sink.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { type Change, changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

/*
 * Random histories of one table under maintenance, against a model that is a map of rows and the states of all commits:
 * changes, commits, crashes, rewrites with changes meanwhile, rewrites whose commit nobody has settled, hours and days in
 * which snapshots expire and orphans go, added columns, reads of states that are kept. With a key and without.
 */
type Edit =
  | { kind: 'put'; id: number; text: string | null; isKept: boolean }
  | { kind: 'remove'; id: number }
  | { kind: 'add-column' }
  | { kind: 'truncate' };
type Step =
  | Edit
  | { kind: 'commit' }
  | { kind: 'commits'; first: number; count: number }
  | { kind: 'crash' }
  | { kind: 'rewrite'; meanwhile: readonly Edit[]; isSettled: boolean }
  | { kind: 'wait'; ms: number }
  | { kind: 'read'; nth: number };

const id = fc.integer({ min: 0, max: 25 });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      id,
      text: fc.option(fc.string({ maxLength: 4 }), { nil: null }),
      isKept: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('remove' as const), id }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'add-column' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'truncate' as const }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: edit },
  { weight: 6, arbitrary: fc.constant({ kind: 'commit' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('commits' as const),
      first: fc.nat(40),
      count: fc.integer({ min: 3, max: 6 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'crash' as const }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('rewrite' as const),
      meanwhile: fc.array(edit, { maxLength: 4 }),
      isSettled: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(60_000, 1_800_000, 5_400_000, 90_000_000, 400_000_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), nth: fc.nat(20) }) },
);

type ModelRow = Record<string, Value>;

const limitMs = 240_000;

class Crash extends Error {}

/** Of all runs: a test in which nothing is rewritten or expires proves nothing. */
const done = { runs: 0, rewrites: 0, crashedRewrites: 0, expired: 0 };

class Run implements AsyncDisposable {
  readonly #warehouse: TestWarehouse;
  readonly #source: string;
  readonly #name: string;
  readonly #options: { formatVersion: 2 | 3; partition: readonly string[] };
  readonly #isKeyless: boolean;
  readonly #tables = new MaintainedTables();
  readonly #runner: MaintenanceRunner;
  readonly #told: string[] = [];
  /** What was read after each commit, by snapshot. */
  readonly #states = new Map<bigint, string[]>();
  #nowMs = Date.now();
  #sink: Sink;
  #rows = new Map<number, ModelRow>();
  #committed = new Map<number, ModelRow>();
  #columns = 0;
  #committedColumns = 0;
  #offset = 1;

  constructor(
    warehouse: TestWarehouse,
    table: string,
    isKeyless: boolean,
    options: { formatVersion: 2 | 3; partition: readonly string[] },
  ) {
    this.#warehouse = warehouse;
    this.#source = `production.public.${table}`;
    this.#name = `production.${table}`;
    this.#isKeyless = isKeyless;
    this.#options = options;
    const { catalog, state } = warehouse;
    const report = (line: string) => this.#told.push(line);
    this.#runner = new MaintenanceRunner({
      catalog,
      state,
      tables: this.#tables,
      now: () => new Date(this.#nowMs),
      report,
    });
    this.#sink = this.#open();
  }

  async begin(): Promise<void> {
    await snapshot(this.#sink, this.#schema(), [], this.#source);
    await this.#commit();
    const entry = await this.#entry();
    // Few files, and manifests, are many here, and files go as soon as their snapshots do.
    const updates = {
      'dailies.compaction.min-files': '3',
      'commit.manifest.min-count-to-merge': '3',
      'dailies.history.file-grace-ms': '0',
      'history.expire.min-snapshots-to-keep': '1',
    };
    await this.#warehouse.catalog.commit([
      { name: this.#name, base: entry, requirements: [], updates: [{ action: 'set-properties', updates }] },
    ]);
    await this.#crash();
  }

  async take(one: Step): Promise<void> {
    switch (one.kind) {
      case 'put':
      case 'remove':
      case 'add-column':
      case 'truncate':
        await this.#edit(one);
        return;
      case 'commit':
        await this.#commit();
        return;
      case 'commits':
        for (let next = one.first; next < one.first + one.count; next++) {
          await this.#edit({ kind: 'put', id: next, text: `of ${this.#offset}`, isKept: false });
          await this.#commit();
        }
        return;
      case 'crash':
        await this.#crash();
        return;
      case 'rewrite':
        await this.#rewrite(one.meanwhile, one.isSettled);
        return;
      case 'wait':
        this.#nowMs += one.ms;
        await this.#runner.look();
        await this.#note();
        return;
      case 'read': {
        const { metadata } = await this.#entry();
        const kept = metadata.snapshots.at(-1 - (one.nth % metadata.snapshots.length));
        const known = kept && this.#states.get(kept['snapshot-id']);
        if (kept && known) await this.#expectAt(kept['snapshot-id'], known);
      }
    }
  }

  async end(): Promise<void> {
    await this.#commit();
    const { metadata } = await this.#entry();
    for (const { 'snapshot-id': kept } of metadata.snapshots) {
      const known = this.#states.get(kept);
      if (known) await this.#expectAt(kept, known);
    }
    done.runs += 1;
    done.expired += this.#states.size - metadata.snapshots.length;
    expect(this.#told).toEqual([]);
    expect(
      await this.#warehouse.state.maintenanceRun.findMany({ where: { tableName: this.#name, state: 'failed' } }),
    ).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runner.close();
    await this.#sink.close();
  }

  #schema(): Schema {
    const added = Object.fromEntries(
      Array.from({ length: this.#columns }, (_, index) => [`extra${index}`, 'int' as const]),
    );
    return schemaOf({ id: 'long', text: 'string', ...added }, this.#isKeyless ? [] : ['id']);
  }

  #row(row: ModelRow): Row {
    return this.#schema().fields.map((field) => row[field.name] ?? null);
  }

  async #edit(one: Edit): Promise<void> {
    const changes: Change[] = [];
    switch (one.kind) {
      case 'put': {
        const old = this.#rows.get(one.id);
        const row: ModelRow = { id: BigInt(one.id), text: one.isKept && old ? (old.text ?? null) : one.text };
        for (let index = 0; index < this.#columns; index++) row[`extra${index}`] = this.#offset;
        this.#rows.set(one.id, row);
        if (this.#isKeyless)
          changes.push(...(old ? [{ op: 'd' as const, before: this.#row(old) }] : []), {
            op: 'c',
            after: this.#row(row),
          });
        else
          changes.push({
            op: 'u',
            after: one.isKept && old ? this.#row(row).with(1, UNKNOWN as never) : this.#row(row),
          });
        break;
      }
      case 'remove': {
        const old = this.#rows.get(one.id);
        if (!old) return;
        this.#rows.delete(one.id);
        changes.push({ op: 'd', before: this.#row(old) });
        break;
      }
      case 'truncate':
        this.#rows.clear();
        changes.push({ op: 't' });
        break;
      case 'add-column':
        if (this.#columns >= 3) return;
        this.#columns += 1;
    }
    await this.#sink.write(changesOf(this.#schema(), changes, this.#source), signal);
  }

  async #commit(): Promise<void> {
    this.#nowMs += 1_000;
    await this.#sink.commit(position(++this.#offset), signal);
    this.#committed = new Map(this.#rows);
    this.#committedColumns = this.#columns;
    await this.#note();
  }

  /** The newest state equals the model, also where a rewrite has made it. */
  async #note(): Promise<void> {
    const { metadata } = await this.#entry();
    const columns = this.#columns;
    this.#columns = this.#committedColumns;
    const rows = sorted([...this.#committed.values()].map((row) => this.#row(row)));
    this.#columns = columns;
    expect(sorted(await this.#warehouse.read(this.#name))).toEqual(rows);
    const current = metadata['current-snapshot-id'];
    if (current) this.#states.set(current, rows);
  }

  async #crash(): Promise<void> {
    await this.#sink.close();
    this.#rows = new Map(this.#committed);
    this.#columns = this.#committedColumns;
    this.#sink = this.#open();
    await this.#sink.writtenUpTo(this.#source, signal);
  }

  async #rewrite(meanwhile: readonly Edit[], isSettled: boolean): Promise<void> {
    // Of small files there are enough, in one partition at least.
    for (let next = 0; next < 5; next++) {
      await this.#edit({ kind: 'put', id: (this.#offset * 7) % 26, text: 'small', isKept: false });
      await this.#commit();
    }
    try {
      await this.#tables.use(this.#name, async (maintained) => {
        let turns = 0;
        const watched: MaintainedTable = {
          name: this.#name,
          writer: maintained.writer,
          isAtRest: () => maintained.isAtRest(),
          commit: async (prepared) => {
            if (isSettled) return await maintained.commit(prepared);
            await this.#warehouse.catalog.commit([prepared.commit]);
            throw new Crash();
          },
          inTurn: async (work, ending) => {
            turns += 1;
            if (turns === 2) {
              for (const one of meanwhile) await this.#edit(one);
              await this.#commit();
            }
            return await maintained.inTurn(work, ending);
          },
        };
        if (await compactTable(watched, signal, { waits: true })) done.rewrites += 1;
      });
    } catch (thrown) {
      if (!(thrown instanceof Crash) && !(thrown instanceof DailiesError)) throw thrown;
      done.crashedRewrites += 1;
      await this.#crash();
    }
    await this.#note();
  }

  async #expectAt(snapshotId: bigint, rows: string[]): Promise<void> {
    // A column that was added later is none of an older state's.
    const read = sorted(await this.#warehouse.read(this.#name, { snapshotId }));
    expect(read).toEqual(rows);
  }

  async #entry() {
    const entry = await this.#warehouse.catalog.load(this.#name);
    if (!entry) throw new Error(`no table ${this.#name}`);
    return entry;
  }

  #open(): Sink {
    return openSink(this.#warehouse, {
      sourceTables: [this.#source],
      ...this.#options,
      now: () => new Date(this.#nowMs),
      maintained: this.#tables,
    });
  }
}

test('any history under maintenance leaves the table, and every state that is kept, equal to the model', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`maintenance history seed ${seed}`);
  await using warehouse = await createWarehouse();
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 30 }),
      fc.boolean(),
      fc.constantFrom(2 as const, 3 as const),
      fc.constantFrom([], ['bucket(3, id)']),
      async (steps, isKeyless, formatVersion, partition) => {
        let at = 'its beginning';
        const tell = () => console.log(`stands at ${at}, open: ${process.getActiveResourcesInfo().join(', ')}`);
        const watch = setTimeout(tell, 0.9 * limitMs).unref();
        await using run = new Run(warehouse, `movie${count++}`, isKeyless, { formatVersion, partition });
        await run.begin();
        for (const [index, one] of steps.entries()) {
          at = `step ${index}, ${JSON.stringify(one)}`;
          await run.take(one);
        }
        at = 'its end';
        await run.end();
        clearTimeout(watch);
      },
    ),
    // One that hangs is told with its steps, and with what it waits for.
    { seed, numRuns: 15, timeout: limitMs, endOnFailure: true },
  );
  console.log(JSON.stringify(done));
  expect(Math.min(done.rewrites, done.expired)).toBeGreaterThan(0);
}, 900_000);
