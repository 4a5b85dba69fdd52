// Measures the key index of a table alone: building it from rising keys, its size on disk, lookups and memory.
// Usage: node test/bench/key-index.ts [--keys 100000000]
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { keyEncoder } from '#catalog/iceberg/files/key-encoding.ts';
import { KeyIndex, type RowPlace } from '#catalog/iceberg/write/key-index.ts';
import { schemaOf } from '#test/catalog/iceberg/warehouse.ts';

const { values } = parseArgs({ options: { keys: { type: 'string', default: '100000000' } } });
const keys = Number(values.keys);
const rowsPerFile = 1_000_000;
const batchRows = 20_000;
const lookups = 100_000;
const encode = keyEncoder(schemaOf({ id: 'long' }, ['id']));

const folder = await mkdtemp(join(tmpdir(), 'dailies-index-'));
try {
  const index = KeyIndex.open(folder);
  const begun = performance.now();
  const cpu = process.cpuUsage();
  await index.clear('bench');
  let batch = new Map<string, RowPlace>();
  for (let id = 0; id < keys; id++) {
    const location = `file:///warehouse/data/${Math.floor(id / rowsPerFile)}.parquet`;
    batch.set(encode([BigInt(id)]).toString('latin1'), { location, position: id % rowsPerFile });
    if (batch.size < batchRows && id < keys - 1) continue;
    index.write(batch);
    batch = new Map();
  }
  await index.apply(new Map(), { snapshotId: 1n, shape: 'bench' }, []);
  const buildSeconds = (performance.now() - begun) / 1000;
  const used = process.cpuUsage(cpu);
  const lookedUp = performance.now();
  let found = 0;
  for (let lookup = 0; lookup < lookups; lookup++) {
    const id = Math.floor((((lookup * 2654435761) % 2 ** 32) / 2 ** 32) * keys);
    if (index.find(encode([BigInt(id)]).toString('latin1'))) found += 1;
  }
  if (found !== lookups) throw new Error(`${lookups - found} keys were not found`);
  const lookupMicros = ((performance.now() - lookedUp) / lookups) * 1000;
  const { size } = await stat(join(folder, 'data.mdb'));
  await index.close();
  console.log(
    JSON.stringify({
      keys,
      buildSeconds: Math.round(buildSeconds),
      buildCpuSeconds: Math.round((used.user + used.system) / 1e6),
      bytesOnDisk: size,
      bytesPerKey: Math.round(size / keys),
      lookupMicros: Math.round(lookupMicros),
      // What the process holds of its own; the index is mapped, and the system drops its pages when memory is short.
      heapMiB: Math.round(process.memoryUsage().heapUsed / 2 ** 20),
      rssMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
    }),
  );
} finally {
  await rm(folder, { recursive: true });
}
