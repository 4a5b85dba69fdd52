import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { filePath } from '#catalog/iceberg/location.ts';
import { compactTable } from '#catalog/iceberg/maintenance/compact-table.ts';
import { type MaintainedTable, MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import { MaintenanceRunner } from '#catalog/iceberg/maintenance/maintenance-runner.ts';
import { planScan } from '#catalog/iceberg/scan.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import type { Sink } from '#ingest/sink.ts';
import { createWarehouse, schemaOf, sorted, type TestWarehouse } from '#test/catalog/iceberg/warehouse.ts';
import { type Change, changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

const table = 'production.public.movie';
const name = 'production.movie';
const movie = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);

/** A table with its writer, maintained by a clock of its own. */
class Studio implements AsyncDisposable {
  readonly warehouse: TestWarehouse;
  readonly tables = new MaintainedTables();
  readonly runner: MaintenanceRunner;
  readonly model = new Map<bigint, Row>();
  readonly told: string[] = [];
  // Ahead of the catalog's own clock, which a snapshot never falls behind.
  nowMs = Date.now();
  sink: Sink;
  #offset = 1;

  private constructor(warehouse: TestWarehouse, options: { formatVersion?: 2 | 3; partition?: string[] }) {
    this.warehouse = warehouse;
    const now = () => new Date(this.nowMs);
    const { catalog, state } = warehouse;
    this.runner = new MaintenanceRunner({
      catalog,
      state,
      tables: this.tables,
      now,
      report: (line) => this.told.push(line),
    });
    this.sink = openSink(warehouse, { ...options, now, maintained: this.tables });
  }

  static async open(options: { formatVersion?: 2 | 3; partition?: string[] } = {}): Promise<Studio> {
    const studio = new Studio(await createWarehouse(), options);
    await snapshot(studio.sink, movie, []);
    await studio.sink.commit(position(1), signal);
    return studio;
  }

  async put(...ids: number[]): Promise<void> {
    const changes = ids.map((id): Change => {
      const row: Row = [BigInt(id), `Take ${this.#offset}`, `plot ${id}`];
      this.model.set(BigInt(id), row);
      return { op: 'u', after: row };
    });
    await this.sink.write(changesOf(movie, changes), signal);
  }

  async remove(...ids: number[]): Promise<void> {
    const changes = ids.map((id): Change => ({ op: 'd', before: this.model.get(BigInt(id)) ?? null }));
    for (const id of ids) this.model.delete(BigInt(id));
    await this.sink.write(changesOf(movie, changes), signal);
  }

  async commit(): Promise<void> {
    await this.sink.commit(position(++this.#offset), signal);
  }

  /** As many commits of one new row each. */
  async small(commits: number, first = 0): Promise<void> {
    for (let id = first; id < first + commits; id++) {
      await this.put(id);
      await this.commit();
    }
  }

  async check(): Promise<void> {
    expect(sorted(await this.warehouse.read(name))).toEqual(sorted([...this.model.values()]));
  }

  async entry() {
    const entry = await this.warehouse.catalog.load(name);
    if (!entry) throw new Error(`no table ${name}`);
    return entry;
  }

  async files(folder: 'data' | 'metadata'): Promise<string[]> {
    return await readdir(`${filePath((await this.entry()).metadata.location)}/${folder}`);
  }

  async dataFiles(): Promise<number> {
    return Number((await this.entry()).metadata.snapshots.at(-1)?.summary['total-data-files']);
  }

  /** Compacts with `meanwhile` between the rewrite and its turn. */
  async compact(meanwhile: () => Promise<void> = async () => undefined) {
    return await this.tables.use(name, async (maintained) => {
      let turns = 0;
      const slow: MaintainedTable = {
        name,
        writer: maintained.writer,
        commit: (prepared) => maintained.commit(prepared),
        inTurn: async (work, ending) => {
          turns += 1;
          if (turns === 2) await meanwhile();
          return await maintained.inTurn(work, ending);
        },
      };
      return await compactTable(slow, signal);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner.close();
    await this.sink.close();
    await this.warehouse[Symbol.asyncDispose]();
    expect(this.told).toEqual([]);
  }
}

describe('endless small commits', () => {
  test('keep files, snapshots and metadata bounded, and files of running queries in place', async () => {
    await using studio = await Studio.open();
    await studio.small(50);
    const early = await planScan((await studio.entry()).metadataLocation);
    for (let round = 0; round < 240; round++) {
      studio.nowMs += 20_000;
      await studio.put(round % 60);
      await studio.commit();
      await studio.runner.look();
    }
    await studio.check();
    expect(await studio.sink.writtenUpTo(table, signal)).toEqual(position(291));
    const { metadata } = await studio.entry();
    // An hour, and the last state of the hour before it and of the day.
    expect(metadata.snapshots.length).toBeLessThan(180 + 15 + 60);
    expect(await studio.dataFiles()).toBeLessThan(32);
    expect(await studio.files('data')).not.toContain(early.files[0]?.split('/').at(-1));
    expect((await studio.files('data')).length).toBeLessThan(800);
    // Everything that the kept snapshots need is still there.
    for (const kept of metadata.snapshots) await studio.warehouse.read(name, { snapshotId: kept['snapshot-id'] });
    const runs = await studio.warehouse.state.maintenanceRun.findMany({ where: { tableName: name } });
    expect(runs.every((run) => run.state === 'succeeded' && run.trigger === 'schedule')).toBe(true);
    expect(await studio.warehouse.state.tableUpkeep.findUnique({ where: { tableName: name } })).toMatchObject({
      figures: { dataFiles: expect.any(Number), oldestAsOf: expect.any(String) },
    });
  }, 120_000);
});

describe.each([2, 3] as const)('a rewrite of files in format %i', (formatVersion) => {
  test('takes over what was deleted, changed and added while it ran', async () => {
    await using studio = await Studio.open({ formatVersion });
    await studio.small(20);
    await studio.remove(3);
    await studio.commit();
    const done = await studio.compact(async () => {
      await studio.remove(5, 6);
      await studio.put(7, 100);
      await studio.commit();
      await studio.put(8);
      await studio.commit();
    });
    expect(done).toMatchObject({ rewrites: 1, newFiles: 1 });
    expect(await studio.dataFiles()).toBeLessThan(6);
    await studio.check();
    // The index knows where the rows went.
    await studio.remove(9, 100);
    await studio.put(10, 11, 8);
    await studio.commit();
    await studio.check();
    await studio.sink.close();
    studio.sink = openSink(studio.warehouse, { formatVersion, maintained: studio.tables });
    await studio.put(12, 13);
    await studio.remove(14);
    await studio.commit();
    await studio.check();
  });

  test('waits while anything is staged, and takes its turn with the commit', async () => {
    await using studio = await Studio.open({ formatVersion });
    await studio.small(20);
    let compacted: Promise<unknown> = Promise.resolve();
    await studio.put(1, 30);
    compacted = studio.compact();
    await studio.remove(2);
    await studio.commit();
    // The rewrite was planned with this commit, and takes its place in a later turn.
    await studio.put(3);
    await studio.commit();
    expect(await compacted).toMatchObject({ rewrites: 1 });
    await studio.check();
  });

  test('is given up where its rows are all gone', async () => {
    await using studio = await Studio.open({ formatVersion });
    await studio.small(20);
    const files = await studio.files('data');
    const done = await studio.compact(async () => {
      await studio.sink.write(changesOf(movie, [{ op: 't' }]), signal);
      studio.model.clear();
      await studio.put(1);
      await studio.commit();
    });
    expect(done).toBeNull();
    // One file came with the commit; the rewrite left none.
    expect(await studio.files('data')).toHaveLength(files.length + 1);
    await studio.check();
  });

  test('ends with its writer, and leaves nothing', async () => {
    await using studio = await Studio.open({ formatVersion });
    await studio.small(20);
    const files = await studio.files('data');
    let closing: Promise<void> = Promise.resolve();
    const compacting = studio.compact(async () => {
      closing = studio.sink.close();
    });
    await expect(compacting).rejects.toMatchObject({ code: 'cancelled' });
    await closing;
    expect(await studio.files('data')).toHaveLength(files.length);
  });
});
