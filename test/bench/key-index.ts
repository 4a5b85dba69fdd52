// Measures the key index of a table alone: building it from rising keys, its size on disk, lookups, changes and memory.
// Usage: node test/bench/key-index.ts [--keys 100000000]
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { type IndexChange, KeyIndex, type RowPlace } from '#catalog/iceberg/write/key-index.ts';
import { schemaOf } from '#test/catalog/iceberg/warehouse.ts';

const { values } = parseArgs({ options: { keys: { type: 'string', default: '100000000' } } });
const keys = Number(values.keys);
const rowsPerFile = 1_000_000;
const batchRows = 20_000;
const lookups = 100_000;
const commits = 20;
const changes = 10_000;
const encode = keyEncoder(schemaOf({ id: 'long' }, ['id']));

const folder = await mkdtemp(join(tmpdir(), 'dailies-index-'));
try {
  const index = KeyIndex.open(folder);
  const begun = performance.now();
  const cpu = process.cpuUsage();
  await index.clear('bench');
  let batch: IndexChange[] = [];
  // As a rebuild does: one batch is stored while the next one is made.
  let storing: Promise<void> = Promise.resolve();
  for (let id = 0; id < keys; id++) {
    const location = `file:///warehouse/data/${Math.floor(id / rowsPerFile)}.parquet`;
    batch.push([encode([BigInt(id)]).toString('latin1'), { location, position: id % rowsPerFile }]);
    if (batch.length < batchRows && id < keys - 1) continue;
    await storing;
    storing = index.write(batch);
    batch = [];
  }
  await storing;
  await index.apply(new Map(), { snapshotId: 1n, shape: 'bench' }, []);
  const buildSeconds = (performance.now() - begun) / 1000;
  const used = process.cpuUsage(cpu);
  const lookedUp = performance.now();
  let found = 0;
  for (let lookup = 0; lookup < lookups; lookup++) if (index.find(spreadKey(lookup))) found += 1;
  if (found !== lookups) throw new Error(`${lookups - found} keys were not found`);
  const lookupMicros = ((performance.now() - lookedUp) / lookups) * 1000;
  const builtBytes = await bytesOnDisk();
  const changing = performance.now();
  const changingCpu = process.cpuUsage();
  for (let commit = 0; commit < commits; commit++) {
    const location = `file:///warehouse/data/commit-${commit}.parquet`;
    const changed = new Map<string, RowPlace>();
    for (let row = 0; row < changes; row++) changed.set(spreadKey(commit * changes + row), { location, position: row });
    await index.apply(changed, { snapshotId: BigInt(commit + 2), shape: 'bench' }, []);
  }
  const changeMs = (performance.now() - changing) / commits;
  const changeUsed = process.cpuUsage(changingCpu);
  const changedBytes = await bytesOnDisk();
  const closing = performance.now();
  await index.close();
  const closeMs = performance.now() - closing;
  console.log(
    JSON.stringify({
      keys,
      buildSeconds: Math.round(buildSeconds),
      buildCpuSeconds: Math.round((used.user + used.system) / 1e6),
      bytesOnDisk: builtBytes,
      bytesPerKey: Math.round((builtBytes / keys) * 10) / 10,
      lookupMicros: Math.round(lookupMicros * 10) / 10,
      [`ms to store ${changes} changes of random keys`]: Math.round(changeMs),
      'CPU ms': Math.round((changeUsed.user + changeUsed.system) / 1000 / commits),
      [`bytesOnDisk after ${commits} times`]: changedBytes,
      closeMs: Math.round(closeMs),
      // What the process holds of its own; the index is mapped, and the system drops its pages when memory is short.
      heapMiB: Math.round(process.memoryUsage().heapUsed / 2 ** 20),
      rssMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
    }),
  );
} finally {
  await rm(folder, { recursive: true });
}

/** Keys in no order, from all over the table. */
function spreadKey(number: number): string {
  const id = Math.floor((((number * 2654435761) % 2 ** 32) / 2 ** 32) * keys);
  return encode([BigInt(id)]).toString('latin1');
}

/** What the file takes: it is longer than what is written of it. */
async function bytesOnDisk(): Promise<number> {
  return (await stat(join(folder, 'data.mdb'))).blocks * 512;
}
