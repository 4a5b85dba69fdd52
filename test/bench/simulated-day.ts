// A table under endless small commits, by a clock of its own: what maintenance keeps bounded. Prints one JSON line for each
// part of the run, and the whole at the end. Usage: node test/bench/simulated-day.ts [--commits 4000] [--every 1] [--changes 20] [--parts 20]
// A day of one commit a second is --commits 86400; --every 20 with 4320 commits is a day of fewer.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import { MaintenanceRunner } from '#catalog/iceberg/maintenance/maintenance-runner.ts';
import { printTableMetadata } from '#catalog/iceberg/metadata/table-metadata.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import { startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { migrateState, openState } from '#catalog/state/state.ts';
import type { ChangeEvent } from '#ingest/event.ts';
import { icebergSink } from '#ingest/sinks/iceberg.ts';

const { values } = parseArgs({
  options: {
    commits: { type: 'string', default: '4000' },
    every: { type: 'string', default: '1' },
    changes: { type: 'string', default: '20' },
    rows: { type: 'string', default: '20000' },
    parts: { type: 'string', default: '20' },
  },
});
const commits = Number(values.commits);
const everyMs = Number(values.every) * 1000;
const changes = Number(values.changes);
const rows = Number(values.rows);

const source = 'bench.public.film';
const table = 'bench.film';
const schema: Schema = {
  key: ['id'],
  fields: [
    { name: 'id', type: { kind: 'long' }, required: true },
    { name: 'title', type: { kind: 'string' }, required: false },
    { name: 'votes', type: { kind: 'int' }, required: false },
  ],
};
const signal = new AbortController().signal;

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-day-'));
fs.chmodSync(home, 0o755);
const postgres = await startEmbeddedPostgres({ dir: path.join(home, 'postgres') });
await postgres.ensureDatabase('dailies');
await migrateState(postgres.url('dailies'));
const state = openState(postgres.url('dailies'), 4);
let nowMs = Date.parse('2026-03-01T00:00:00Z');
const now = () => new Date(nowMs);
const catalog = new IcebergCatalog(state, path.join(home, 'warehouse'), () => nowMs);
const tables = new MaintainedTables();
const report = (line: string) => console.error(line);
const runner = new MaintenanceRunner({ catalog, state, tables, now, report });
const sink = icebergSink.open(icebergSink.config.parse({ table }), {
  pipeline: 'bench',
  owner: null,
  sourceTables: [source],
  catalog,
  state,
  indexDir: path.join(home, 'index'),
  now,
  maintained: tables,
});

const film = (id: number, votes: number): Row => [BigInt(id), `Film ${id}`, votes];
const write = async (events: readonly Omit<ChangeEvent, 'tx'>[]) =>
  await sink.write(
    {
      table: source,
      schema,
      events: events.map((event) => ({ ...event, tx: 0 })),
      transactions: [{ id: '1', position: '0/1', timeMicros: BigInt(nowMs) * 1000n }],
    },
    signal,
  );
const commit = async (offset: number) =>
  await sink.commit(
    { bench: { offset, position: `0/${offset.toString(16)}`, timeMicros: String(nowMs * 1000) } },
    signal,
  );

try {
  await sink.beginSnapshot(source, schema, signal);
  for (let start = 0; start < rows; start += 5_000) {
    const count = Math.min(5_000, rows - start);
    await write(
      Array.from({ length: count }, (_, index) => ({ op: 'r', before: null, after: film(start + index, 0) })),
    );
  }
  await sink.endSnapshot(source, signal);
  await commit(1);
  const most = { snapshots: 0, dataFiles: 0, deleteFiles: 0, metadataBytes: 0, filesOnDisk: 0, bytesOnDisk: 0 };
  let commitMs: number[] = [];
  const everMs: number[] = [];
  let usedMs = cpuMs();
  for (let turn = 1; turn <= commits; turn++) {
    nowMs += everyMs;
    await write(
      Array.from({ length: changes }, (_, index): Omit<ChangeEvent, 'tx'> => {
        const id = (turn * 7919 + index * 104_729) % (rows + turn);
        return { op: 'u', before: null, after: film(id, turn) };
      }),
    );
    const startMs = performance.now();
    await commit(turn + 1);
    commitMs.push(performance.now() - startMs);
    everMs.push(performance.now() - startMs);
    await runner.look();
    if (turn % Math.ceil(commits / Number(values.parts)) !== 0) continue;
    const figures = await figuresNow();
    for (const key of Object.keys(most) as (keyof typeof most)[]) most[key] = Math.max(most[key], figures[key]);
    console.log(
      JSON.stringify({
        simulatedHours: round((turn * everyMs) / 3_600_000),
        ...figures,
        ...spread(commitMs),
        'CPU ms a turn': round((cpuMs() - usedMs) / commitMs.length),
        'RSS MiB': Math.round(process.memoryUsage().rss / 2 ** 20),
      }),
    );
    commitMs = [];
    usedMs = cpuMs();
  }
  const runs = await state.maintenanceRun.findMany({ where: { tableName: table } });
  const compactions = runs.flatMap((run) => {
    const { compaction } = run.result as { compaction?: { rewrites: number; heldMs: number } };
    return compaction ? [compaction] : [];
  });
  const rewrites = compactions.reduce((sum, each) => sum + each.rewrites, 0);
  const heldMs = compactions.reduce((sum, each) => sum + each.heldMs, 0);
  console.log(
    JSON.stringify({
      commits,
      everySeconds: everyMs / 1000,
      simulatedHours: round((commits * everyMs) / 3_600_000),
      most,
      'bytes of metadata a snapshot': Math.round(most.metadataBytes / Math.max(1, most.snapshots)),
      'recorded rewrites': rewrites,
      'ms that a rewrite holds the writer': round(heldMs / Math.max(1, rewrites)),
      ...spread(everMs),
      'failed runs': runs.filter((run) => run.state === 'failed').length,
    }),
  );
} finally {
  await runner.close();
  await sink.close();
  await state.$disconnect();
  await postgres.close();
  fs.rmSync(home, { recursive: true, force: true });
}

async function figuresNow() {
  const entry = await catalog.load(table);
  if (!entry) throw new Error(`There is no table ${table}.`);
  const { metadata, metadataLocation } = entry;
  const summary = metadata.snapshots.at(-1)?.summary ?? {};
  const folder = filePath(metadata.location);
  const all = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  const sizes = all.map((each) => fs.statSync(path.join(each.parentPath, each.name)).size);
  return {
    snapshots: metadata.snapshots.length,
    tags: Object.keys(metadata.refs).length - 1,
    dataFiles: Number(summary['total-data-files'] ?? 0),
    deleteFiles: Number(summary['total-delete-files'] ?? 0),
    metadataBytes: printTableMetadata(metadata).length,
    metadataFileBytes: fs.statSync(filePath(metadataLocation)).size,
    filesOnDisk: all.length,
    bytesOnDisk: sizes.reduce((sum, size) => sum + size, 0),
  };
}

/** CPU time of this process so far: commits, maintenance and what the bench makes up. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function spread(ms: readonly number[]) {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (part: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
  return { 'commit ms median': at(0.5), 'commit ms p95': at(0.95) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
