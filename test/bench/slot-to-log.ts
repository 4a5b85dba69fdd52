// From a replication slot into the durable log, and nothing else: a backlog of updates of a table of 10 columns, in transactions
// of a thousand, read again and again by turns with a raw drain of the same slot on our connection, which decodes nothing, and,
// where it is installed, with Debezium's embedded engine, which makes JSON of it and drops it. Beside it what we take to make the
// same envelope as JSON and drop it.
// Usage: node test/bench/slot-to-log.ts [--events 300000] [--rounds 3]
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import type { Batch } from '#ingest/event.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { postgres } from '#ingest/sources/postgres/postgres.ts';
import { type DebeziumRun, debeziumIsMissing, debeziumRun } from './debezium.ts';
import { envelope } from './envelope.ts';
import { rawDrain } from './raw-drain.ts';

const { values } = parseArgs({
  options: { events: { type: 'string', default: '300000' }, rounds: { type: 'string', default: '3' } },
});
const wanted = Number(values.events);
const perTransaction = 1_000;
const tableRows = 100_000;
const maxPendingBytes = 16 << 20;

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-slot-'));
fs.chmodSync(home, 0o755);
const server = await startEmbeddedPostgres({
  dir: path.join(home, 'postgres'),
  settings: { wal_level: 'logical', max_wal_size: '4GB', shared_buffers: '512MB', synchronous_commit: 'off' },
});
const client = new pg.Client({ connectionString: server.url('postgres') });
await client.connect();

await client.query(`
  CREATE TABLE film (id bigint PRIMARY KEY, title text NOT NULL, status text NOT NULL, rating numeric(4, 2), released date,
    budget double precision, votes int NOT NULL, is_open boolean NOT NULL, code uuid NOT NULL, updated_at timestamptz NOT NULL);
  INSERT INTO film SELECT i, 'A title of film ' || i, 'draft', 5.25, date '2001-01-01' + (i % 9000)::int, i * 1.5, 0, i % 2 = 0,
    md5(i::text)::uuid, now() FROM generate_series(1, ${tableRows}) i`);

const source = postgres.open(
  { url: server.url('postgres'), tables: ['public.*'] },
  { name: 'bench', memory: passingMemory(), now: () => new Date() },
);
const from = await snapshotted();
for (let made = 0; made < wanted; made += perTransaction) {
  const first = made % tableRows;
  await client.query(
    `UPDATE film SET votes = votes + 1, rating = (votes % 10)::numeric + 0.25, updated_at = clock_timestamp()
     WHERE id > ${first} AND id <= ${first + perTransaction}`,
  );
}

const ours: Figures[] = [];
const json: Figures[] = [];
const raw: Figures[] = [];
const peer: (DebeziumRun | string)[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const slot = { slot: 'dailies_bench', publications: ['dailies_bench', 'dailies_bench_inserts'], from };
  await slotFree();
  raw.push(await measured(() => rawDrain(server.url('postgres'), slot, wanted)));
  await slotFree();
  ours.push(await measured(() => intoLog(path.join(home, `log${round}`))));
  await slotFree();
  json.push(await measured(intoJson));
  peer.push((await peerRun(`peer_${round}`)) ?? debeziumIsMissing);
}
console.log(
  JSON.stringify({
    cpus: os.cpus().length,
    load: os.loadavg()[0],
    events: wanted,
    'into the log': ours,
    'into JSON that is dropped': json,
    'raw drain': raw,
    'Debezium into JSON that is dropped': peer,
  }),
);
await source.close();
await client.end();
await server.close();
fs.rmSync(home, { recursive: true, force: true });

interface Figures {
  perSecond: number;
  perCpuSecond: number;
}

async function measured(run: () => Promise<number>): Promise<Figures> {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const events = await run();
  const { user, system } = process.cpuUsage(cpu);
  return {
    perSecond: Math.round(events / ((performance.now() - startedAt) / 1000)),
    perCpuSecond: Math.round(events / ((user + system) / 1e6)),
  };
}

/** The position of the first snapshot: all updates are after it. */
async function snapshotted(): Promise<string> {
  const stop = new AbortController();
  let position = '';
  const tables = new Map([['public.film', { snapshot: true, generation: 1, cursor: null }]]);
  for await (const batch of source.changes({ from: null, tables }, stop.signal)) {
    position = batch.position;
    if (batch.items.some((item) => item.kind === 'snapshot-end') && batch.isComplete) stop.abort();
  }
  return position;
}

/** The server may take a moment to let go of a slot whose connection has ended. */
async function slotFree(): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(
      "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'dailies_bench' AND active",
    );
    if (rowCount === 0) return;
  }
}

/** As a runtime appends: several batches at once, bounded by what is not durable yet. Nothing is acknowledged. */
async function intoLog(folder: string): Promise<number> {
  const log = new EmbeddedLog({ path: folder });
  const stop = new AbortController();
  const tables = new Map([['public.film', { snapshot: false, generation: 1, cursor: null }]]);
  let events = 0;
  let appended: Promise<unknown> = Promise.resolve();
  for await (const batch of source.changes({ from, tables }, stop.signal)) {
    appended = Promise.all([appended, log.append('bench', [batch])]);
    if (log.pendingBytes('bench') > maxPendingBytes) await appended;
    events += eventsIn(batch);
    if (events >= wanted) stop.abort();
  }
  await appended;
  await log.close();
  return events;
}

/** No log behind it: each event's envelope as JSON, as the peer makes it. */
async function intoJson(): Promise<number> {
  const stop = new AbortController();
  const tables = new Map([['public.film', { snapshot: false, generation: 1, cursor: null }]]);
  let events = 0;
  let bytes = 0;
  for await (const batch of source.changes({ from, tables }, stop.signal)) {
    for (const item of batch.items) {
      if (item.kind !== 'changes') continue;
      for (const event of item.changes.events) bytes += Buffer.byteLength(envelope(item.changes, event));
    }
    events += eventsIn(batch);
    if (events >= wanted) stop.abort();
  }
  if (bytes < wanted * 100) throw new Error(`${bytes} bytes of JSON are too few for ${wanted} events`);
  return events;
}

/** The peer reads a copy of the slot, for it tells the server how far it came. */
async function peerRun(slot: string): Promise<DebeziumRun | null> {
  await client.query('SELECT pg_copy_logical_replication_slot($1, $2)', ['dailies_bench', slot]);
  const settings = { 'slot.name': slot, 'publication.name': 'dailies_bench', 'snapshot.mode': 'no_data' };
  return await debeziumRun(server.url('postgres'), wanted, settings);
}

function eventsIn(batch: Batch): number {
  return batch.items.reduce((sum, item) => sum + (item.kind === 'changes' ? item.changes.events.length : 0), 0);
}
