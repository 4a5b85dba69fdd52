import pg from 'pg';
import { CopyOut } from '#ingest/sources/postgres/copy-out.ts';
import { type BenchProduct, processUse } from './bench-product.ts';

const slot = 'bench_drain';

/** A backlog of mixed changes (80 % update, 10 % insert, 10 % delete) into the table of the snapshot, until it can be queried. */
export async function benchCdc(
  product: BenchProduct,
  wanted: number,
  rows: number,
): Promise<Record<string, string | number>> {
  // The key index is made by the first change after a snapshot.
  const changedAt = performance.now();
  await product.source.query('UPDATE film SET votes = votes + 1 WHERE id = 1');
  await product.caughtUp();
  const firstChange = (performance.now() - changedAt) / 1000;
  await product.stopWorker();
  await product.source.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
  const events = await makeBacklog(product.source, wanted, rows);
  const drain = await drainRate(product, events);
  const startedAt = performance.now();
  await product.startWorker();
  const startCpu = product.workerUse().cpuSeconds;
  await product.caughtUp();
  const seconds = (performance.now() - startedAt) / 1000;
  const { cpuSeconds, peakMiB, peakAnonymousMiB } = product.workerUse();
  return {
    events,
    'table rows': rows,
    'first change after the snapshot, s': Math.round(firstChange * 10) / 10,
    'events/s': Math.round(events / seconds),
    'events/CPU-s of the worker': Math.round(events / (cpuSeconds - startCpu)),
    'drained events/s': drain.perSecond,
    'drained events/CPU-s': drain.perCpuSecond,
    'worker peak MiB': peakMiB,
    'without mapped files MiB': peakAnonymousMiB,
  };
}

/** Transactions of about 1,000 changes each; returns how many changes they made. */
async function makeBacklog(client: pg.Client, wanted: number, rows: number): Promise<number> {
  let made = 0;
  const change = async (sql: string, values: unknown[]) => {
    made += (await client.query(sql, values)).rowCount ?? 0;
  };
  for (let turn = 0; made < wanted; turn++) {
    await client.query('BEGIN');
    await change(
      `UPDATE film SET votes = votes + 1, updated_at = now()
       WHERE id IN (SELECT 1 + (($1::bigint * 7919 + i * 97) % $2) FROM generate_series(1, 800) i)`,
      [turn, rows],
    );
    await change(
      `INSERT INTO film SELECT $1::bigint + i, 'New title ' || i, 'draft', 1.5, date '2026-01-01', 1.0, 1, false,
         md5(i::text)::uuid, NULL, now(), 0 FROM generate_series(1, 100) i`,
      [rows + turn * 100],
    );
    await change('DELETE FROM film WHERE id IN (SELECT $1::bigint + i FROM generate_series(1, 100) i)', [
      rows + (turn - 1) * 100,
    ]);
    await client.query('COMMIT');
  }
  return made;
}

/** Reads the slot and looks at nothing but the first byte of each message: what no reader can beat. */
async function drainRate(product: BenchProduct, events: number): Promise<{ perSecond: number; perCpuSecond: number }> {
  const client = new pg.Client({
    connectionString: product.sourceUrl,
    replication: 'database',
  } as pg.ClientConfig);
  await client.connect();
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  const startedAt = performance.now();
  const cpu = processUse('self').cpuSeconds;
  let seen = 0;
  // The connection is cut when enough has been seen; nothing but that cut comes here.
  client.on('error', (error) => (seen < events ? reject(error) : undefined));
  const sql = `START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names 'dailies_bench')`;
  const look = (bytes: Buffer) => {
    const type = bytes[0] === 0x77 ? bytes[25] : undefined;
    if (type === 0x49 || type === 0x55 || type === 0x44) seen += 1;
    if (seen >= events) resolve();
  };
  client.query(new CopyOut(sql, look, (error) => (error ? reject(error) : undefined)) as unknown as pg.Submittable);
  await done;
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuSeconds = Math.max(0.01, processUse('self').cpuSeconds - cpu);
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
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
