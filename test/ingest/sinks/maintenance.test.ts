import { readdir, utimes, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { system } from '#catalog/access/principal.ts';
import { compactTable } from '#catalog/iceberg/maintenance/compact-table.ts';
import { type MaintainedTable, MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import { MaintenanceRunner } from '#catalog/iceberg/maintenance/maintenance-runner.ts';
import { pinSnapshots } from '#catalog/iceberg/maintenance/snapshot-pins.ts';
import { readManifestList } from '#catalog/iceberg/manifests/manifest-list.ts';
import { planScan } from '#catalog/iceberg/read/scan.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import { getMaintenanceRun, requestMaintenance, tableMaintenance } from '#catalog/services/table/maintenance.ts';
import type { State } from '#catalog/state/state.ts';
import type { Sink } from '#ingest/sink.ts';
import { icebergSink } from '#ingest/sinks/iceberg.ts';
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
        isAtRest: () => maintained.isAtRest(),
        commit: (prepared) => maintained.commit(prepared),
        inTurn: async (work, ending) => {
          turns += 1;
          if (turns === 2) await meanwhile();
          return await maintained.inTurn(work, ending);
        },
      };
      return await compactTable(slow, signal, { waits: true });
    });
  }

  async set(updates: Record<string, string>): Promise<void> {
    const base = await this.entry();
    await this.warehouse.catalog.commit([
      { name, base, requirements: [], updates: [{ action: 'set-properties', updates }] },
    ]);
  }

  /** So that a state goes with the first look after the next commit, and its files with it. */
  async forgetAtOnce(): Promise<void> {
    await this.set({
      'history.expire.max-snapshot-age-ms': '0',
      'history.expire.min-snapshots-to-keep': '1',
      'dailies.history.hourly': '0',
      'dailies.history.daily': '0',
      'dailies.history.file-grace-ms': '0',
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
  }, 600_000);
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

describe('files of a snapshot that expires', () => {
  test('stay while a query of another process reads them', async () => {
    await using studio = await Studio.open();
    const { catalog, state, root } = studio.warehouse;
    await studio.small(10);
    await studio.forgetAtOnce();
    const early = (await studio.entry()).metadata['current-snapshot-id'] ?? 0n;
    const files = (await planScan((await studio.entry()).metadataLocation)).files;
    await studio.remove(0, 1, 2);
    await studio.commit();
    const expire = async () => {
      studio.nowMs += 61_000;
      await studio.put(50);
      await studio.commit();
      await studio.runner.look();
      return (await studio.entry()).metadata.snapshots.map((kept) => kept['snapshot-id']);
    };
    // The query has planned what it reads and pinned it; then its snapshot is due.
    let keptMeanwhile: bigint[] = [];
    const queries = new QueryService({
      state: afterPin(state, async () => {
        keptMeanwhile = await expire();
      }),
      catalog,
      resultsDir: `${root}/results`,
      limits: { warm: 1 },
    });
    try {
      const sql = 'SELECT count(*) AS rows FROM production.movie';
      const { id } = await queries.submit({ sql, asOf: { ref: String(early) }, origin: 'api' }, system);
      expect(await queries.wait(id, system)).toMatchObject({ state: 'succeeded', error: null });
      expect(String((await queries.rows(id, system, 0, 1))[0]?.[0])).toBe('10');
      expect(keptMeanwhile).toContain(early);
      expect(await state.snapshotPin.count()).toBe(0);
      expect(await expire()).not.toContain(early);
      const left = await studio.files('data');
      expect(files.filter((file) => left.includes(file.split('/').at(-1) ?? '')).length).toBeLessThan(files.length);
      await studio.check();
    } finally {
      await queries.close();
    }
  });

  test('are let go where the one who read them died: its lease ends', async () => {
    await using studio = await Studio.open();
    const { state } = studio.warehouse;
    await studio.small(3);
    await studio.forgetAtOnce();
    const { metadata } = await studio.entry();
    const snapshotId = metadata['current-snapshot-id'] ?? 0n;
    await pinSnapshots(state, [{ metadata, snapshotId }], 300_000, new Date(studio.nowMs));
    await studio.small(3);
    studio.nowMs += 61_000;
    await studio.runner.look();
    const ids = async () => (await studio.entry()).metadata.snapshots.map((kept) => kept['snapshot-id']);
    expect(await ids()).toContain(snapshotId);
    studio.nowMs += 300_000;
    await studio.put(1);
    await studio.commit();
    await studio.runner.look();
    expect(await ids()).not.toContain(snapshotId);
    expect(await state.snapshotPin.count()).toBe(0);
  });

  test('need no pin where the snapshot stays for longer than the query may run', async () => {
    await using studio = await Studio.open();
    await studio.small(1);
    const { metadata } = await studio.entry();
    const snapshotId = metadata['current-snapshot-id'] ?? 0n;
    await using hold = await pinSnapshots(studio.warehouse.state, [{ metadata, snapshotId }], 300_000, new Date());
    expect(hold.isPinned).toBe(false);
  });
});

describe('a run that somebody asks for', () => {
  test('rewrites, expires and removes orphans at once, and says what it did', async () => {
    await using studio = await Studio.open();
    const { catalog, state } = studio.warehouse;
    await studio.small(40);
    await studio.remove(4, 5);
    await studio.commit();
    const data = `${filePath((await studio.entry()).metadata.location)}/data`;
    await writeFile(`${data}/left-over.parquet`, 'of a crash');
    const old = new Date(Date.now() - 4 * 86_400_000);
    await utimes(`${data}/left-over.parquet`, old, old);
    await writeFile(`${data}/of-now.parquet`, 'of a commit under way');
    studio.nowMs += 2 * 3_600_000;
    const scope = { state, catalog, who: system };
    const { id } = await requestMaintenance(scope, name);
    expect(await getMaintenanceRun(scope, name, id)).toMatchObject({ state: 'queued' });
    await studio.runner.look();
    const run = await getMaintenanceRun(scope, name, id);
    expect(run).toMatchObject({
      state: 'succeeded',
      trigger: 'manual',
      requestedBy: 'system',
      error: null,
      result: {
        compaction: { rewrites: expect.any(Number), newFiles: expect.any(Number) },
        expiry: { snapshots: expect.any(Number) },
        orphans: { removed: 1, removedBytes: 10 },
      },
    });
    const left = await studio.files('data');
    expect(left).toContain('of-now.parquet');
    expect(left).not.toContain('left-over.parquet');
    await studio.check();
    const shown = await tableMaintenance(scope, name);
    expect(shown.runs[0]?.id).toBe(id);
    expect(shown.figures).toMatchObject({ problems: [], snapshots: expect.any(Number) });
    await expect(requestMaintenance(scope, 'production.nothing')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('of a table whose writer does not run leaves its files as they are, and says so', async () => {
    await using studio = await Studio.open();
    const { catalog, state } = studio.warehouse;
    await studio.small(20);
    await studio.sink.close();
    await state.dataTable.updateMany({ where: { name }, data: { pipeline: null } });
    studio.nowMs += 2 * 3_600_000;
    const { id } = await requestMaintenance({ state, catalog, who: system }, name);
    await studio.runner.look();
    const run = await getMaintenanceRun({ state, who: system }, name, id);
    expect(run).toMatchObject({
      state: 'succeeded',
      result: { notes: [expect.stringContaining('does not run here')] },
    });
    expect(run.result.compaction).toBeUndefined();
    expect(run.result.expiry?.snapshots).toBeGreaterThan(0);
    await studio.check();
  });
});

test('manifests are merged as the table asks for it, and none grows beyond the size it asks for', async () => {
  await using studio = await Studio.open();
  const manifests = async () => {
    const { metadata } = await studio.entry();
    const lists = await Promise.all(
      metadata.snapshots.slice(-1).map((kept) => readManifestList(kept['manifest-list'])),
    );
    return lists.flat().filter((manifest) => manifest.content === 'data');
  };
  await studio.set({ 'commit.manifest.min-count-to-merge': '4' });
  await studio.small(4);
  await studio.sink.close();
  studio.sink = openSink(studio.warehouse, { maintained: studio.tables });
  await studio.small(8, 4);
  expect((await manifests()).length).toBeLessThanOrEqual(4);
  // None is below it.
  await studio.set({ 'commit.manifest.target-size-bytes': '1' });
  await studio.sink.close();
  studio.sink = openSink(studio.warehouse, { maintained: studio.tables });
  await studio.small(12, 12);
  expect((await manifests()).length).toBeGreaterThanOrEqual(12);
  await studio.check();
});

test('settings stand in the definition of the sink, and what cannot be read is refused there', async () => {
  await using studio = await Studio.open();
  await studio.sink.close();
  const properties = { 'dailies.compaction.min-files': '3' };
  studio.sink = openSink(studio.warehouse, { properties, maintained: studio.tables });
  await studio.small(3);
  expect((await studio.entry()).metadata.properties).toMatchObject(properties);
  expect(await studio.compact()).toMatchObject({ files: 3, newFiles: 1 });
  await studio.check();
  const parsed = icebergSink.config.safeParse({ table: 'a.b', properties: { 'dailies.history.hourly': 'many' } });
  expect(parsed.error?.issues[0]?.message).toBe('The table property dailies.history.hourly must be a whole number');
});

test('a setting that cannot be read is told, and its default holds', async () => {
  await using studio = await Studio.open();
  await studio.set({ 'dailies.history.hourly': 'many' });
  await studio.small(1);
  await studio.runner.look();
  const { catalog, state } = studio.warehouse;
  const { figures, settings } = await tableMaintenance({ state, catalog, who: system }, name);
  expect(figures?.problems).toEqual([
    expect.stringContaining('dailies.history.hourly must be a whole number; 48 holds'),
  ]);
  expect(settings.find((setting) => setting.key === 'dailies.history.hourly')).toMatchObject({
    value: '48',
    isSet: true,
  });
});

/** The state database, with something that happens right after the first pin. */
function afterPin(state: State, happens: () => Promise<void>): State {
  let isFirst = true;
  const snapshotPin = new Proxy(state.snapshotPin, {
    get(target, property) {
      const value = Reflect.get(target, property);
      if (property !== 'createMany') return value;
      return async (pins: never) => {
        const made = await target.createMany(pins);
        if (isFirst) {
          isFirst = false;
          await happens();
        }
        return made;
      };
    },
  });
  return new Proxy(state, {
    get: (target, property) => (property === 'snapshotPin' ? snapshotPin : Reflect.get(target, property)),
  });
}
