import { finished } from 'node:stream/promises';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { type BenchProduct, fillTable } from './bench-product.ts';
import { debeziumIsMissing, debeziumRun } from './debezium.ts';

/** First snapshot of one table, from the worker's start until it can be queried, beside COPY of the same rows to nowhere. */
export async function benchSnapshot(product: BenchProduct, rows: number): Promise<Record<string, string | number>> {
  await fillTable(product.source, 'film', rows);
  const limit = await copyRate(product.sourceUrl, rows);
  const startedAt = performance.now();
  await product.startWorker();
  while ((await product.state.dataTable.findUnique({ where: { name: 'bench.film' } })) === null) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const { cpuSeconds, peakMiB, peakAnonymousMiB } = product.workerUse();
  const table = await product.state.dataTable.findUniqueOrThrow({ where: { name: 'bench.film' } });
  if (Number(table.rows) !== rows) throw new Error(`the table has ${table.rows} rows, its source ${rows}`);
  return {
    rows,
    'rows/s': Math.round(rows / seconds),
    'rows/CPU-s of the worker': Math.round(rows / cpuSeconds),
    'COPY TO STDOUT rows/s': limit,
    'share of COPY': `${Math.round((100 * rows) / seconds / limit)} %`,
    'Debezium into JSON that is dropped, rows/CPU-s': await debeziumRate(product, Math.min(rows, 500_000)),
    'worker peak MiB': peakMiB,
    'without mapped files MiB': peakAnonymousMiB,
  };
}

/** Rows per CPU-second, from its first row on, of Debezium's snapshot of the same table. */
async function debeziumRate(product: BenchProduct, rows: number): Promise<number | string> {
  const slot = 'peer';
  const run = await debeziumRun(product.sourceUrl, rows, {
    'slot.name': slot,
    'publication.name': 'dailies_bench',
    'table.include.list': 'public.film',
    'snapshot.mode': 'initial_only',
  });
  await product.source.query(
    'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1',
    [slot],
  );
  return run?.perCpuSecond ?? debeziumIsMissing;
}

async function copyRate(url: string, rows: number): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const startedAt = performance.now();
  const stream = client.query(copyTo('COPY film TO STDOUT'));
  stream.resume();
  await finished(stream);
  const seconds = (performance.now() - startedAt) / 1000;
  await client.end();
  return Math.round(rows / seconds);
}
