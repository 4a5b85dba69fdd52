// Measures commits of changes into tables of several sizes, and the key index. Prints one JSON line a table size.
// Usage: node test/bench/commits.ts [--rows 100000,10000000] [--changes 10000] [--commits 20] [--formats 2,3] [--partition 'bucket(16, id)']
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import { startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { migrateState, openState } from '#catalog/state/state.ts';
import { partitionOf } from '#ingest/sinks/iceberg-partition.ts';
import { schemaOf } from '#test/catalog/iceberg/warehouse.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000,10000000' },
    changes: { type: 'string', default: '10000' },
    commits: { type: 'string', default: '20' },
    formats: { type: 'string', default: '2,3' },
    partition: { type: 'string', multiple: true, default: [] },
  },
});
const name = 'production.movie';
const statuses = ['draft', 'shooting', 'post', 'released'];

/** Twelve columns of mixed types, as the snapshot's benchmark has them. */
const movie: Schema = schemaOf(
  {
    id: 'long',
    title: 'string',
    status: 'string',
    budget: { kind: 'decimal', precision: 14, scale: 2 },
    minutes: 'int',
    rating: 'double',
    released: 'date',
    created: 'timestamptz',
    changed: 'timestamp',
    isPublic: 'boolean',
    ref: 'uuid',
    notes: 'string',
  },
  ['id'],
);

function film(id: number, round: number): Row {
  const hex = (id * 2654435761) % 2 ** 32;
  return [
    BigInt(id),
    `Film ${id} of round ${round}`,
    statuses[(id + round) % statuses.length] ?? null,
    BigInt(id % 1_000_000) * 100n,
    60 + (id % 120),
    (id % 100) / 10,
    10_000 + (id % 9000),
    1_700_000_000_000_000n + BigInt(id),
    1_600_000_000_000_000n + BigInt(round),
    id % 3 === 0,
    `${hex.toString(16).padStart(8, '0')}-0000-4000-8000-${id.toString(16).padStart(12, '0')}`,
    id % 5 === 0 ? null : `note ${id % 1000}`,
  ];
}

async function measure(
  warehouse: { catalog: IcebergCatalog; indexDir: string },
  rows: number,
  formatVersion: 2 | 3,
): Promise<object> {
  const deps = { catalog: warehouse.catalog, indexDir: warehouse.indexDir, now: () => new Date() };
  const definition = { formatVersion, partition: partitionOf(values.partition) };
  let writer = await TableWriter.open(name, deps, definition);
  const begun = performance.now();
  await writer.snapshots.beginReplacement(movie);
  for (let id = 0; id < rows; id++) await writer.snapshots.appendReplacement(film(id, 0));
  await writer.snapshots.endReplacement();
  await commit(warehouse.catalog, writer);
  const loadMs = performance.now() - begun;

  // The index is built by the first commit that needs it.
  await writer.upsert(film(0, 1), false);
  const [first] = await commit(warehouse.catalog, writer);
  const times: number[][] = [];
  const changes = Number(values.changes);
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  let nextId = rows;
  const started = performance.now();
  const cpu = process.cpuUsage();
  for (let round = 0; round < Number(values.commits); round++) {
    for (let change = 0; change < changes; change++) {
      const kind = change % 10;
      if (kind < 8) await writer.upsert(film(random(rows), round + 2), false);
      else if (kind === 8) await writer.upsert(film(nextId++, round + 2), true);
      else await writer.remove(film(random(rows), 0));
    }
    times.push(await commit(warehouse.catalog, writer));
  }
  const endedMs = performance.now() - started;
  const used = process.cpuUsage(cpu);
  const cycleCpuMs = (used.user + used.system) / 1000;
  const indexBytes = (await stat(`${warehouse.indexDir}/${writer.metadata?.['table-uuid']}/data.mdb`)).blocks * 512;
  await writer.close();
  await rm(warehouse.indexDir, { recursive: true });
  writer = await TableWriter.open(name, deps, definition);
  await writer.upsert(film(1, 99), false);
  const [rebuild, , rebuildCpu] = await commit(warehouse.catalog, writer);
  await writer.close();
  const column = (index: number) => times.map((each) => each[index] ?? 0).sort((a, b) => a - b);
  const quantiles = (index: number) => {
    const sorted = column(index);
    const at = (part: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
    return { median: at(0.5), p95: at(0.95) };
  };
  return {
    rows,
    formatVersion,
    loadRowsPerSecond: Math.round(rows / (loadMs / 1000)),
    firstCommitMs: Math.round(first ?? 0),
    changes,
    prepareMs: quantiles(0),
    visibleMs: quantiles(1),
    visibleCpuMs: quantiles(2),
    cycleMs: Math.round(endedMs / times.length),
    cycleCpuMs: Math.round(cycleCpuMs / times.length),
    indexBytesPerRow: Math.round(indexBytes / rows),
    rebuildMs: Math.round(rebuild ?? 0),
    rebuildCpuMs: Math.round(rebuildCpu ?? 0),
    rssMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
  };
}

/** Milliseconds from the first file on until: files written, commit visible; then this process's CPU time until then. */
async function commit(catalog: IcebergCatalog, writer: TableWriter): Promise<number[]> {
  const begun = performance.now();
  const cpu = process.cpuUsage();
  const prepared = await writer.prepare({});
  const preparedMs = performance.now() - begun;
  const [entry] = await catalog.commit([prepared.commit]);
  const visibleMs = performance.now() - begun;
  const used = process.cpuUsage(cpu);
  if (!entry) throw new Error('nothing was committed');
  await writer.settle(prepared, entry);
  return [preparedMs, visibleMs, (used.user + used.system) / 1000];
}

const root = await mkdtemp(join(tmpdir(), 'dailies-bench-'));
await chmod(root, 0o755);
const postgres = await startEmbeddedPostgres({ dir: join(root, 'postgres') });
await postgres.ensureDatabase('state');
await migrateState(postgres.url('state'));
const state = openState(postgres.url('state'), 3);
try {
  for (const format of values.formats.split(',').map(Number)) {
    for (const rows of values.rows.split(',').map(Number)) {
      const folder = join(root, `${format}-${rows}`);
      const catalog = new IcebergCatalog(state, join(folder, 'warehouse'));
      const figures = await measure({ catalog, indexDir: join(folder, 'index') }, rows, format === 3 ? 3 : 2);
      console.log(JSON.stringify(figures));
      await catalog.drop(name);
      await rm(folder, { recursive: true });
    }
  }
} finally {
  await state.$disconnect();
  await postgres.close();
  await rm(root, { recursive: true, force: true });
}
