import pg from 'pg';
import { type BenchProduct, processUse } from './bench-product.ts';

const slot = 'bench_drain';

/** A backlog of mixed changes (80 % update, 10 % insert, 10 % delete) into the table of the snapshot, until it can be queried. */
export async function benchCdc(
  product: BenchProduct,
  events: number,
  rows: number,
): Promise<Record<string, string | number>> {
  await product.stopWorker();
  await product.source.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
  await makeBacklog(product.source, events, rows);
  const drain = await drainRate(product, events);
  const startedAt = performance.now();
  await product.startWorker();
  const startCpu = product.workerUse().cpuSeconds;
  await product.caughtUp();
  const seconds = (performance.now() - startedAt) / 1000;
  const { cpuSeconds, peakMiB } = product.workerUse();
  return {
    events,
    'table rows': rows,
    'events/s': Math.round(events / seconds),
    'events/CPU-s of the worker': Math.round(events / (cpuSeconds - startCpu)),
    'drained events/s': drain.perSecond,
    'drained events/CPU-s': drain.perCpuSecond,
    'worker peak MiB': peakMiB,
  };
}

/** Transactions of 1,000 changes each. */
async function makeBacklog(client: pg.Client, events: number, rows: number): Promise<void> {
  for (let done = 0; done < events; done += 1_000) {
    await client.query('BEGIN');
    await client.query(
      `UPDATE film SET votes = votes + 1, updated_at = now() WHERE id IN (SELECT 1 + (($1 + i * 97) % $2) FROM generate_series(1, 800) i)`,
      [done, rows],
    );
    await client.query(
      `INSERT INTO film SELECT $1::bigint + i, 'New title ' || i, 'draft', 1.5, date '2026-01-01', 1.0, 1, false, md5(i::text)::uuid, NULL, now(), 0
       FROM generate_series(1, 100) i`,
      [rows + done],
    );
    await client.query('DELETE FROM film WHERE id IN (SELECT $1::bigint + i FROM generate_series(1, 100) i)', [
      done >= 1_000 ? rows + done - 1_000 : rows - 200,
    ]);
    await client.query('COMMIT');
  }
}

/** Reads the slot and looks at nothing but the first byte of each message: what no reader can beat. */
async function drainRate(product: BenchProduct, events: number): Promise<{ perSecond: number; perCpuSecond: number }> {
  const { rows } = await product.source.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
  const client = new pg.Client({ connectionString: product.sourceUrl, replication: 'database' } as pg.ClientConfig);
  await client.connect();
  const connection = (client as unknown as { connection: import('node:events').EventEmitter }).connection;
  const startedAt = performance.now();
  const cpu = processUse('self').cpuSeconds;
  let seen = 0;
  const done = new Promise<void>((resolve) => {
    connection.on('copyData', ({ chunk }: { chunk: Buffer }) => {
      if (chunk[0] !== 0x77) return;
      const type = String.fromCharCode(chunk[25] ?? 0);
      if (type === 'I' || type === 'U' || type === 'D') seen++;
      if (seen >= events) resolve();
    });
  });
  client
    .query(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names 'dailies_bench')`)
    .catch(() => undefined);
  const end = AbortSignal.timeout(120_000);
  await Promise.race([
    done,
    new Promise((_, reject) =>
      end.addEventListener('abort', () => reject(new Error(`drained ${seen} of ${events} up to ${rows[0]?.lsn}`))),
    ),
  ]);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuSeconds = Math.max(0.01, processUse('self').cpuSeconds - cpu);
  (connection as unknown as { stream: { destroy(): void } }).stream.destroy();
  await dropSlot(product.source);
  return { perSecond: Math.round(seen / seconds), perCpuSecond: Math.round(seen / cpuSeconds) };
}

async function dropSlot(client: pg.Client): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND active', [
      slot,
    ]);
    if (rowCount === 0) break;
  }
  await client.query('SELECT pg_drop_replication_slot($1)', [slot]);
}
